"""An export to one file, which is assembled from parts while later ones are being written."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal, Self

from aiwyn_async._core.files import leftovers
from aiwyn_async._core.threads import in_thread, running_loop, shielded
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.export._formats import Format
from aiwyn_async.export._manifest import Manifest, Part
from aiwyn_async.export._part_files import PartLocation, write_part
from aiwyn_async.export._source import Report, Source
from aiwyn_async.export._staging import Staging
from aiwyn_async.export._state import ReadState
from aiwyn_async.export._target import Target

MAX_THREADS: Final = 2
"""Threads help because JSON is read outside Python's lock."""


class FileOutput:
    """A file, assembled from parts in a staging directory.

    Attributes:
        path: of the file.
        reads_raw_pages: it needs whole response bodies instead of single rows.
    """

    def __init__(self, path: Path, file_format: Format, source: Source) -> None:
        self.path = str(path)
        self.reads_raw_pages = file_format.reads_raw_pages
        new = source.manifest(Manifest, file_format.identity)
        self.state = Staging(path, new, appends=file_format.assemble is None)
        self._format = file_format
        self._target = Target(path, file_format.shared_file)

    def check_writable(self) -> None:
        self._target.check_folder()

    def check_existing(self, *, may_replace: bool) -> None:
        self._target.check_file(may_replace=may_replace)

    def size(self) -> int:
        return self._target.path.stat().st_size

    @asynccontextmanager
    async def open(self, report: Callable[[], Report]) -> AsyncGenerator[FileWriter]:
        """Assemble the file while its parts are written, unless they are appended to one file.

        Leaving the context without ``finish()`` leaves only what a resumed export needs. ``report`` returns
        the final report, once all rows are read.
        """
        assemble, staging = self._format.assemble, self.state
        if assemble is None:
            yield FileWriter(
                staging, self._format, lambda: in_thread(lambda: self._move_appended_file(report()))
            )
            return

        def write(parts: Iterator[Path]) -> int:
            def write_file(path: Path) -> None:
                assemble(parts, path)
                staging.record_assembled(path, report())

            size = self._target.write(staging.folder, write_file)
            # Its fingerprint differs if the table was written into an existing file.
            with leftovers(self.path):
                staging.record_assembled(self._target.path, report())
            return size

        async with FileAssembler(write, [location.path for location in staging.locations()]) as assembler:
            yield FileWriter(staging, self._format, assembler.finish, assembler.add)

    def _move_appended_file(self, report: Report) -> int:
        path = self.state.appended_file()
        if not self.state.size:  # a compressed file without rows is not an empty file
            write_part(
                PartLocation(path), lambda file: self._format.write_part(file, PageRows([], "raise", ""))
            )
        self.state.record_assembled(path, report)
        return self._target.move(path)


class FileWriter:
    """Writes each part into the staging directory: ``write()`` in threads, ``commit()`` in order.

    ``finish`` renames the complete file and returns its size in bytes. ``assemble`` receives each committed
    part; None if parts are appended to one file.
    """

    def __init__(
        self,
        staging: Staging,
        file_format: Format,
        finish: Callable[[], Awaitable[int]],
        assemble: Callable[[Path], None] | None = None,
    ) -> None:
        self.max_concurrent = 1 if staging.appends else max_threads()
        self._staging = staging
        self._format = file_format
        self.finish = finish
        self._assemble = assemble
        self._size = staging.size

    def write(self, number: int, rows: PageRows) -> tuple[Part, PartLocation]:
        """Write a part; appended parts are written one by one."""
        location = self._staging.location_of(number, self._size)
        part = write_part(location, lambda file: self._format.write_part(file, rows))
        if self._staging.appends:
            self._size += part.size
        return part, location

    async def commit(self, part: tuple[Part, PartLocation], state: ReadState) -> None:
        """Sync a part to the disk, name it in the manifest, and assemble it."""
        written, location = part
        await in_thread(lambda: self._staging.commit_part(written, location, state))
        if self._assemble is not None:
            self._assemble(location.path)

    async def flush(self) -> None:
        """Do nothing: each part is committed at once."""


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
        while self._loop.is_running() or (threading.main_thread().is_alive() and not self._loop.is_closed()):
            with contextlib.suppress(Empty):
                return self._parts.get(timeout=1)
        # Ctrl-C stopped the loop for good. This thread holds the lock, and Python waits for it at its exit.
        return "abandon"


def max_threads() -> int:
    """Return the number of threads that convert rows: two on one processor share its cache."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not available on macOS and Windows
        processors = os.cpu_count() or 1
    return min(MAX_THREADS, processors)
