"""What an export reads, whether it is a pager or a pull."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.progress import Progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async.arrow._rows import raw_pages, read_as

__all__ = ["Readable", "Report", "Source"]

Readable = Pager[Any] | Pull[Any]
Report = Any
"""A ``ListReport`` or a ``PullReport``."""


class Source:
    """The pages of a pager or a pull, their rows not decoded: what a row must be, its writer says.

    Args:
        given: what the caller gave. Its report and bad rows are those of the export.
    """

    def __init__(self, given: Readable) -> None:
        self._given = given
        self.row_type: type[Any] = plain_type(given.row_type)
        self.on_bad_row: OnBadRow = given.on_bad_row
        self.server = given.server
        self.strict = given.strict
        self.limit: int | None = given.options.limit
        self._walk: Readable = read_as(given, msgspec.Raw)

    def read_documents(self) -> None:
        """For who takes the rows from the documents of pages."""
        self._walk = raw_pages(self._given)

    @property
    def name(self) -> str:
        """What its endpoint is called: its path without what stands before and after it."""
        parts = self._given.query.path.strip("/").split("/")
        return next(part for part in reversed(parts) if part != "search").replace("-", "_")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Read only what a checkpoint left.

        Raises:
            CheckpointError: it belongs to another query.
        """
        self._walk = self._walk.resume_from(checkpoint)

    def pages(self, on_progress: Callable[[Progress], None] | None) -> AsyncGenerator[Page[Any], None]:
        """Its pages; a pull tells its progress by itself."""
        walk = self._walk
        if isinstance(walk, Pager):
            return walk.pages()
        if on_progress is not None:
            walk.on_progress = _both(walk.on_progress, on_progress)
        return walk.pages()

    @property
    def tells_progress(self) -> bool:
        """True when ``pages()`` tells it."""
        return isinstance(self._walk, Pull)

    @property
    def report(self) -> Report:
        """Of this run."""
        return self._walk.report

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that this run could not read from their pages."""
        return self._walk.bad_rows

    def tell(self, report: Report, bad_rows: list[BadRow]) -> None:
        """Let the caller see at his own object what became of it."""
        self._given.adopt(report, bad_rows)


def _both(
    first: Callable[[Progress], None] | None, second: Callable[[Progress], None]
) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if first is not None:
            first(progress)
        second(progress)

    return tell
