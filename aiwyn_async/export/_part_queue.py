"""Write parts concurrently and commit them in order."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiwyn_async._core.threads import in_thread
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async.arrow._rows import PageRows, RowCounts
from aiwyn_async.export._assemble import AppendedFile, FileAssembler
from aiwyn_async.export._formats import Format
from aiwyn_async.export._manifest import Part
from aiwyn_async.export._part_files import PartLocation, write_part
from aiwyn_async.export._reports import combine
from aiwyn_async.export._source import Report
from aiwyn_async.export._staging import Staging

__all__ = ["PartQueue"]

MAX_THREADS: Final = 2
"""Threads help because JSON is read outside Python's lock."""
MAX_UNCOMMITTED: Final = 2
"""Written parts that wait for the disk while others are written."""


class _Progress(NamedTuple):
    """The state of the read after the pages of a part."""

    checkpoint: Checkpoint
    report: Report
    bad_rows: list[BadRow]


class PartQueue:
    """Writes the parts of one export. A part is committed after all parts before it.

    Args:
        staging: stores the parts.
        file_format: converts rows to bytes.
        on_bad_row: what to do with bad rows.
        before: the report of earlier runs, or None.
        assembler: receives each committed part.
    """

    def __init__(
        self,
        staging: Staging,
        file_format: Format,
        on_bad_row: OnBadRow,
        before: Report | None,
        assembler: FileAssembler | AppendedFile,
    ) -> None:
        self._staging = staging
        self._assembler = assembler
        self._format = file_format
        self._on_bad_row: OnBadRow = on_bad_row
        self._before = before
        self._max_writing = 1 if staging.appends else min(MAX_THREADS, _processor_count())
        self._writing: set[asyncio.Future[Part]] = set()
        self._uncommitted: deque[asyncio.Future[None]] = deque()
        self._last: asyncio.Future[None] | None = None
        self._next_number = staging.parts
        self._size = staging.size
        self._counts = RowCounts()

    async def add(self, pages: Sequence[Page[Any]], report: Report, bad_rows: list[BadRow]) -> None:
        """Start to write a part, as soon as there is capacity.

        Args:
            pages: the pages of the part.
            report: a copy of that of this run, up to these pages.
            bad_rows: rows of these pages that were skipped when they were read.

        Raises:
            ExportError, DecodeError: an earlier part failed; no later part is committed.
        """
        await self._wait_for_capacity()
        location = self._staging.location_of(self._next_number, self._size)
        self._next_number += 1
        rows = PageRows.of(pages, self._on_bad_row)
        writing = asyncio.ensure_future(
            in_thread(lambda: write_part(location, lambda file: self._format.write_part(file, rows)))
        )
        self._writing.add(writing)
        progress = _Progress(pages[-1].checkpoint, report, bad_rows)
        self._last = asyncio.ensure_future(self._commit(location, writing, rows, progress, self._last))
        self._uncommitted.append(self._last)

    async def drain(self) -> None:
        """Wait for all parts.

        Raises:
            ExportError, DecodeError: the error of the first part that failed.
        """
        results = await asyncio.gather(*self._uncommitted, return_exceptions=True)
        self._uncommitted.clear()
        for error in filter(None, results):
            raise error

    def combined_report(self, report: Report) -> Report:
        """Combine reports of this and earlier runs and the counts of written rows."""
        combined = combine(self._before, report)
        self._counts.add_to(combined)
        return combined

    async def _wait_for_capacity(self) -> None:
        while len(self._writing) >= self._max_writing:
            done, self._writing = await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                self._size += future.result().size
        while len(self._uncommitted) >= self._max_writing + MAX_UNCOMMITTED:
            await asyncio.shield(self._uncommitted[0])
            self._uncommitted.popleft()

    async def _commit(
        self,
        location: PartLocation,
        writing: asyncio.Future[Part],
        rows: PageRows,
        progress: _Progress,
        previous: asyncio.Future[None] | None,
    ) -> None:
        part = await writing
        rows.release()
        if previous is not None:
            await asyncio.shield(previous)
        rows.counts.add_to(self._counts)
        report = self.combined_report(progress.report)
        bad_rows = [*progress.bad_rows, *rows.bad_rows]
        await in_thread(
            lambda: self._staging.commit_part(part, location, progress.checkpoint, report, bad_rows)
        )
        self._assembler.add(location.path)


def _processor_count() -> int:
    """Return the number of usable processors: two threads on one share its cache."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on macOS and Windows
        return os.cpu_count() or 1
