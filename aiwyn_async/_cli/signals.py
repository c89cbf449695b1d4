"""SIGTERM, handled like Ctrl-C: the running command is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Generator
from types import FrameType

__all__ = ["Termination", "termination"]


class Termination:
    """The SIGTERM handler of a process.

    Attributes:
        received: True once SIGTERM was received.
    """

    def __init__(self) -> None:
        self.received = False
        self._task: asyncio.Task[object] | None = None

    def install(self) -> None:
        """Start to handle SIGTERM. Must be called in the main thread."""
        signal.signal(signal.SIGTERM, self._handle)

    @contextlib.contextmanager
    def cancels_current_task(self) -> Generator[None]:
        """Within, the first SIGTERM cancels the task; any other SIGTERM raises ``KeyboardInterrupt``."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        task, self._task = self._task, None
        self.received = True
        if task is None:
            raise KeyboardInterrupt
        task.get_loop().call_soon_threadsafe(task.cancel)


termination = Termination()
