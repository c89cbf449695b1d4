"""One use of a pager: its walk, the pages in flight, the keys it has given, its report."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow, DecodedRows, OnBadRow
from aiwyn_async._http.messages import Request, Response, encode_json
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.confirm import Evidence, confirm
from aiwyn_async._pagination.in_blocks import PageInBlocks
from aiwyn_async._pagination.page import Checkpoint, Page, PageMeta, Position
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.query import RESUME_STATE, Query, ResumeState
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pagination.strategy import (
    OutOfOrder,
    PageDecision,
    PageRequest,
    PageResult,
    Pagination,
    RepeatedPage,
)
from aiwyn_async.errors import (
    AiwynError,
    IncompleteError,
    PaginationError,
    PaginationLoopError,
    RequestError,
)
from aiwyn_async.models.base import Id

__all__ = ["PageIterator"]

RowT = TypeVar("RowT")

FIRST_DEPTH: Final = 4
MAX_BYTES_IN_FLIGHT: Final = 32 * 1024 * 1024
LONG_WAIT: Final = 0.1
"""Of the time that decoding a page, and what the caller does with its rows, take."""


class PageIterator(Generic[RowT]):
    """One use of a pager.

    Args:
        session: sends the requests.
        query: what is asked.
        walk: says which page to ask for.
        row_type: of the rows that are given.
        limit: rows in all, or None.
        on_bad_row: what to do with a row that does not decode.
        resumed: the walk began at a checkpoint.
        given: keys whose rows are not given again; those that are given are added.
        carried: what the report needs of the runs before.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        walk: Pagination,
        row_type: type[RowT],
        *,
        limit: int | None,
        on_bad_row: OnBadRow,
        resumed: bool,
        given: KeySet | None = None,
        carried: ResumeState | None = None,
    ) -> None:
        self._session = session
        self._query = query
        self._request = Request(method="POST", path=query.path)
        self._pagination = walk
        self._limit = limit
        self._prefetcher: Prefetcher[PageRequest, Response] = Prefetcher(self._fetch, FIRST_DEPTH)
        self._reader = PageReader(session, query, row_type, on_bad_row)
        self._order = query.order() if query.by_key else ()
        self._query_hash = query.fingerprint()
        self._checkpoint: Checkpoint | None = None
        self._keyless_bodies: set[bytes] = set()
        self._rejected: set[Id] = set()
        """Keys of the responses that were not used, which have to arrive in others."""
        self._begun: tuple[PageRequest, PageInBlocks[RowT]] | None = None
        self._may_read_in_blocks = True
        self._is_unreadable = False
        self._pages_yielded = 0
        self._first_wait = 0.0
        self._started = self._taken_at = time.perf_counter()
        self.keys = KeySet()
        """All that this run has met."""
        self.sum_of_rows = 0
        """Where rows have no key: the same for the same rows, whatever their order."""
        self._yielded_keys = given
        self.bad_rows: list[BadRow] = self._reader.bad_rows
        rows = walk.position()["yielded"]
        carried = ResumeState() if carried is None else carried
        self.report = ListReport(
            rows_received=rows,
            rows_yielded=rows,
            resumed=resumed,
            keyset_only=query.keyset_only,
            unknown_fields=self._reader.unknown_fields,
            total_count=carried.total_count_at_start,  # until a page counts anew
            total_count_at_start=carried.total_count_at_start,
            earlier_problems=carried.problems,
        )

    @property
    def depth(self) -> int:
        """Pages that may be in flight together by now."""
        return self._prefetcher.depth

    def checkpoint(self) -> Checkpoint:
        """Where to go on after the pages given."""
        if self._checkpoint is None:
            self._checkpoint = self._checkpoint_at(self._pagination.position())
        return self._checkpoint

    def _checkpoint_at(self, position: Position) -> Checkpoint:
        self._count_unused_rows()
        carried = ResumeState(
            total_count_at_start=self.report.total_count_at_start, problems=self.report.all_problem_counts
        )
        position = position | {RESUME_STATE: msgspec.to_builtins(carried)}
        return Checkpoint(endpoint=self._query.path, query=self._query_hash, position=position)

    def prefetch(self) -> None:
        """Begin what may be asked now, so that it comes while the caller works on the rows he has."""
        self._prefetcher.fill(self._pagination.next_request)

    async def next_page(self) -> Page[RowT] | None:
        """The next page with rows that are new, or None at the end."""
        while self._pagination.stop_reason is None:
            before = self.checkpoint()
            try:
                page = await self._process_page(*await self._next_response())
            except AiwynError as error:
                self._end_by(error, before)
                raise
            if page is not None:
                return page
        return None

    async def next_rows(self) -> list[RowT] | None:
        """The next rows that are new, those of a page or of a block of one; None at the end.

        What comes after them is decoded when it is asked for, so the caller lets them go first. Where a page
        is read in blocks, the checkpoint moves on with its last one.
        """
        while self._begun is not None or self._pagination.stop_reason is None:
            before = self.checkpoint()
            try:
                if self._begun is None:
                    rows = await self._rows_of_next_page()
                else:
                    rows = await self._rows_of_next_block(*self._begun)
            except AiwynError as error:
                self._end_by(error, before)
                raise
            if rows:
                return rows
        return None

    def blocks_at_hand(self) -> Iterator[list[RowT]]:
        """Decode the blocks of a page that need no wait, each when it is asked for."""
        while self._begun is not None and self._begun[1].rows_left > 1:
            rows = self._begun[1].next_rows()
            if rows is None:
                self._is_unreadable = True
                return
            yield rows

    def empty_page(self) -> Page[RowT]:
        """What awaiting a walk with no rows gives."""
        meta = PageMeta(200, None, (), 0.0, self.report.bytes)
        return Page(
            [], count=self.report.total_count, number=0, checkpoint=self.checkpoint(), meta=meta, raw=list
        )

    def end(self, *, strict: bool) -> None:
        """Close the report.

        Raises:
            IncompleteError: ``strict``, and something speaks against the walk's being complete.
        """
        self.report.stop_reason = self._pagination.stop_reason
        self._count_unused_rows()
        if strict and not self.report.complete:
            text = f"{self._query.path} was not read completely: {'; '.join(self.report.problems())}"
            raise IncompleteError(text, checkpoint=self.checkpoint(), report=self.report)

    async def aclose(self) -> None:
        """End what is in flight."""
        if self.report.stop_reason is None:
            self.report.stop_reason = self._pagination.stop_reason or "break"
        if self._begun is not None:
            (_, page), self._begun = self._begun, None
            self._count_page(_as_processed(page), len(page.new_rows), 0, use=True)
        self.report.seconds = time.perf_counter() - self._started
        await self._prefetcher.aclose()

    def _end_by(self, error: AiwynError, before: Checkpoint) -> None:
        """An error ends the walk, and says where it can go on."""
        self.report.stop_reason = "error"
        if isinstance(error, (RequestError, PaginationError)):
            error.checkpoint = before
            if self._begun is not None:
                _, page = self._begun
                error.checkpoint = self._checkpoint_at(
                    self._pagination.mid_page_position(len(page.keys), len(page.new_rows))
                )

    async def _next_response(self) -> tuple[PageRequest, Response]:
        self._prefetcher.fill(self._pagination.next_request)
        ask, response = await self._take_response()
        self._count_response(response)
        return ask, response

    async def _rows_of_next_page(self) -> list[RowT]:
        """The new rows of the next page, or of its first block."""
        ask, response = await self._next_response()
        if self._pagination.can_stream_rows and self._may_read_in_blocks:
            begun = self._reader.in_blocks(response, self.keys)
            if begun is not None:
                self._begun = ask, begun
                self.prefetch()
                return await self._rows_of_next_block(ask, begun)
        page = await self._process_page(ask, response)
        self.prefetch()
        return [] if page is None else page.items

    async def _rows_of_next_block(self, ask: PageRequest, page: PageInBlocks[RowT]) -> list[RowT]:
        rows = None if self._is_unreadable else page.next_rows()
        if rows is None:
            self._is_unreadable = False
            return await self._rows_left(ask, page)
        if not page.is_read:
            return rows
        first = self._result_of(_as_processed(page))
        if self._pagination.evidence(first.result, known=not page.new_rows) == Evidence.SUFFICIENT:
            self._begun = None
            await self._record(first, page.new_rows)
            return rows
        page.discard()
        best = await self._confirmed(ask, first)
        self._begun = None
        if best is first:
            await self._record(first, self._new_rows(page.keys))
            return rows
        return rows + await self._rows_beyond(page, best)

    async def _rows_left(self, ask: PageRequest, page: PageInBlocks[RowT]) -> list[RowT]:
        """The new rows of a page, read whole because a block of it did not decode, without those given."""
        whole = await self._reader.read(page.response, lambda: self._repeat(ask))
        is_other = whole.response is not page.response
        # When nothing is wrong with the page, it was cut in wrong places, as the next ones would be.
        self._may_read_in_blocks = is_other or whole.rows.was_slow
        page.discard()
        best = await self._confirmed(ask, self._result_of(whole))
        self._begun = None
        return await self._rows_beyond(page, best)

    async def _rows_beyond(self, page: PageInBlocks[RowT], best: _Result[RowT]) -> list[RowT]:
        """The new rows of a page's final response, without those that were given from the first one."""
        whole = best.page
        kept = await self._record(best, self._new_rows(whole.keys))
        if whole.response is not page.response:
            self._count_rows_moved_away(page.keys)
        left = self._page(whole, page.not_yielded(whole.keys, kept or ()))
        return [] if left is None else left.items

    def _count_rows_moved_away(self, keys: Sequence[Id | None]) -> None:
        """Rows that were given of a page, and are not on it any more when it is asked for again."""
        gone = self.keys.add_new(keys)
        moved = len(keys) if gone is None else len(gone)
        self.report.rows_received += moved
        self.report.rows_yielded += moved

    async def _take_response(self) -> tuple[PageRequest, Response]:
        """The next answer. A wait that is long beside the caller's work deepens the window.

        Where decoding is the limit, more pages in flight are only more memory to go through. So the time in
        which this thread read what had come is no wait.
        """
        is_full, asked_at, used = self._prefetcher.is_full, time.perf_counter(), time.thread_time()
        taken = await self._prefetcher.next_in_order()
        worked, self._taken_at = asked_at - self._taken_at, time.perf_counter()
        waited = self._taken_at - asked_at - (time.thread_time() - used)
        if not self.report.requests:
            # The first page is asked for alone. What its work takes is not known before it is done.
            self._first_wait = waited
        elif is_full:
            self._deepen_for(waited, worked)
        return taken

    def _deepen_for(self, waited: float, worked: float) -> None:
        """So many pages more as could have been worked on in a wait, where it is long beside the work."""
        if waited > LONG_WAIT * worked:
            self._deepen(math.ceil(waited / worked) if worked else self._prefetcher.depth)

    def _deepen(self, more: int) -> None:
        """More pages in flight, within bounds."""
        page_bytes = self.report.bytes // max(1, self.report.pages)
        most = min(self._session.config.max_concurrency, MAX_BYTES_IN_FLIGHT // max(1, page_bytes))
        self._prefetcher.depth = max(self._prefetcher.depth, min(self._prefetcher.depth + more, most))

    async def _fetch(self, ask: PageRequest) -> Response:
        body = encode_json(self._query.fields | ask.fields)
        return await self._session.call(msgspec.structs.replace(self._request, body=body))

    async def _process_page(self, ask: PageRequest, response: Response) -> Page[RowT] | None:
        page = await self._reader.read(response, lambda: self._repeat(ask))
        best = await self._confirmed(ask, self._result_of(page))
        page = best.page
        kept = await self._record(best, self._new_rows(page.keys))
        if kept is None:
            return None
        return self._page(
            page,
            kept if self._yielded_keys is None else self._not_yielded(self._yielded_keys, page.keys, kept),
        )

    def _count_unused_rows(self) -> None:
        self.report.unused_rows = sum(not self.keys.has_all([key]) for key in self._rejected)

    async def _confirmed(self, ask: PageRequest, first: _Result[RowT]) -> _Result[RowT]:
        """The answer to use: another one where the first could be a fault and is not repeated."""
        if self._evidence_of(first) == Evidence.SUFFICIENT:
            return first

        async def again() -> _Result[RowT]:
            response = await self._repeat(ask)
            return self._result_of(await self._reader.read(response, lambda: self._repeat(ask)))

        rejected: list[_Result[RowT]] = []
        best, is_confirmed = await confirm(first, self._evidence_of, again, rejected=rejected)
        self.report.unstable_pages += not is_confirmed
        for other in rejected:
            self._rejected.update(key for key in other.keys if key is not None)
        return best

    def _evidence_of(self, answer: _Result[RowT]) -> Evidence:
        known = bool(self._query.key) and self.keys.has_all(answer.keys)
        return self._pagination.evidence(answer.result, known=known)

    def _result_of(self, page: DecodedPage[RowT]) -> _Result[RowT]:
        came = PageResult(page.keys, (), page.rows.count, self._order_values(page), self._is_repeat(page))
        return _Result(page, came)

    def _new_rows(self, keys: Sequence[Id | None]) -> Sequence[int]:
        """The places of the rows that are new, by their keys, which are known from here on."""
        # Rows without a key may rightly be alike: they are never taken for one another.
        added = self.keys.add_new(keys) if self._query.key else None
        return range(len(keys)) if added is None else added

    async def _record(self, answer: _Result[RowT], new: Sequence[int]) -> Sequence[int] | None:
        """Tell the walk and the report of a page; the places of its rows to give, or None to leave it out."""
        page, keys = answer.page, answer.keys
        told = self._pass_to_pagination(msgspec.structs.replace(answer.result, new=new))
        self.report.short_pages += told.after_gap
        if not self.report.pages:
            self._deepen_for(self._first_wait, time.perf_counter() - self._taken_at)
        if told.discard_in_flight:
            await self._prefetcher.aclose()
        if not told.use and self._query.key:
            self.keys.forget(keys[index] for index in new)
        kept = [index for index in new if index >= told.skip_rows] if told.skip_rows else new
        self._count_page(page, len(kept), told.expected_duplicates, use=told.use, counts_all=told.counts_all)
        if not told.use:
            return None
        if not self._query.key:
            self.sum_of_rows += sum(int(str(keys[index]), 16) for index in kept)
        self._pages_yielded += bool(kept)
        return kept

    def _not_yielded(self, given: KeySet, keys: Sequence[Id | None], kept: Sequence[int]) -> Sequence[int]:
        new = given.add_new([keys[index] for index in kept])
        return kept if new is None else [kept[index] for index in new]

    async def _repeat(self, ask: PageRequest) -> Response:
        response = await self._fetch(ask)
        self._count_response(response)
        return response

    def _pass_to_pagination(self, came: PageResult) -> PageDecision:
        self._checkpoint = None
        try:
            return self._pagination.receive(came)
        except RepeatedPage:
            raise PaginationLoopError(
                f"{self._query.path} gives the same page again; it may ignore how pages are asked for",
                report=self.report,
            ) from None
        except OutOfOrder:
            raise PaginationError(
                f"{self._query.path} does not keep to the order that a walk by key stands on; "
                "pass paging='page' to walk it by page number",
                report=self.report,
            ) from None

    def _is_repeat(self, page: DecodedPage[RowT]) -> bool:
        """Without keys, only a page's bytes can tell that the server gives it again."""
        if not page.keys or (self._query.key and None not in page.keys):
            return False
        told_apart_by = page.response.body if self._query.key else "".join(map(str, page.keys)).encode()
        digest = hashlib.blake2b(told_apart_by, digest_size=12).digest()
        known = digest in self._keyless_bodies
        self._keyless_bodies.add(digest)
        return known

    def _order_values(self, page: DecodedPage[RowT]) -> list[tuple[Any, ...]]:
        if not self._order or not page.keys:
            return []
        values = self._reader.order_values(page, self._order)
        if values is None:
            names = ", ".join(".".join(path) for path, _ in self._order)
            raise PaginationError(
                f"the rows of {self._query.path} do not all hold what they are ordered by ({names}); a walk "
                "by key cannot go on so: order by columns that the rows hold, or pass paging='page'",
                report=self.report,
            )
        return values

    def _count_response(self, response: Response) -> None:
        self.report.requests += len(response.attempts)
        self.report.bytes += response.length

    def _count_page(
        self, page: DecodedPage[RowT], fresh: int, own_repeats: int, *, use: bool, counts_all: bool = True
    ) -> None:
        report, keys, rows = self.report, page.keys, page.rows
        report.pages += 1
        if rows.count is not None and counts_all:
            # The count of a walk by key is of the rows that are left.
            count = rows.count + (report.rows_yielded if self._query.by_key else 0)
            report.total_count = count
            if report.total_count_at_start is None:
                report.total_count_at_start = count
        if use:
            report.rows_received += len(keys)
            report.duplicates += len(keys) - fresh
            report.repaired_rows += rows.repaired
            report.rows_yielded += fresh
            if keys and (not self._query.key or all(key is None for key in keys)):
                report.deduplicated = False
        report.duplicates -= own_repeats

    def _page(self, page: DecodedPage[RowT], kept: Sequence[int]) -> Page[RowT] | None:
        over = 0 if self._limit is None else self.report.rows_yielded - self._limit
        if over > 0:
            kept = kept[: len(kept) - over]
            self.report.rows_yielded -= over
        if not kept:
            return None
        if page.rows.bad:
            # Before the checkpoint is made, which has to know of them.
            self.report.bad_rows += len({bad.index for bad in page.rows.bad}.intersection(kept))
        return self._reader.page(page, kept, number=self._pages_yielded - 1, checkpoint=self.checkpoint())


class _Result(NamedTuple, Generic[RowT]):
    """A response to a page's request, as the walk sees it; which of its rows are new is not known yet."""

    page: DecodedPage[RowT]
    result: PageResult

    @property
    def keys(self) -> Sequence[Id | None]:
        """The keys of its rows."""
        return self.page.keys


def _as_processed(page: PageInBlocks[RowT]) -> DecodedPage[RowT]:
    """What came of a page, for the walk and the report; its rows are gone."""
    return DecodedPage(DecodedRows([], page.count, []), page.keys, page.response)
