"""One use of a pager: requests, confirms and decodes pages, returns rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow, DecodedRows
from aiwyn_async._http.messages import Response
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.confirm import Evidence, confirm
from aiwyn_async._pagination.in_blocks import PageInBlocks
from aiwyn_async._pagination.page import Checkpoint, Page, PageMeta, Position
from aiwyn_async._pagination.page_processor import Candidate, PageProcessor
from aiwyn_async._pagination.prefetch import AdaptiveDepth, Prefetcher, Timer
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pagination.strategy import PageDecision, PageRequest
from aiwyn_async.errors import AiwynError, IncompleteError, PaginationError, RequestError

RowT = TypeVar("RowT")

INITIAL_DEPTH: Final = 4
MAX_BYTES_IN_FLIGHT: Final = 32 * 1024 * 1024


class PageIterator(Generic[RowT]):
    """One use of a pager.

    Args:
        session: sends the requests.
        query: the query of the read.
        row_type: type of the rows.
        options: the page size, the limit and what to do with a row that does not decode.
        position: where a read that resumes starts, or None.
        yielded_keys: keys whose rows are not yielded again; those of yielded rows are added.
        depth: pages in flight at first.
        timer: measures waits and work.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        options: ReadOptions,
        *,
        position: Position | None = None,
        yielded_keys: KeySet | None = None,
        depth: int = INITIAL_DEPTH,
        timer: Timer = time,
    ) -> None:
        self._query = query
        self._pagination = query.pagination(options.page_size, options.limit, position)
        self._timer = timer
        self._started = timer.perf_counter()
        # A bound method would be a cycle: the keys of a read would stay until a garbage collection.
        self._fetch = partial(_fetch, session, query)
        self._prefetcher: Prefetcher[PageRequest, Response] = Prefetcher(
            self._fetch, depth, session.limiter.slots
        )
        self._reader = PageReader(session, query, row_type, options.on_bad_row)
        self._processor = PageProcessor(
            query,
            self._pagination,
            self._reader,
            limit=options.limit,
            position=position,
            yielded_keys=yielded_keys,
        )
        self.keys: KeySet = self._processor.keys
        """The keys of all rows received."""
        self._started_page: tuple[PageRequest, PageInBlocks[RowT]] | None = None
        self._may_stream = True
        self._is_unreadable = False
        self.failed_attempts: int = 0
        """Attempts of the request that failed, which the report does not count."""
        self.report: ListReport = self._processor.report
        max_depth = partial(_max_depth, session, self.report)
        self._adaptive_depth = AdaptiveDepth(self._prefetcher, max_depth, timer)
        self.bad_rows: list[BadRow] = self._reader.bad_rows

    @property
    def peak_concurrency(self) -> int:
        """The most requests in flight at once."""
        return self._prefetcher.peak

    @property
    def is_drained(self) -> bool:
        """True if all pages were returned and nothing is in flight, so that the end waits for nothing."""
        is_read = self._pagination.stop_reason is not None and self._started_page is None
        return is_read and not len(self._prefetcher)

    @property
    def sum_of_rows(self) -> int:
        """For rows without a key: the same for the same rows, whatever their order."""
        return self._processor.sum_of_rows

    def checkpoint(self) -> Checkpoint:
        """Return where to resume after the pages returned."""
        return self._processor.checkpoint()

    def prefetch(self) -> None:
        """Send the possible requests, so that they proceed while the caller works."""
        self._prefetcher.fill(self._pagination.next_request)

    async def next_page(self) -> Page[RowT] | None:
        """Return the next page with new rows, or None at the end."""
        while self._pagination.stop_reason is None:
            before = self.checkpoint()
            try:
                page = self._processor.page(*await self._process_page(*await self._next_response()))
            except AiwynError as error:
                self._fail(error, before)
                raise
            if page is not None:
                return page
        return None

    async def next_rows(self) -> list[RowT] | None:
        """Return the next new rows, of a page or of a block of one; None at the end.

        Later rows are decoded on demand, so the caller can release these first. If a page is read in blocks,
        the checkpoint advances with the last one.
        """
        while self._started_page is not None or self._pagination.stop_reason is None:
            before = self.checkpoint()
            try:
                if self._started_page is None:
                    rows = await self._rows_of_next_page()
                else:
                    rows = await self._rows_of_next_block(*self._started_page)
            except AiwynError as error:
                self._fail(error, before)
                raise
            if rows:
                return rows
        return None

    def buffered_blocks(self, rows: list[RowT] | None = None) -> Iterator[list[RowT]]:
        """Yield these rows, then the blocks of the page that need no await, each decoded on demand."""
        if rows:
            yield rows
        while self._started_page is not None and self._started_page[1].blocks_left > 1:
            del rows  # released before the next are decoded, rows stay in the processor's cache
            rows = self._started_page[1].next_rows()
            if rows is None:
                self._is_unreadable = True
                return
            yield rows

    def empty_page(self) -> Page[RowT]:
        """Return the page for a read without rows."""
        meta = PageMeta(200, None, (), 0.0, self.report.bytes)
        return Page(
            [], count=self.report.total_count, number=0, checkpoint=self.checkpoint(), meta=meta, raw=list
        )

    def end(self, *, strict: bool) -> None:
        """Complete the report.

        Raises:
            IncompleteError: ``strict`` is set and the report names a problem.
        """
        self.report.stop_reason = self._pagination.stop_reason
        self._processor.count_unused_rows()
        if strict and not self.report.complete:
            text = f"{self._query.path} was not read completely: {'; '.join(self.report.problems())}"
            raise IncompleteError(text, checkpoint=self.checkpoint(), report=self.report)

    async def aclose(self) -> None:
        """Cancel everything in flight."""
        if self.report.stop_reason is None:
            self.report.stop_reason = self._pagination.stop_reason or "break"
        if self._started_page is not None:
            (_, page), self._started_page = self._started_page, None
            self._processor.count_page(_without_rows(page), len(page.new_rows), PageDecision())
        self.report.seconds = self._timer.perf_counter() - self._started
        await self._prefetcher.aclose()

    def _fail(self, error: AiwynError, before: Checkpoint) -> None:
        """Report an error, and set its checkpoint and report."""
        self.report.stop_reason = "error"
        if isinstance(error, (RequestError, PaginationError)):
            error.checkpoint = before
            if self._started_page is not None:
                error.checkpoint = self._processor.checkpoint_within(self._started_page[1])
        if isinstance(error, PaginationError):
            error.report = self.report

    async def _next_response(self) -> tuple[PageRequest, Response]:
        self._prefetcher.fill_and_await(self._pagination.next_request)
        try:
            request, response = await self._adaptive_depth.next_in_order()
        except RequestError as error:
            self.failed_attempts = len(error.attempts)
            raise
        self._processor.count_response(response)
        return request, response

    async def _repeat(self, request: PageRequest) -> Response:
        try:
            response = await self._fetch(request)
        except RequestError as error:
            self.failed_attempts = len(error.attempts)
            raise
        self._processor.count_response(response)
        return response

    async def _read(self, request: PageRequest, response: Response) -> Candidate[RowT]:
        page = await self._reader.read(response, lambda: self._repeat(request))
        return self._processor.candidate(page)

    async def _process_page(
        self, request: PageRequest, response: Response
    ) -> tuple[DecodedPage[RowT], Sequence[int]]:
        """Return the response to use, and the indices of its new rows."""
        best = await self._confirmed(request, await self._read(request, response))
        return best.page, await self._apply(best, self._processor.add_keys(best.page.keys))

    async def _confirmed(self, request: PageRequest, first: Candidate[RowT]) -> Candidate[RowT]:
        """Return the response to use, another one if the first may be faulty."""
        processor = self._processor
        if processor.evidence(first) == Evidence.SUFFICIENT:
            return first

        async def again() -> Candidate[RowT]:
            return await self._read(request, await self._repeat(request))

        return await confirm(first, processor.evidence, again, reject=processor.reject, report=self.report)

    async def _apply(self, candidate: Candidate[RowT], new: Sequence[int]) -> Sequence[int]:
        """Process the response to use; return the indices of the rows to yield."""
        if not self.report.pages:
            self._adaptive_depth.first_page_processed()
        rows, discard_in_flight = self._processor.process(candidate, new)
        if discard_in_flight:
            await self._prefetcher.aclose()
        return rows

    async def _rows_of_next_page(self) -> list[RowT]:
        """Return the new rows of the next page, or of its first block."""
        request, response = await self._next_response()
        if self._pagination.can_stream_rows and self._may_stream:
            page_in_blocks = self._reader.in_blocks(response, self.keys)
            if page_in_blocks is not None:
                self._started_page = request, page_in_blocks
                self.prefetch()
                return await self._rows_of_next_block(request, page_in_blocks)
        rows = self._processor.items(*await self._process_page(request, response))
        self.prefetch()
        return rows

    async def _rows_of_next_block(self, request: PageRequest, page: PageInBlocks[RowT]) -> list[RowT]:
        rows = None if self._is_unreadable else page.next_rows()
        if rows is None:
            self._is_unreadable = False
            return await self._remaining_rows(request, page)
        if page.blocks_left:
            return rows
        first = self._processor.candidate(_without_rows(page))
        if self._pagination.evidence(first.result, known=not page.new_rows) == Evidence.SUFFICIENT:
            self._started_page = None
            await self._apply(first, page.new_rows)
            return rows
        page.discard()
        try:
            best = await self._confirmed(request, first)
        except AiwynError:
            page.take_back()  # the rows of the last block are not yielded
            raise
        self._started_page = None
        if best is first:
            await self._apply(first, self._processor.add_keys(page.keys))
            return rows
        return rows + await self._rows_not_yielded(page, best)

    async def _remaining_rows(self, request: PageRequest, page: PageInBlocks[RowT]) -> list[RowT]:
        """Read a page with an undecodable block in one call; return the rows left."""
        whole = await self._reader.read(page.response, lambda: self._repeat(request))
        is_other = whole.response is not page.response
        # If the page itself is valid, it was cut in the wrong positions, as the next ones would be.
        self._may_stream = is_other or whole.rows.was_slow
        page.discard()
        best = await self._confirmed(request, self._processor.candidate(whole))
        self._started_page = None
        return await self._rows_not_yielded(page, best)

    async def _rows_not_yielded(self, page: PageInBlocks[RowT], best: Candidate[RowT]) -> list[RowT]:
        """Return the new rows of the response to use that were not yielded before."""
        whole = best.page
        rows = await self._apply(best, self._processor.add_keys(whole.keys))
        if whole.response is not page.response:
            self._processor.count_moved_rows(page.keys)
        return self._processor.items(whole, page.not_yielded(whole.keys, rows))


async def _fetch(session: Session, query: Query, request: PageRequest) -> Response:
    return await session.call(query.request(request.fields))


def _max_depth(session: Session, report: ListReport) -> int:
    page_bytes = report.bytes // max(1, report.pages)
    return min(session.limiter.max_limit, MAX_BYTES_IN_FLIGHT // max(1, page_bytes))


def _without_rows(page: PageInBlocks[RowT]) -> DecodedPage[RowT]:
    """Return a page whose rows were yielded and released."""
    return DecodedPage(DecodedRows([], page.count, []), page.keys, page.response)
