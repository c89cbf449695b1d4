"""Time limits of the calls of an event loop, with one timer for all of the same length.

A timer for each is what costs most in a small call: asyncio keeps timers in a heap, where those that were
cancelled stay for long, and 32 calls in flight with three timers each spend a sixth of their time there.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self
from weakref import WeakKeyDictionary

__all__ = ["Limit", "limited_to"]


def limited_to(seconds: float) -> Limit:
    """A context that ends with ``TimeoutError`` what takes longer; for the task that enters it."""
    loop = asyncio.get_running_loop()
    limits = _of_loop.get(loop)
    if limits is None:
        limits = _of_loop[loop] = _Limits()
    return Limit(limits, seconds)


class Limit:
    """Cancels its task when time is up, and turns that cancellation, and no other, into ``TimeoutError``.

    Attributes:
        expired: time was up before the block ended.
    """

    __slots__ = ("_cancelling", "_limits", "_seconds", "_task", "expired")

    _task: asyncio.Task[object]

    def __init__(self, limits: _Limits, seconds: float) -> None:
        self._limits = limits
        self._seconds = seconds
        self._cancelling = 0
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self._limits.begin(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._limits.end(self, self._seconds)
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Time is up."""
        self.expired = True
        self._task.cancel()


class _Limits:
    """What is under way in one event loop: by its length in seconds, and then in the order of its end."""

    def __init__(self) -> None:
        self._under_way: dict[float, dict[Limit, float]] = {}

    def begin(self, limit: Limit, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        alike = self._under_way.get(seconds)
        if alike is None:
            alike = self._under_way[seconds] = {}
            loop.call_later(seconds, self._look, seconds)
        alike[limit] = loop.time() + seconds

    def end(self, limit: Limit, seconds: float) -> None:
        self._under_way.get(seconds, {}).pop(limit, None)

    def _look(self, seconds: float) -> None:
        """End what is due, and come back when the next is."""
        loop = asyncio.get_running_loop()
        alike = self._under_way[seconds]
        for limit, ends_at in list(alike.items()):
            if ends_at > loop.time():
                loop.call_at(ends_at, self._look, seconds)
                return
            del alike[limit]
            limit.expire()
        del self._under_way[seconds]


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Limits]] = WeakKeyDictionary()
