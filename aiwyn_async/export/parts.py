"""Parts on their way to the disk: written side by side, named in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiwyn_async.arrow.rows import PageRows
from aiwyn_async.export.joining import Joining
from aiwyn_async.export.part_writers import PartWriter
from aiwyn_async.export.partial import Partial
from aiwyn_async.export.reports import added_up
from aiwyn_async.export.source import Report
from aiwyn_async.models.envelopes import BadRow, OnBadRow
from aiwyn_async.pagination.page import Page
from aiwyn_async.threads import in_thread

__all__ = ["Parts"]


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
        partial: Partial,
        writer: PartWriter,
        on_bad_row: OnBadRow,
        before: Report | None,
        joining: Joining,
    ) -> None:
        self._partial = partial
        self._joining = joining
        self._writer = writer
        self._on_bad_row: OnBadRow = on_bad_row
        self._before = before
        self._under_way: deque[asyncio.Future[None]] = deque()
        self._last: asyncio.Future[None] | None = None
        self._next = len(partial.parts())
        self._misfits = 0
        self.bad_rows: list[BadRow] = []

    async def add(self, pages: Sequence[Page[Any]], report: Report) -> None:
        """Begin to write a part, once there is room for it.

        Raises:
            ExportError, DecodeFailed: from a part before this one; nothing after it is named.
        """
        while len(self._under_way) >= self._writer.at_once:
            await asyncio.shield(self._under_way[0])
            self._under_way.popleft()
        number, self._next = self._next, self._next + 1
        self._last = asyncio.ensure_future(self._write(number, pages, added_up(None, report), self._last))
        self._under_way.append(self._last)

    async def settle(self) -> None:
        """Wait for all parts.

        Raises:
            ExportError, DecodeFailed: from the first that failed; it and those after it are not named.
        """
        ended = await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()
        for error in filter(None, ended):
            raise error

    def added_up(self, report: Report) -> Report:
        """A report of this run as one of the whole export, with the rows that did not fit their columns."""
        found = added_up(self._before, report)
        found.bad_rows += self._misfits
        return found

    async def _write(
        self, number: int, pages: Sequence[Page[Any]], report: Report, before: asyncio.Future[None] | None
    ) -> None:
        checkpoint = pages[-1].checkpoint
        rows = PageRows.of(pages, self._on_bad_row)
        del pages
        written = await self._writer.write(self._partial.path_of(number), rows)
        rows.let_go()
        if before is not None:
            await asyncio.shield(before)
        self._misfits += rows.misfits
        self.bad_rows += rows.bad_rows
        told = self.added_up(report)
        self._joining.add(await in_thread(lambda: self._partial.name(written, checkpoint, told)))
