"""Time limits of the calls of an event loop, with one timer for all of the same length.

A timer for each is what costs most in a small call: asyncio keeps timers in a heap, where those that were
cancelled stay for long, and 32 calls in flight with three timers each spend a sixth of their time there.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

__all__ = ["TimeLimit"]


class TimeLimit:
    """A context that ends what takes longer by cancelling the task that entered it, and tells so by an error.

    Another's cancellation stays what it is.

    Args:
        seconds: how long it may take.
        error: what is raised when time is up.

    Attributes:
        expired: time was up before the block ended.
    """

    __slots__ = ("_alike", "_cancelling", "_error", "_seconds", "_task", "expired")

    _task: asyncio.Task[object]
    _alike: dict[TimeLimit, float]

    def __init__(self, seconds: float, error: type[Exception] = TimeoutError) -> None:
        self._seconds = seconds
        self._error = error
        self._cancelling = 0
        self.expired = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        alike = _under_way.get((loop, self._seconds))
        self._alike = alike = _begin(loop, self._seconds) if alike is None else alike
        alike[self] = loop.time() + self._seconds
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._alike.pop(self, None)
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error from error

    def expire(self) -> None:
        """Time is up."""
        self.expired = True
        self._task.cancel()


_under_way: Final[dict[tuple[asyncio.AbstractEventLoop, float], dict[TimeLimit, float]]] = {}
"""The limits of one length in seconds in one event loop, in the order of their ends."""


def _begin(loop: asyncio.AbstractEventLoop, seconds: float) -> dict[TimeLimit, float]:
    """The first limit of a length brings their timer."""
    for key in list(_under_way):
        if key[0].is_closed():  # its timers never come
            _under_way.pop(key, None)
    alike = _under_way[loop, seconds] = {}
    loop.call_later(seconds, _look, loop, seconds)
    return alike


def _look(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """End what is due, and come back when the next is."""
    alike = _under_way[loop, seconds]
    for limit, ends_at in list(alike.items()):
        if ends_at > loop.time():
            loop.call_at(ends_at, _look, loop, seconds)
            return
        del alike[limit]
        limit.expire()
    del _under_way[loop, seconds]
