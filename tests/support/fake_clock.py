"""A clock whose sleeps take no time, and are written down."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Give it as ``clock=``: ``sleeps`` holds what was waited, in order."""

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
        # As with a real clock, the others run while one sleeps.
        await asyncio.sleep(0)
        self.passed = max(self.passed, wakes_at)

    def advance(self, seconds: float) -> None:
        self.passed += seconds
