"""SIGTERM, handled like Ctrl-C.

Imports nothing that takes time, so that it is installed first.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Termination:
    """Handles SIGTERM like Ctrl-C.

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
    def cancels(self, task: asyncio.Task[object] | None) -> Generator[None]:
        """Cancel the task on the first SIGTERM; any other raises ``KeyboardInterrupt``."""
        self._task = task
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
