"""A clock whose sleeps take no time."""

from __future__ import annotations


class FakeClock:
    """A clock to pass as ``clock=``, for tests without waiting.

        clock = FakeClock()
        async with AiwynClient(clock=clock) as aiwyn:
            await aiwyn.invoices.list()
        assert clock.sleeps == [0.5]

    Attributes:
        now: Seconds since 1970 at the start, UTC.
        passed: Seconds passed since the start.
        sleeps: The seconds of every sleep, in the order in which they began.
    """

    def __init__(self) -> None:
        self.now: float = 1_750_000_000.0
        self.passed: float = 0.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        """Return wall-clock seconds since 1970, UTC."""
        return self.now + self.passed

    def monotonic(self) -> float:
        """Return the seconds passed since the start."""
        return self.passed

    async def sleep(self, seconds: float) -> None:
        """Let the seconds pass at once; other tasks run in between, as with a real clock."""
        import asyncio  # noqa: PLC0415 (pytest loads this module for tests that never use it)

        self.sleeps.append(seconds)
        wakes_at = self.passed + seconds
        await asyncio.sleep(0)
        self.passed = max(self.passed, wakes_at)

    def advance(self, seconds: float) -> None:
        """Let seconds pass outside a sleep, such as the lifetime of a token."""
        self.passed += seconds
