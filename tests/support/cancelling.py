"""Cancel an awaitable at a chosen suspension point, as a timeout around a step or a cancelled task would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from functools import partial
from typing import Any, Generic, Literal, TypeVar

__all__ = ["Cancellation", "When", "run_cancelled"]

ResultT = TypeVar("ResultT")
When = Literal["suspended", "woken", "never"]


class Cancellation:
    """Count the suspensions of all steps that it runs, and cancel at one of them, or at every one.

    Args:
        at: the suspension to cancel at, counted from 1; None cancels the first one of every step.
        when: "suspended" cancels before the event loop runs again, "woken" when the wait is over.
    """

    def __init__(self, at: int | None, when: When) -> None:
        self.at = at
        self.when: When = when
        self.suspensions = 0
        self.cancelled = 0

    def step(self, awaitable: Awaitable[ResultT]) -> _Step[ResultT]:
        """Run one step, which raises CancelledError if it is cancelled."""
        return _Step(awaitable, self)

    def is_now(self, when: When) -> bool:
        """Return whether to cancel at the current suspension."""
        return self.when == when and self.at in {None, self.suspensions}


class _Step(Generic[ResultT]):
    def __init__(self, awaitable: Awaitable[ResultT], cancellation: Cancellation) -> None:
        self._awaitable = awaitable
        self._cancellation = cancellation

    def __await__(self) -> Generator[Any, None, ResultT]:
        cancellation = self._cancellation
        inner = self._awaitable.__await__()
        try:
            waiting: Any = next(inner)
            while True:
                cancellation.suspensions += 1
                if cancellation.is_now("suspended"):
                    # Only a task may await a future, and this one is not awaited.
                    waiting._asyncio_future_blocking = False
                    cancellation.cancelled += 1
                    waiting = inner.throw(asyncio.CancelledError())
                    continue
                yield waiting
                if cancellation.is_now("woken"):
                    cancellation.cancelled += 1
                    waiting = inner.throw(asyncio.CancelledError())
                else:
                    waiting = next(inner)
        except StopIteration as end:
            result: ResultT = end.value
            return result


class _CancelledTask(Generic[ResultT]):
    def __init__(self, awaitable: Awaitable[ResultT], at: int) -> None:
        self._awaitable = awaitable
        self._at = at
        self.suspensions = 0

    def __await__(self) -> Generator[Any, None, ResultT]:
        inner = self._awaitable.__await__()
        task = asyncio.current_task()
        assert task is not None
        resume: Any = partial(next, inner)
        while True:
            try:
                waiting = resume()
            except StopIteration as end:
                result: ResultT = end.value
                return result
            self.suspensions += 1
            if self.suspensions == self._at:
                task.cancel()
            try:
                yield waiting
            except BaseException as error:  # noqa: BLE001 (passed on to the coroutine that waits)
                resume = partial(inner.throw, error)
            else:
                resume = partial(next, inner)


async def run_cancelled(awaitable: Awaitable[Any], at: int) -> int:
    """Run in a task that is cancelled at a suspension, from 1 on, or never; return the number of suspensions.

    The task may complete although it is cancelled; its error is raised, unless it is a cancellation.
    """
    run = _CancelledTask(awaitable, at)

    async def work() -> None:
        await run

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return run.suspensions
