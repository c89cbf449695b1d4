"""Time limits of the calls of an event loop, with one timer for all of the same length.

A timer for each is what costs most in a small call: asyncio keeps timers in a heap, where those that were
cancelled stay for long, and 32 calls in flight with three timers each spend a sixth of their time there.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Final, Self

__all__ = ["TimeLimit"]

MOST_IDLE_TIMERS: Final = 16


class TimeLimit:
    """A context that cancels what takes longer, in the task that entered it, and raises ``TimeoutError``.

    Another's cancellation stays what it is.

    Args:
        seconds: how long it may take.
        silence_error: what is raised when ``expect_within()`` is not kept.

    Attributes:
        due: when it will have taken too long, by the event loop's clock.
        expired: it took too long.
    """

    __slots__ = (
        "_cancelling",
        "_ends_at",
        "_seconds",
        "_silence_error",
        "_task",
        "_timer",
        "due",
        "expired",
    )

    _task: asyncio.Task[object]
    _cancelling: int
    _timer: _Timer
    _ends_at: float
    due: float

    def __init__(self, seconds: float, silence_error: type[Exception] = TimeoutError) -> None:
        self._seconds = seconds
        self._silence_error = silence_error
        self.expired = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self._ends_at = self.due = due = loop.time() + self._seconds
        self._timer = timer = _timers.get((loop, self._seconds)) or _new_timer(loop, self._seconds)
        timer.under_way[self] = None
        if due < timer.back_at:
            timer.be_back_at(due)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._timer.under_way.pop(self, None)
        task = self._task
        # What is set in a task's context and knows its task would keep it, and its result, until the next
        # garbage collection.
        del self._task
        if self.expired and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise (TimeoutError if self.due == self._ends_at else self._silence_error) from error

    def expect_within(self, seconds: float) -> None:
        """End the block also when it lasts so much longer, unless this is called again before."""
        timer = self._timer
        due = timer.loop.time() + seconds
        self.due = due = min(self._ends_at, due)
        if due < timer.back_at:
            timer.be_back_at(due)

    def expire(self) -> None:
        """Time is up."""
        self.expired = True
        self._task.cancel()


class _Timer:
    """Looks after all limits of one length in one event loop.

    Attributes:
        under_way: those limits.
        back_at: when it looks at them next. Mostly before a new one is due, so that it need not be told.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.under_way: dict[TimeLimit, None] = {}
        self.back_at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def be_back_at(self, due: float) -> None:
        """Look at this time instead."""
        if self._handle is not None:
            self._handle.cancel()
        self.back_at = due
        self._handle = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        """End what is due, and come back when the next is."""
        self.back_at, self._handle = math.inf, None
        now = self.loop.time()
        for limit in [limit for limit in self.under_way if limit.due <= now]:
            del self.under_way[limit]
            limit.expire()
        if self.under_way:
            self.be_back_at(min(limit.due for limit in self.under_way))

    def stop(self) -> None:
        """Do not come back."""
        if self._handle is not None:
            self._handle.cancel()


_timers: Final[dict[tuple[asyncio.AbstractEventLoop, float], _Timer]] = {}


def _new_timer(loop: asyncio.AbstractEventLoop, seconds: float) -> _Timer:
    """A timer for limits of another length. Where all lengths differ, those without any limit go."""
    for key, timer in list(_timers.items()):
        its_loop, _ = key
        if its_loop.is_closed():
            _timers.pop(key, None)
        elif its_loop is loop and not timer.under_way and len(_timers) >= MOST_IDLE_TIMERS:
            timer.stop()
            del _timers[key]
    timer = _timers[loop, seconds] = _Timer(loop)
    return timer
