"""SIGTERM, and SIGHUP of a closed terminal, handled like Ctrl-C.

Imports nothing that takes time, so that it is installed first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Generator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Termination:
    """Handles SIGTERM and SIGHUP like Ctrl-C.

    SIGHUP and Ctrl-C remain ignored if they are, as nohup sets the former.

    Attributes:
        received: True once one of them was received.
        ending: The word and the exit code for what ended the command.
    """

    def __init__(self) -> None:
        self.received = False
        self.ending = ("interrupted", 130)
        self._handled: list[int] = []
        self._task: asyncio.Task[object] | None = None
        self._terminated: asyncio.Task[object] | None = None
        """Cancelled as soon as the event loop runs."""

    def install(self) -> None:
        """Let the signals and Ctrl-C end the process at once. Must be called in the main thread.

        While modules are imported, Python may print and ignore an exception that a handler raises.
        """
        self._handled.clear()
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number == signal.SIGTERM or (number and signal.getsignal(number) is not signal.SIG_IGN):
                self._handled.append(number)
                signal.signal(number, self._exit)

    def begin(self) -> None:
        """Let them end the command in order, which begins now."""
        for number in self._handled:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else self._handle)

    @contextlib.contextmanager
    def cancels(self, task: asyncio.Task[object] | None) -> Generator[None]:
        """Cancel the task on the first signal; any other raises ``KeyboardInterrupt``."""
        self._task = task
        try:
            yield
        finally:
            self._task = None

    @contextlib.contextmanager
    def interrupts(self) -> Generator[None]:
        """Let the signals and Ctrl-C raise ``KeyboardInterrupt`` in work that blocks the event loop.

        The loop cannot cancel a task while the main thread waits, as for the reader of a full pipe.
        """
        if self._terminated is not None and not self._terminated.cancelling():
            raise KeyboardInterrupt
        task, self._task = self._task, None
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):  # it is not ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            self._task = task
            if callable(handler):
                signal.signal(signal.SIGINT, handler)

    def _exit(self, number: int, _frame: FrameType | None) -> None:
        self._note(number)
        with contextlib.suppress(OSError):
            if sys.stderr is not None:
                os.write(sys.stderr.fileno(), f"{self.ending[0]}\n".encode())
        os._exit(self.ending[1])

    def _note(self, number: int) -> None:
        if number != signal.SIGINT:
            self.received = True
            self.ending = ("terminated" if number == signal.SIGTERM else "hung up", 128 + number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        task, self._task = self._task, None
        self._note(number)
        if task is None:
            raise KeyboardInterrupt
        self._terminated = task
        task.get_loop().call_soon_threadsafe(task.cancel)


termination = Termination()
