"""The clock that waits and deadlines use."""

from __future__ import annotations

import asyncio
from time import monotonic
from time import time as wall_clock
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """The source of time. Tests pass one whose sleep returns at once."""

    def time(self) -> float:
        """Wall-clock seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that is never set back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    def time(self) -> float:
        """Return wall-clock seconds since 1970, UTC."""
        return wall_clock()

    def monotonic(self) -> float:
        """Return seconds of a clock that is never set back."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)
