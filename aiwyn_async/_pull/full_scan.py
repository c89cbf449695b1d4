"""A pull by page number: reads the whole list until two scans have the same keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.requests import ATTEMPTS_PER_PAGE, may_be_page_size, with_attempts, without_retries
from aiwyn_async.errors import RequestError
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")

MAX_SCANS: Final = 6
MAX_SCANS_WITHOUT_KEY: Final = 2
"""Rows without a key are yielded by the first scan; the second one can only confirm them."""
RESTART: Final[Position] = {"method": "full_scan"}
"""A pull by full scans resumes at its start: a checkpoint cannot hold the keys of all yielded rows."""


class ScanKeys(KeySet):
    """The keys yielded by full scans. Only the first scan yields rows without a key.

    Attributes:
        rows_without_key: rows without a key in the current scan.
    """

    def __init__(self, known: KeySet) -> None:
        super().__init__()
        self._known = known
        self._scans = 0
        self.rows_without_key = 0

    def start_scan(self) -> None:
        self._scans += 1
        self.rows_without_key = 0

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys and return the indices of the rows to yield, or None for all."""
        new = self._known.add_new(keys)
        if None not in keys:
            return new
        self.rows_without_key += sum(key is None for key in keys)
        if self._scans == 1:
            return new
        return [index for index in (range(len(keys)) if new is None else new) if keys[index] is not None]


class FullScan(Generic[RowT]):
    """One iteration over a pull by page number. Yields the union of all scans, by key.

    Rows without a key cannot be distinguished: the first scan yields them, later scans are only compared.

    ``bind`` binds a position to the query; ``yielded_keys`` are those of rows that were yielded before. The
    report is updated during the read.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        options: ReadOptions,
        *,
        report: PullReport,
        bind: Callable[[Position], Checkpoint],
        yielded_keys: KeySet,
    ) -> None:
        self._session = with_attempts(session, ATTEMPTS_PER_PAGE)
        self._query = query
        self._row_type = row_type
        self._options = options
        self._yielded = ScanKeys(yielded_keys)
        self._bind = bind
        self._has_keys = bool(query.key)
        self._scan: PageIterator[RowT] | None = None
        self._previous: tuple[KeySet, int] | None = None
        """The keys, and a sum of the rows, of the previous scan."""
        self._number = 0
        self.report = report
        self.bad_rows: list[BadRow] = []
        report.method, report.deduplicated = "full_scan", self._has_keys
        report.min_page_size = options.page_size

    def checkpoint(self) -> Checkpoint:
        """Return where to resume: at the start."""
        return self._bind(RESTART)

    def prefetch(self) -> None:
        if self._scan is not None:
            self._scan.prefetch()

    async def next_page(self) -> Page[RowT] | None:
        """Return the next page of new rows, or None after the last scan.

        Raises:
            RequestError, PaginationError: a scan cannot be completed.
        """
        while not self.report.finished:
            if self._scan is None:
                self._scan = self._start_scan()
            try:
                page = await self._scan.next_page()
            except RequestError as error:
                await self._restart_with_smaller_pages(self._scan, error)
                continue
            if page is None:
                await self._finish_scan(self._scan)
            elif self._has_keys or self.report.scans == 0:
                self.report.rows_yielded += len(page.items)
                page.number, self._number = self._number, self._number + 1
                page.checkpoint = self.checkpoint()
                return page
        return None

    async def aclose(self) -> None:
        if self._scan is not None:
            await self._scan.aclose()

    def _start_scan(self) -> PageIterator[RowT]:
        self._yielded.start_scan()
        # One scan requests the page behind a whole list: two scans agree on the first page of any list.
        query = msgspec.structs.replace(self._query, counts_pages=self.report.scans > 0)
        yielded = self._yielded if self._has_keys else None
        return PageIterator(self._session, query, self._row_type, self._options, yielded_keys=yielded)

    async def _finish_scan(self, scan: PageIterator[RowT]) -> None:
        """Compare a scan with the previous one."""
        await self._close_scan(scan)
        report = self.report
        current = (scan.keys, scan.sum_of_rows)
        report.scans += 1
        report.scans_agree = self._previous == current
        self._previous = current
        max_scans = MAX_SCANS if self._has_keys else MAX_SCANS_WITHOUT_KEY
        if report.scans_agree or report.scans >= max_scans:
            report.unaccounted_rows = max(0, (report.total_count_at_end or 0) - report.rows_yielded)
            report.finished = True

    async def _close_scan(self, scan: PageIterator[RowT]) -> None:
        """Close a scan and add its report."""
        await scan.aclose()
        self._scan = None
        report, added = self.report, scan.report
        if report.total_count_at_start is None:
            report.total_count_at_start = added.total_count_at_start
        report.total_count_at_end = added.total_count
        report.pages += added.pages
        report.rows_received += added.rows_received
        report.bytes += added.bytes
        report.requests += added.requests
        report.retries += added.retries
        report.peak_concurrency = max(report.peak_concurrency, scan.peak_concurrency)
        report.duplicates += added.duplicates
        if self._has_keys or report.scans == 0:  # with keys, a scan has no bad row of earlier ones
            report.bad_rows += added.bad_rows
            report.rows_yielded += added.bad_rows
            self.bad_rows += scan.bad_rows
        report.repaired_rows = max(report.repaired_rows, added.repaired_rows)
        report.unknown_fields = added.unknown_fields | report.unknown_fields
        report.deduplicated = report.deduplicated and added.deduplicated
        report.rows_without_key = max(report.rows_without_key, self._yielded.rows_without_key)
        # Of the last scan only: rows on short pages of earlier ones are yielded by it.
        report.short_pages = added.short_pages

    async def _restart_with_smaller_pages(self, scan: PageIterator[RowT], error: RequestError) -> None:
        """Start the scan again with half the page size, since page numbers depend on it.

        Raises:
            RequestError: the same error; the page size is not its cause, or rows without a key would be
                yielded twice.
        """
        await self._close_scan(scan)
        report = self.report
        report.requests += scan.failed_attempts
        report.retries += max(0, scan.failed_attempts - 1)
        may_restart = self._has_keys or report.scans > 0 or not self._number
        may_shrink = may_be_page_size(error) and report.min_page_size > 1
        if not may_restart or not may_shrink or not await self._single_row_works():
            raise error
        report.min_page_size //= 2
        self._options = msgspec.structs.replace(self._options, page_size=report.min_page_size)

    async def _single_row_works(self) -> bool:
        """Return whether the page fails and not the server."""
        # If nothing was received, one attempt: the page itself had all of them.
        session = self._session if self.report.pages else without_retries(self._session)
        try:
            await session.call(self._query.request({self._query.page_size_key: 1, "page": 0}))
        except RequestError:
            return False
        return True
