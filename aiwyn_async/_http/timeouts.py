"""Time limits of the calls of an event loop, with one timer per length.

A timer per call is the largest cost of a small call: asyncio keeps timers in a heap, where cancelled ones
remain, and 32 calls in flight with three timers each spend a sixth of their time there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from aiwyn_async._core.threads import running_loop

MAX_IDLE_TIMERS: Final = 16
BLOCKED: Final = 0.01
"""Seconds by which a timer fires late only if the event loop was blocked."""


class TimeLimit:
    """A context that cancels its task when time is up, and raises ``TimeoutError``.

    Other cancellations pass through.

    Attributes:
        loop: that of the task.
        ends_at: when the time is up, by the clock of the event loop.
        due: when the task is cancelled: then, or earlier if a ``Stage`` takes too long.
        not_before: what is due earlier waits until then, since the event loop was blocked.
        may_extend: nothing was extended, or something was received since.
        expired: the time is up.
        timer: the shared timer.
    """

    __slots__ = (
        "_cancelling",
        "_seconds",
        "_task",
        "due",
        "ends_at",
        "expired",
        "loop",
        "may_extend",
        "not_before",
        "timer",
    )

    _task: asyncio.Task[object]
    _cancelling: int
    loop: asyncio.AbstractEventLoop
    timer: _Timer
    ends_at: float
    due: float

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.expired: bool = False
        self.not_before: float = -math.inf
        self.may_extend: bool = True

    def __enter__(self) -> Self:
        self.loop = loop = running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self.timer = timer = _timers.get((loop, self._seconds)) or _new_timer(loop, self._seconds)
        self.ends_at = timer.now() + self._seconds
        timer.active[self] = None
        self.reschedule(self.ends_at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.timer.active.pop(self, None)
        is_ours = self.expired and self._uncancel()
        # A reference cycle with the task would keep its result until the next garbage collection.
        del self._task
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def reschedule(self, due: float) -> None:
        """Cancel at this time, which is not after ``ends_at``."""
        self.due = due
        if due < (next_check := self.timer.next_check) and self.not_before < next_check:
            self.timer.check_at(max(due, self.not_before))

    def end(self, now: float) -> None:
        """Cancel the task: the time is up.

        If the event loop was blocked at that time, wait as long as it is overdue: what has arrived is still
        unread. An end that is not overdue remains.
        """
        late = now - max(self.due, self.not_before)
        is_over = self.ends_at <= now
        if late > BLOCKED and self.may_extend:
            self.may_extend = False
            self.not_before = now + late if is_over else min(now + late, self.ends_at)
            return
        if is_over:  # also if a stage was due before
            self.due = self.ends_at
        del self.timer.active[self]
        self.expired = True
        self._task.cancel()

    def resume(self) -> bool:
        """Continue after a stage took too long; return False if also cancelled otherwise."""
        self.expired = False
        self.timer.active[self] = None
        self.reschedule(self.ends_at)
        return self._uncancel()

    def _uncancel(self) -> bool:
        """Undo the cancellation; return whether it was the only one."""
        return self._task.uncancel() <= self._cancelling


class Stage:
    """A part of a ``TimeLimit``, as a context in it, with its own limits.

    It raises ``TimeoutError`` after ``seconds``, and ``silence_error`` if ``listen()`` is not called within
    ``silence`` seconds of the beginning or of its last call. The outer limit takes precedence.

    Attributes:
        silence: maximum seconds of silence.
        silence_error: its error.
    """

    __slots__ = ("_ends_at", "_limit", "_seconds", "silence", "silence_error")

    _ends_at: float

    def __init__(
        self, limit: TimeLimit, seconds: float, silence: float, silence_error: type[Exception]
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self.silence = silence
        self.silence_error = silence_error

    def __enter__(self) -> Self:
        limit = self._limit
        now = limit.timer.now()
        self._ends_at = ends_at = min(now + self._seconds, limit.ends_at)
        limit.reschedule(min(now + self.silence, ends_at))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        limit = self._limit
        was_due, limit.due = limit.due, limit.ends_at
        if limit.expired and was_due < limit.ends_at and limit.resume() and kind is asyncio.CancelledError:
            raise (TimeoutError if was_due == self._ends_at else self.silence_error) from error

    def listen(self) -> None:
        """Start to limit silence."""
        limit = self._limit
        limit.may_extend = True
        limit.reschedule(min(limit.timer.now() + self.silence, self._ends_at))

    def stop_listening(self) -> None:
        """Stop limiting silence."""
        self._limit.reschedule(self._ends_at)


class _Timer:
    """Checks all limits of one length in one event loop.

    Attributes:
        active: the active limits.
        now: seconds by the clock of the event loop.
        next_check: when the limits are checked next; mostly before a new one is due.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # What a loop of asyncio calls, without the method in between.
        is_usual = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
        self.now: Callable[[], float] = time.monotonic if is_usual else loop.time
        self._call_at = loop.call_at
        self.active: dict[TimeLimit, None] = {}
        self.next_check: float = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def check_at(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self.next_check = due
        self._handle = self._call_at(due, self._check)

    def _check(self) -> None:
        """Cancel what is due, and check again when the next limit is."""
        self.next_check, self._handle = math.inf, None
        now = self.now()
        for limit in [limit for limit in self.active if max(limit.due, limit.not_before) <= now]:
            limit.end(now)
        if self.active:
            self.check_at(min(max(limit.due, limit.not_before) for limit in self.active))

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


_timers: Final[dict[tuple[asyncio.AbstractEventLoop, float], _Timer]] = {}


def _new_timer(loop: asyncio.AbstractEventLoop, seconds: float) -> _Timer:
    """Create a timer for limits of another length; drop idle timers if there are many."""
    for key, timer in list(_timers.items()):
        timer_loop, _ = key
        if timer_loop.is_closed():
            _timers.pop(key, None)
        elif timer_loop is loop and not timer.active and len(_timers) >= MAX_IDLE_TIMERS:
            timer.stop()
            del _timers[key]
    timer = _timers[loop, seconds] = _Timer(loop)
    return timer
