"""``Pager``, which ``list()`` and ``search()`` return."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing, contextmanager
from itertools import chain
from typing import Any, Final, Never, TypeVar, overload

import msgspec

from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import LastChunk
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import ReportedRead
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async.errors import IncompleteError, PaginationError, RequestError

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

LIST_OPTIONS: Final = ("page_size", "limit", "strict", "on_bad_row", "resume")


class Pager(ReportedRead[RowT, ListReport]):
    """The rows of a list or search, page by page.

    ``async for`` yields the rows of all pages, ``await`` returns the first ``Page``, ``pages()`` yields
    pages. Rows are yielded before the rest of their page is decoded, so an error in a page is raised after
    the rows before it.

    Raises:
        ConfigurationError: an option is out of bounds, or the checkpoint belongs to another query.
    """

    def __init__(
        self, session: Session, query: Query, row_type: type[RowT], options: ReadOptions | None = None
    ) -> None:
        super().__init__(session, query, row_type, options)
        self._report = ListReport()
        self._bad_rows: list[BadRow] = []
        self._position: Position | None = None
        if self.options.resume is not None:
            self._position = self.options.resume.position_for(query.path, query.fingerprint())
            # Raises before anything is sent if the position is damaged.
            query.pagination(self.options.page_size, self.options.limit, self._position)

    def __await__(self) -> Generator[Any, None, Page[RowT]]:
        """Return the first page."""
        return self._first_page().__await__()

    async def _chunks(self) -> AsyncGenerator[Iterable[RowT], None]:
        with self._use() as pages:
            async with aclosing(pages):
                while (rows := await pages.next_rows()) is not None:
                    is_last = pages.is_drained
                    chunk = LastChunk(rows) if is_last else chain.from_iterable(pages.buffered_blocks(rows))
                    del rows
                    yield chunk
                    del chunk
                    self._advance(pages, pages.checkpoint())
                self._finish(pages)

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        with self._use() as pages:
            async with aclosing(pages):
                while (page := await pages.next_page()) is not None:
                    pages.prefetch()
                    after = page.checkpoint
                    yield (page,)
                    self._advance(pages, after)
                    del page
                self._finish(pages)

    async def first(self) -> RowT | None:
        """Return the first row, or None if there is none; requests one row, more if bad ones are left out."""
        yielded = 0 if self._position is None else self._position.get("yielded", 0)
        one: Pager[RowT] = self._with(limit=yielded + 1)
        rows = await one.collect()
        if not rows and one.report.bad_rows:
            async with aclosing(self.pages()) as pages:
                async for page in pages:
                    if page.items:
                        return page.items[0]
        return rows[0] if rows else None

    async def count(self) -> int:
        """Return the server's count, or the number of keys without one.

        Raises:
            IncompleteError: the server sends no count, or that of a page, and rows may be missing.
            PaginationLoopError: the server keeps returning the same rows.
        """
        keys = {"row_type": key_only(self.query.key), "resume": None, "on_bad_row": "skip", "strict": False}
        one: Pager[Any] = self._with(**keys, page_size=1, limit=1)
        page = await one
        # A server that counts only the rows of its pages reports those of this one, whatever the list has.
        received = one.report.rows_received
        if page.count is not None and (page.count > received or not received):
            return page.count
        read: Pager[Any] = self._with(**keys, limit=None)
        # The page size of the server may be smaller, so that its first page has the count of its rows too.
        read.query = msgspec.structs.replace(read.query, counts_pages=True)
        async with aclosing(read.pages()) as pages:
            async for _ in pages:
                pass
        report = read.report
        if (report.total_count or 0) < report.rows_yielded:  # no count, or that of a page
            report = msgspec.structs.replace(report, total_count=None, total_count_at_start=None)
        if problems := report.blocking_problems():
            text = f"{self.query.path} was not counted completely: {'; '.join(problems)}"
            raise IncompleteError(text, report=read.report)
        return report.rows_yielded

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> Pager[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> Pager[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> Pager[OtherT]: ...
    def decode_as(self, row_type: type[Any]) -> Pager[Any]:
        """Return the same read with rows of a Struct, ``dict`` or ``msgspec.Raw``.

        ``deferred(Invoice)`` is a type too: it decodes an amount or a list when it is first read. A ``dict``
        holds decimals for numbers with a fraction, so that money stays exact.
        """
        pager: Pager[Any] = self._with(row_type=row_type)
        return pager

    async def _first_page(self) -> Page[RowT]:
        with self._use() as pages:
            async with aclosing(pages):
                page = await pages.next_page()
                if page is None:
                    page = pages.empty_page()
        self._advance(pages, page.checkpoint)
        return page

    @contextmanager
    def _use(self) -> Generator[PageIterator[RowT]]:
        """Observe one use, and show an error that ends it."""
        with self._session.observe_read(self.query.path) as observation:
            pages = self._start()
            observation.report = pages.report
            try:
                yield pages
            except (RequestError, PaginationError) as error:
                if self._report is pages.report:
                    self._end_with(error)
                self._advance(pages, error.checkpoint)
                raise

    def _start(self) -> PageIterator[RowT]:
        pages = PageIterator(self._session, self.query, self.page_type, self.options, position=self._position)
        self._report, self._bad_rows, self._checkpoint = pages.report, pages.bad_rows, pages.checkpoint()
        self._end_with(None)
        return pages

    def _finish(self, pages: PageIterator[RowT]) -> None:
        self._advance(pages, pages.checkpoint())
        pages.end(strict=self.strict)

    def _advance(self, pages: PageIterator[RowT], checkpoint: Checkpoint | None) -> None:
        """Show where an iteration is, if it is the latest."""
        if self._report is pages.report:
            self._checkpoint = checkpoint
