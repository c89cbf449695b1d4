"""Parts on their way to the disk: written side by side, named in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiwyn_async._core.threads import in_thread
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async.arrow._rows import PageRows, RowCounts
from aiwyn_async.export._joining import AppendedFile, FileAssembler
from aiwyn_async.export._part_writers import PartWriter
from aiwyn_async.export._partial import Part, PartLocation, Staging
from aiwyn_async.export._reports import combine
from aiwyn_async.export._source import Report

__all__ = ["Parts"]

MAX_UNCOMMITTED: Final = 2
"""Parts that are written and wait for the disk, while others are written."""


class _Reached(NamedTuple):
    """How far the reading is after the pages of a part, and the rows of these that it left out."""

    checkpoint: Checkpoint
    report: Report
    unread: list[BadRow]


class Parts:
    """What is being written of one export. A part gets its name in the manifest after all before it.

    Args:
        partial: where the parts lie.
        writer: writes them.
        on_bad_row: what becomes of rows that do not fit.
        before: the report of the runs before, or None.
        joining: is given each part with a name.
    """

    def __init__(
        self,
        partial: Staging,
        writer: PartWriter,
        on_bad_row: OnBadRow,
        before: Report | None,
        joining: FileAssembler | AppendedFile,
    ) -> None:
        self._partial = partial
        self._joining = joining
        self._writer = writer
        self._on_bad_row: OnBadRow = on_bad_row
        self._before = before
        self._at_once = 1 if partial.grows else writer.at_once
        self._writing: set[asyncio.Future[Part]] = set()
        self._unnamed: deque[asyncio.Future[None]] = deque()
        self._last: asyncio.Future[None] | None = None
        self._next = partial.parts
        self._size = partial.size
        self._noticed = RowCounts()

    async def add(self, pages: Sequence[Page[Any]], report: Report, unread: list[BadRow]) -> None:
        """Begin to write a part, once there is room for it.

        Args:
            pages: whose rows it has.
            report: of this run, up to these pages.
            unread: rows that were left out of these pages when they were read.

        Raises:
            ExportError, DecodeError: from a part before this one; nothing after it is named.
        """
        await self._room()
        place, self._next = self._partial.location_of(self._next, self._size), self._next + 1
        rows = PageRows.of(pages, self._on_bad_row)
        writing = asyncio.ensure_future(self._writer.write(place, rows))
        self._writing.add(writing)
        reached = _Reached(pages[-1].checkpoint, combine(None, report), unread)
        self._last = asyncio.ensure_future(self._name(place, writing, rows, reached, self._last))
        self._unnamed.append(self._last)

    async def drain(self) -> None:
        """Wait for all parts.

        Raises:
            ExportError, DecodeError: from the first that failed; it and those after it are not named.
        """
        ended = await asyncio.gather(*self._unnamed, return_exceptions=True)
        self._unnamed.clear()
        for error in filter(None, ended):
            raise error

    def added_up(self, report: Report) -> Report:
        """A report of this run as one of the whole export, with the rows that did not fit their columns."""
        found = combine(self._before, report)
        self._noticed.add_to(found)
        return found

    async def _room(self) -> None:
        """Wait until another part may be written."""
        while len(self._writing) >= self._at_once:
            written, self._writing = await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)
            for each in written:
                self._size += each.result().size
        while len(self._unnamed) >= self._at_once + MAX_UNCOMMITTED:
            await asyncio.shield(self._unnamed[0])
            self._unnamed.popleft()

    async def _name(
        self,
        place: PartLocation,
        writing: asyncio.Future[Part],
        rows: PageRows,
        reached: _Reached,
        before: asyncio.Future[None] | None,
    ) -> None:
        part = await writing
        rows.release()
        if before is not None:
            await asyncio.shield(before)
        rows.counts.add_to(self._noticed)
        told = self.added_up(reached.report)
        bad_rows = [*reached.unread, *rows.bad_rows]
        await in_thread(lambda: self._partial.commit_part(part, place, reached.checkpoint, told, bad_rows))
        self._joining.add(place.path)
