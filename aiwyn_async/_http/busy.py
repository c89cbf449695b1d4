"""How long a thread worked while a request was in flight, measured only if it can matter."""

from __future__ import annotations

from time import thread_time
from typing import Final

RESOLUTION: Final = 0.001
"""Seconds; the CPU time of a thread is a system call, of 0.4 us."""


class BusyTime:
    """The CPU time of the thread of one event loop, rounded up by at most ``RESOLUTION``."""

    __slots__ = ("_cpu", "_read_at")

    def __init__(self) -> None:
        self._cpu = 0.0
        self._read_at = float("-inf")

    def begin(self, now: float) -> float:
        """Return the CPU time when a request is sent, or shortly before.

        Args:
            now: the performance counter.
        """
        if now - self._read_at > RESOLUTION:
            self._read_at, self._cpu = now, thread_time()
        return self._cpu
