"""Assemble the target file from parts, while later ones are being written."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, Self

from aiwyn_async._core.threads import in_thread, running_loop, shielded


class _AbandonedError(Exception):
    """The file is not needed any more. Never leaves this module."""


class FileAssembler:
    """Assembles a file in a thread, part by part as they are committed.

    Leaving its context without ``finish()`` leaves no file.

    Args:
        write: writes the file from an iterator of parts, renames it, and returns its size in bytes.
        parts: those of an earlier run.
    """

    def __init__(self, write: Callable[[Iterator[Path]], int], parts: Sequence[Path]) -> None:
        self._parts: SimpleQueue[Path | Literal["finish", "abandon"]] = SimpleQueue()
        for part in parts:
            self._parts.put(part)
        self._loop = running_loop()
        self._writing = asyncio.ensure_future(in_thread(lambda: write(self._iterate_parts())))

    def add(self, part: Path) -> None:
        """Add the next part.

        Raises:
            ExportError: an earlier part could not be written.
        """
        if self._writing.done():
            self._writing.result()
        self._parts.put(part)

    async def finish(self) -> int:
        """Wait until the file is complete and renamed, and return its size in bytes."""
        self._parts.put("finish")
        return await shielded(self._writing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._parts.put("abandon")
        # Its result is irrelevant here: the caller raises an error already.
        await shielded(asyncio.gather(self._writing, return_exceptions=True))

    def _iterate_parts(self) -> Iterator[Path]:
        while (part := self._next_part()) != "finish":
            if part == "abandon":
                raise _AbandonedError
            yield Path(part)

    def _next_part(self) -> Path | Literal["finish", "abandon"]:
        while self._loop.is_running() or threading.main_thread().is_alive():
            with contextlib.suppress(Empty):
                return self._parts.get(timeout=1)
        return "abandon"  # Ctrl-C stopped the loop for good; Python waits for this thread at its exit
