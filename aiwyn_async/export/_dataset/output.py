"""An export to a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiwyn_async._core.threads import in_thread
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import ExportError
from aiwyn_async.export._dataset.folder import Folder
from aiwyn_async.export._dataset.manifest import DatasetManifest
from aiwyn_async.export._dataset.state import DatasetState
from aiwyn_async.export._file import max_threads
from aiwyn_async.export._source import Report, Source
from aiwyn_async.export._state import ReadState

if TYPE_CHECKING:  # it needs an extra
    from aiwyn_async.export._dataset.files import DatasetFiles


class DatasetOutput:
    """A folder of Parquet files, which retains ``keep`` complete runs."""

    reads_raw_pages = True

    def __init__(self, folder: Folder, source: Source, files: DatasetFiles, *, keep: int) -> None:
        self.path = folder.name
        self.state = DatasetState(folder, source.manifest(DatasetManifest, str(files), run=""), keep=keep)
        self._files = files

    def check_writable(self) -> None:
        """Do nothing: the folder is checked when it is locked."""

    def check_existing(self, *, may_replace: bool) -> None:
        """Refuse to replace a complete run unless that is wanted."""
        if not may_replace and self.state.has_complete_run:
            raise ExportError(
                f"{self.path} already has a complete dataset; pass force=True or replace=True to replace it"
            )

    def size(self) -> int:
        return self.state.size

    @asynccontextmanager
    async def open(self, report: Callable[[], Report]) -> AsyncGenerator[DatasetWriter]:
        writer = DatasetWriter(self.state, self._files, report)
        try:
            yield writer
        finally:
            await writer.wait()


class DatasetWriter:
    """Converts parts to tables, and writes a file for many of them."""

    def __init__(self, state: DatasetState, files: DatasetFiles, report: Callable[[], Report]) -> None:
        self.max_concurrent = max_threads()
        self._state = state
        self._files = files
        self._report = report
        self._tables: list[Any] = []
        self._read: ReadState | None = None
        """The state of the read after the last of the tables."""
        self._writing: asyncio.Future[None] | None = None

    def write(self, number: int, rows: PageRows) -> Any:  # noqa: ARG002 (files have numbers of their own)
        return self._files.table(rows)

    async def commit(self, part: Any, state: ReadState) -> None:
        """Add a table; if there are enough rows for a file, start to write one first."""
        if self._files.is_full(self._tables, part):
            await self._start_file()
        earlier = [] if self._read is None else self._read.bad_rows
        self._tables.append(part)
        self._read = state._replace(bad_rows=[*earlier, *state.bad_rows])

    async def flush(self) -> None:
        await self._start_file()
        await self.wait()

    async def finish(self) -> int:
        """Move the files to their folder, replace the manifest, and return the bytes of all files."""
        return await in_thread(self._publish)

    async def wait(self) -> None:
        """Wait for the file that is being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _start_file(self) -> None:
        """Write a file while more rows are read, after the file before it."""
        await self.wait()
        tables, read = self._tables, self._read
        if read is not None:
            self._tables, self._read = [], None
            self._writing = asyncio.ensure_future(in_thread(lambda: self._write_file(tables, read)))

    def _write_file(self, tables: list[Any], read: ReadState) -> None:
        contents, sums = self._files.encode(tables, self._state.run, self._state.parts)
        self._state.commit(contents, sums, read)

    def _publish(self) -> int:
        report = self._report()
        if not self._state.parts:
            contents, _ = self._files.encode([self._files.empty_table()], self._state.run, 0)
            self._state.commit_empty(contents, report)
        return self._state.publish(report)
