"""Time limits of the calls of an event loop, with one timer for all of the same length.

A timer for each is what costs most in a small call: asyncio keeps timers in a heap, where those that were
cancelled stay for long, and 32 calls in flight with three timers each spend a sixth of their time there.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Final, Self

from aiwyn_async._core.threads import running_loop

__all__ = ["Stage", "TimeLimit"]

MAX_IDLE_TIMERS: Final = 16


class TimeLimit:
    """A context that cancels what takes longer, in the task that entered it, and raises ``TimeoutError``.

    Another's cancellation stays what it is.

    Args:
        seconds: how long it may take.

    Attributes:
        loop: that of the task.
        ends_at: when it will have taken too long, by the event loop's clock.
        due: when it is ended: then, or before if a ``Stage`` of it takes too long.
        expired: it took too long.
        timer: looks after it.
    """

    __slots__ = ("_cancelling", "_seconds", "_task", "due", "ends_at", "expired", "loop", "timer")

    _task: asyncio.Task[object]
    _cancelling: int
    loop: asyncio.AbstractEventLoop
    timer: _Timer
    ends_at: float
    due: float

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.expired = False

    def __enter__(self) -> Self:
        self.loop = loop = running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self.timer = timer = _timers.get((loop, self._seconds)) or _new_timer(loop, self._seconds)
        self.ends_at = loop.time() + self._seconds
        timer.under_way[self] = None
        self.reschedule(self.ends_at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.timer.under_way.pop(self, None)
        is_ours = self.expired and self._takes_back_its_cancellation()
        # What is set in a task's context and knows its task would keep it, and its result, until the next
        # garbage collection.
        del self._task
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def reschedule(self, due: float) -> None:
        """End at this time, which is not after ``ends_at``."""
        self.due = due
        if due < self.timer.back_at:
            self.timer.be_back_at(due)

    def expire(self) -> None:
        """Time is up."""
        self.expired = True
        self._task.cancel()

    def resume(self) -> bool:
        """Hold again after a stage that took too long; False where something else cancelled the task too."""
        self.expired = False
        self.timer.under_way[self] = None
        self.reschedule(self.ends_at)
        return self._takes_back_its_cancellation()

    def _takes_back_its_cancellation(self) -> bool:
        """No other cancelled the task."""
        return self._task.uncancel() <= self._cancelling


class Stage:
    """A part of what a ``TimeLimit`` holds for, with limits of its own. A context inside that context.

    It raises ``TimeoutError`` when it takes longer than ``seconds``, and ``silence_error`` when ``listen()``
    is not called again within ``silence`` seconds. What takes as long as all may is left to the time limit.

    Attributes:
        silence: seconds of it, at most.
    """

    __slots__ = ("_ends_at", "_limit", "_seconds", "_silence_error", "silence")

    _ends_at: float

    def __init__(
        self, limit: TimeLimit, seconds: float, silence: float, silence_error: type[Exception]
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self.silence = silence
        self._silence_error = silence_error

    def __enter__(self) -> Self:
        limit = self._limit
        self._ends_at = min(limit.timer.now() + self._seconds, limit.ends_at)
        limit.reschedule(self._ends_at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        limit = self._limit
        was_due, limit.due = limit.due, limit.ends_at
        if limit.expired and was_due < limit.ends_at and limit.resume() and kind is asyncio.CancelledError:
            raise (TimeoutError if was_due == self._ends_at else self._silence_error) from error

    def listen(self) -> None:
        """From here on, silence ends it."""
        limit = self._limit
        limit.reschedule(min(limit.timer.now() + self.silence, self._ends_at))

    def stop_listening(self) -> None:
        """From here on, silence is no reason to end it."""
        self._limit.reschedule(self._ends_at)


class _Timer:
    """Looks after all limits of one length in one event loop.

    Attributes:
        under_way: those limits.
        now: seconds by the event loop's clock.
        back_at: when it looks at them next. Mostly before a new one is due, so that it need not be told.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self._call_at = loop.call_at
        self.under_way: dict[TimeLimit, None] = {}
        self.back_at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def be_back_at(self, due: float) -> None:
        """Look at this time instead."""
        if self._handle is not None:
            self._handle.cancel()
        self.back_at = due
        self._handle = self._call_at(due, self._look)

    def _look(self) -> None:
        """End what is due, and come back when the next is."""
        self.back_at, self._handle = math.inf, None
        now = self.now()
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
        elif its_loop is loop and not timer.under_way and len(_timers) >= MAX_IDLE_TIMERS:
            timer.stop()
            del _timers[key]
    timer = _timers[loop, seconds] = _Timer(loop)
    return timer
