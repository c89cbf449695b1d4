"""The whole file, written while its parts still come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, Self

from aiwyn_async._core.threads import in_thread, to_its_end

__all__ = ["AppendedFile", "FileAssembler"]


class _Abandoned(Exception):  # noqa: N818 (never leaves this module)
    """No part will come any more, and the file is not wanted."""


class FileAssembler:
    """Writes a file in a thread, from parts in their order, as they are named.

    Leaving its context without ``finish()`` leaves no file.

    Args:
        write: makes the file of the parts that it is given one by one, and waits for; after the last it gives
            the file its name, and its size in bytes.
        parts: those of an earlier run.
    """

    def __init__(self, write: Callable[[Iterator[Path]], int], parts: Sequence[Path]) -> None:
        self._parts: SimpleQueue[Path | Literal["last", "abandon"]] = SimpleQueue()
        for part in parts:
            self._parts.put(part)
        self._writing = asyncio.ensure_future(in_thread(lambda: write(self._as_they_come())))

    def add(self, part: Path) -> None:
        """Have the next part written.

        Raises:
            ExportError: the parts before it could not be.
        """
        if self._writing.done():
            self._writing.result()
        self._parts.put(part)

    async def finish(self) -> int:
        """There are no more parts: give the file its name; its size in bytes.

        Raises:
            ExportError: the disk refuses.
        """
        self._parts.put("last")
        return await to_its_end(self._writing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._parts.put("abandon")
        # Whatever became of it, the caller has an error of his own to tell.
        await to_its_end(asyncio.gather(self._writing, return_exceptions=True))

    def _as_they_come(self) -> Iterator[Path]:
        while (part := self._parts.get()) != "last":
            if part == "abandon":
                raise _Abandoned
            yield Path(part)


class AppendedFile:
    """The same where the parts were written into the file, one after another.

    Args:
        finish: gives it its name, and its size in bytes.
    """

    def __init__(self, finish: Callable[[], int]) -> None:
        self._finish = finish

    def add(self, part: Path) -> None:
        """It is there."""

    async def finish(self) -> int:
        """Give the file its name; its size in bytes.

        Raises:
            ExportError: the disk refuses.
        """
        return await in_thread(self._finish)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is there is kept."""
