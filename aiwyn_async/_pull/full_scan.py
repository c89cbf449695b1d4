"""A pull by page number: the whole list again and again, until two passes over it gave the same keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from aiwyn_async._core.reports import PullReport
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._http.messages import Request, encode_json
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.failures import ATTEMPTS_PER_PAGE, can_be_the_size, with_attempts
from aiwyn_async.errors import RequestError
from aiwyn_async.models.base import Id

__all__ = ["RESTART", "FullScan"]

RowT = TypeVar("RowT")

MAX_SCANS: Final = 6
MAX_SCANS_WITHOUT_KEY: Final = 2
"""The first pass has given its rows, and no later one could take them back."""
RESTART: Final[Position] = {"method": "full_scan"}
"""Where a pull by passes goes on: at its beginning, since no small checkpoint can hold the keys it gave."""


class FullScan(Generic[RowT]):
    """One use of a pull by page number. What is given is the union of all passes, by key.

    Rows without a key cannot be told apart: those of the first pass are given, and the others only compared.

    Args:
        session: sends the requests.
        query: what is asked; its walk goes by page number.
        row_type: of the rows that are given.
        page_size: rows a request, at most.
        on_bad_row: what to do with a row that does not decode.
        report: to be written.
        bind: makes a checkpoint of a position.
        given: the keys of rows given already.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        *,
        page_size: int,
        on_bad_row: OnBadRow,
        report: PullReport,
        bind: Callable[[Position], Checkpoint],
        given: KeySet,
    ) -> None:
        self._session = with_attempts(session, ATTEMPTS_PER_PAGE)
        self._query = query
        self._row_type = row_type
        self._page_size = page_size
        self._on_bad_row: OnBadRow = on_bad_row
        self._given = _YieldedKeys(given)
        self._bind = bind
        self._has_keys = bool(query.key)
        self._run: PageIterator[RowT] | None = None
        self._before: tuple[KeySet, int] | None = None
        self._number = 0
        self.report = report
        self.bad_rows: list[BadRow] = []
        report.method, report.deduplicated = "full_scan", self._has_keys
        report.min_page_size = page_size

    def checkpoint(self) -> Checkpoint:
        """Where to go on, at any time."""
        return self._bind(RESTART)

    def prefetch(self) -> None:
        """Begin what may be asked now."""
        if self._run is not None:
            self._run.prefetch()

    async def next_page(self) -> Page[RowT] | None:
        """The next page with rows not given before, or None when two passes agree or do not come to it.

        Raises:
            RequestError, PaginationError: a pass cannot be walked to its end.
        """
        while not self.report.finished:
            if self._run is None:
                self._run = self._start_scan()
            try:
                page = await self._run.next_page()
            except RequestError as error:
                await self._restart_with_smaller_pages(self._run, error)
                continue
            if page is None:
                await self._finish_scan(self._run)
            elif self._has_keys or self.report.scans == 0:
                self.report.rows_yielded += len(page.items)
                page.number, self._number = self._number, self._number + 1
                page.checkpoint = self.checkpoint()
                return page
        return None

    async def aclose(self) -> None:
        """End what is in flight."""
        if self._run is not None:
            await self._run.aclose()

    def _start_scan(self) -> PageIterator[RowT]:
        walk = self._query.pagination(self._page_size, None, None)
        given = self._given if self._has_keys else None
        self._given.next_scan()
        return PageIterator(
            self._session,
            self._query,
            walk,
            self._row_type,
            limit=None,
            on_bad_row=self._on_bad_row,
            resumed=False,
            given=given,
        )

    async def _finish_scan(self, run: PageIterator[RowT]) -> None:
        """Hold a pass against the one before."""
        await self._finish(run)
        report = self.report
        found = (run.keys, run.sum_of_rows)
        report.scans += 1
        report.scans_agree = self._before == found
        self._before = found
        if report.scans == 1:
            self.bad_rows += run.bad_rows
        most = MAX_SCANS if self._has_keys else MAX_SCANS_WITHOUT_KEY
        if report.scans_agree or report.scans >= most:
            report.rows_yielded += report.bad_rows
            report.unaccounted_rows = max(0, (report.total_count_at_end or 0) - report.rows_yielded)
            report.finished = True

    async def _finish(self, run: PageIterator[RowT]) -> None:
        """End a pass, and count what it cost."""
        await run.aclose()
        self._run = None
        report, walk = self.report, run.report
        if report.total_count_at_start is None:
            report.total_count_at_start = walk.total_count_at_start
        report.total_count_at_end = walk.total_count
        report.pages += walk.pages
        report.rows_received += walk.rows_received
        report.bytes += walk.bytes
        report.requests += walk.requests
        report.retries += walk.retries
        report.peak_concurrency = max(report.peak_concurrency, run.depth)
        report.duplicates += walk.duplicates
        report.bad_rows = max(report.bad_rows, walk.bad_rows)
        report.repaired_rows = max(report.repaired_rows, walk.repaired_rows)
        report.unknown_fields = walk.unknown_fields | report.unknown_fields
        report.deduplicated = report.deduplicated and walk.deduplicated
        report.rows_without_key = max(report.rows_without_key, self._given.rows_without_key)
        report.short_pages = (
            walk.short_pages
        )  # of the last pass: rows that it lacks and another has were given

    async def _restart_with_smaller_pages(self, run: PageIterator[RowT], error: RequestError) -> None:
        """A page failed that may be too large: pages are numbered by one size, so the pass begins again.

        Raises:
            RequestError: the same error, when it is not the size, or rows without a key would be given twice.
        """
        await self._finish(run)
        report = self.report
        report.requests += len(error.attempts)
        report.retries += max(0, len(error.attempts) - 1)
        may_begin_again = self._has_keys or report.scans > 0 or not self._number
        may_shrink = can_be_the_size(error) and self._page_size > 1
        if not may_begin_again or not may_shrink or not await self._single_row_works():
            raise error
        self._page_size //= 2
        report.min_page_size = self._page_size

    async def _single_row_works(self) -> bool:
        """Whether it is the page that fails, or the server."""
        body = self._query.fields | {self._query.page_size_key: 1, "page": 0}
        try:
            await self._session.call(Request(method="POST", path=self._query.path, body=encode_json(body)))
        except RequestError:
            return False
        return True


class _YieldedKeys(KeySet):
    """The keys of rows given. A row that lacks its key is given in the first pass alone, and counted."""

    def __init__(self, known: KeySet) -> None:
        super().__init__()
        self._known = known
        self._scans = 0
        self.rows_without_key = 0
        """Rows of this pass."""

    def next_scan(self) -> None:
        """A pass begins."""
        self._scans += 1
        self.rows_without_key = 0

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys; the indices of rows to give, or None for all."""
        new = self._known.add_new(keys)
        if None not in keys:
            return new
        self.rows_without_key += sum(key is None for key in keys)
        if self._scans == 1:
            return new
        return [index for index in (range(len(keys)) if new is None else new) if keys[index] is not None]
