"""An event loop whose time leaps to the next timer instead of passing."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_leaping"]

ResultT = TypeVar("ResultT")


def run_leaping(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Like asyncio.run(), without waiting; only for code that waits for timers alone."""
    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        return runner.run(main)


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._selector_of_time = _LeapingSelector()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._selector_of_time.now

    def leap(self, seconds: float) -> None:
        """Let time pass, as a caller that blocks the loop does."""
        self._selector_of_time.now += seconds


class _LeapingSelector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready
