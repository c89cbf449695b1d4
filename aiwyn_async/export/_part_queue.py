"""Write parts concurrently and commit them in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from aiwyn_async._core.threads import in_thread
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Page
from aiwyn_async.arrow._rows import PageRows, RowCounts
from aiwyn_async.export._dataset.output import DatasetWriter
from aiwyn_async.export._file import FileWriter
from aiwyn_async.export._source import Report, Source, combine
from aiwyn_async.export._state import ReadState

Writer = FileWriter | DatasetWriter

MAX_UNCOMMITTED: Final = 2
"""Written parts that wait for the disk while others are written."""


class PartQueue:
    """Writes the parts of one export. A part is committed after all parts before it.

    ``before`` is the report of earlier runs, ``parts`` the number of their parts.
    """

    def __init__(self, writer: Writer, source: Source, before: Report | None, parts: int) -> None:
        self._writer = writer
        self._source = source
        self._before = before
        self._writing: set[asyncio.Future[Any]] = set()
        self._uncommitted: deque[asyncio.Future[None]] = deque()
        self._last: asyncio.Future[None] | None = None
        self._next_number = parts
        self._counts = RowCounts()

    async def add(self, pages: Sequence[Page[Any]], report: Report, bad_rows: list[BadRow]) -> None:
        """Start to write a part, as soon as there is capacity.

        ``report`` is a copy of that of this run, up to these pages; ``bad_rows`` are their skipped rows.

        Raises:
            ExportError, DecodeError: an earlier part failed; no later part is committed.
        """
        await self._wait_for_capacity()
        number = self._next_number
        self._next_number += 1
        rows = PageRows(pages, self._source.on_bad_row, self._source.key)
        writing = asyncio.ensure_future(in_thread(lambda: self._writer.write(number, rows)))
        self._writing.add(writing)
        state = ReadState(pages[-1].checkpoint, report, bad_rows)
        self._last = asyncio.ensure_future(self._commit(writing, rows, state, self._last))
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
        await self._writer.flush()

    def combined_report(self, report: Report) -> Report:
        """Combine reports of this and earlier runs and the counts of written rows."""
        combined = combine(self._before, report)
        self._counts.add_to(combined)
        return combined

    async def _wait_for_capacity(self) -> None:
        while len(self._writing) >= self._writer.max_concurrent:
            done, self._writing = await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
        while len(self._uncommitted) >= self._writer.max_concurrent + MAX_UNCOMMITTED:
            await asyncio.shield(self._uncommitted[0])
            self._uncommitted.popleft()

    async def _commit(
        self,
        writing: asyncio.Future[Any],
        rows: PageRows,
        state: ReadState,
        previous: asyncio.Future[None] | None,
    ) -> None:
        part = await writing
        rows.release()
        if previous is not None:
            await asyncio.shield(previous)
        rows.counts.add_to(self._counts)
        report = self.combined_report(state.report)
        bad_rows = [*state.bad_rows, *rows.bad_rows]
        await self._writer.commit(part, ReadState(state.checkpoint, report, bad_rows))
