"""A clock whose sleeps return at once and are recorded."""

from __future__ import annotations

import asyncio


class FakeClock:
    """A clock to pass as ``clock=``; ``sleeps`` lists the waits in order."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0
        self.passed = 0.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self.now + self.passed

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        wakes_at = self.passed + seconds
        # As with a real clock, other tasks run during a sleep.
        await asyncio.sleep(0)
        self.passed = max(self.passed, wakes_at)

    def advance(self, seconds: float) -> None:
        self.passed += seconds
