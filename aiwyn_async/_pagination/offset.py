"""Pagination by ``page`` and ``pageSize``."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from aiwyn_async._core.reports import StopReason
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.offset_state import OffsetState, PageKeys, Probe
from aiwyn_async._pagination.page import Position
from aiwyn_async._pagination.strategy import (
    MAX_KNOWN_PAGES,
    MAX_PAGE_SIZE,
    MAX_STALE_PAGES,
    PageDecision,
    PageRequest,
    PageResult,
    PageStyle,
    parse_position,
    repeated_page,
)
from aiwyn_async._pagination.ties import Order
from aiwyn_async.models.base import Id

MAX_EMPTY_PAGES: Final = 2
"""Empty pages in a row that end a list without a count, or even if its count promises more rows."""
MAX_EQUAL_PAGES: Final = 2
"""Pages in a row that equal the page before. One may be due to inserted rows, as many as a page has."""


class OffsetPagination:
    """Request pages by ``page`` and ``pageSize``; a ``Pagination``.

    The list ends with an empty page, or with a short page whose count agrees with the rows received. A full
    page never ends it, whatever the count. An empty page does not end it while later pages are in flight. If
    the count is larger than the number of rows, or is unknown and the page before was not short,
    only a second empty page ends it.

    Some endpoints treat ``page`` as the number of rows to skip. If the second page begins with the second
    row of the first one, either that is the case or the list changed. One more request decides it: only an
    offset returns the row after those received. Neither style loses a row.

    Args:
        page_size: rows per request.
        limit: rows to yield, or None for all.
        page_style: what ``page`` means to the server; "auto" detects it from the second page.
        page_size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier read.
        trust_first_count: a short first page ends the list if its count is that of its rows; a server with a
            smaller page size of its own may count only the rows of the page.

    Raises:
        CheckpointError: ``resume`` is not a position of this strategy.
    """

    order: Order = ()

    def __init__(
        self,
        page_size: int,
        *,
        limit: int | None = None,
        page_style: PageStyle = "auto",
        page_size_key: str = "pageSize",
        resume: Position | None = None,
        trust_first_count: bool = True,
        has_keys: bool = True,
    ) -> None:
        self._limit = limit
        self._trust_first_count = trust_first_count
        self._page_size_key = page_size_key
        self._requested_size = _even_page_size(limit, page_size)
        if resume is None:
            self._state = OffsetState(size=self._requested_size, style=page_style)
        else:
            self._state = parse_position(resume, OffsetState)
            if self._state.stop_reason == "limit":  # this read may have a larger limit
                self._state.stop_reason = None
        # Rows without a key may be equal without being the same row.
        before = self._page_before_resume = self._state.before if has_keys else None
        self.keys_before_resume: Sequence[Id | None] = () if before is None else (before.last,)
        self._count: int | None = None
        self._first_count: int | None = None
        self._empty_pages = 0
        self._equal_pages = 0
        self._stale_pages = 0
        self._known_pages = 0
        self._in_flight: deque[PageRequest] = deque()
        # With a limit: where the page being received can be requested again, with a larger limit.
        self._page_start: Position | None = None
        self._position_at_limit: Position | None = None
        is_probing = self._state.probe is not None  # it explains repeated rows, also at the limit
        if limit is not None and self._state.yielded >= limit + is_probing:
            self._state.stop_reason = "limit"

    @property
    def stop_reason(self) -> StopReason | None:
        return self._state.stop_reason

    @property
    def can_stream_rows(self) -> bool:
        """True from the third page on, if ``page`` is a page number and there is no limit."""
        state = self._state
        is_numbered = state.pages_received >= 2 and state.style == "page"
        return is_numbered and self._limit is None and not state.yielded_before

    @property
    def _trusts_count(self) -> bool:
        """True unless the count may be that of the first page alone."""
        return self._trust_first_count or self._state.pages_received > 1

    def next_request(self) -> PageRequest | None:
        """Return the next request: one until a count is known, then as many as it needs."""
        state = self._state
        if state.stop_reason is not None or (self._in_flight and not self._can_prefetch()):
            return None
        page = state.next if state.probe is None else state.probe.row
        if state.probe is None:
            state.next += state.step
        request = PageRequest({self._page_size_key: state.size, "page": page}, state.size)
        self._in_flight.append(request)
        return request

    def _can_prefetch(self) -> bool:
        state = self._state
        if self._count is None or state.probe is not None or self._empty_pages:
            return False
        requested = sum(request.size for request in self._in_flight)
        remaining = self._count - state.rows
        if self._limit is not None and self._limit - state.yielded <= remaining:
            return requested < self._limit - state.yielded
        # If full pages add up to the count, one more page has to confirm the end.
        return requested <= remaining

    def normalized(self, result: PageResult) -> PageResult:
        return result

    def evidence(self, result: PageResult, *, known: bool) -> Evidence:
        state, length, count = self._state, len(result.keys), result.count
        first_count = count if self._first_count is None else self._first_count
        is_trusted = self._trust_first_count or state.pages_received > 0
        is_counted = is_trusted and count == state.rows + length == first_count
        if not length:
            is_end = is_counted and state.rows > 0 and state.probe is None and self._trusts_count
            is_behind_empty = self._empty_pages > 0 and self._count is None is count
            return Evidence.SUFFICIENT if is_end or is_behind_empty else Evidence.UNPROVEN
        if known or result.is_repeat or self.was_before_resume(result):
            before = state.before if state.style == "auto" and state.pages_received == 1 else None
            if before is not None and _is_shift(before, result):
                return Evidence.SUFFICIENT  # another request decides if `page` is an offset
            # After one page, the count may be that of the page.
            is_all = count == state.yielded and state.pages_received > 1
            return Evidence.SUFFICIENT if is_all else Evidence.WRONG
        is_full = length >= self._in_flight[0].size
        return Evidence.SUFFICIENT if state.probe is not None or is_counted or is_full else Evidence.UNPROVEN

    def receive(self, result: PageResult) -> PageDecision:
        state = self._state
        self._page_start = self.position() if self._limit is not None else None
        request = self._in_flight.popleft()
        if result.count is not None:
            self._count = result.count
            if self._first_count is None:
                self._first_count = result.count
        if state.probe is not None:
            return self._receive_probe(state.probe, request, result)
        if not result.keys:
            return self._receive_empty()
        after_gap = self._is_gap(len(result.keys)) and bool(result.new)
        self._empty_pages = 0
        before, state.before = state.before, PageKeys.of(result.row_ids)
        if self._is_whole_list(before, result):
            state.stop_reason = "count"
            return PageDecision(use=False)
        if state.style == "auto" and state.pages_received == 1:
            if before is not None and _is_shift(before, result):
                return self._start_probe(before, result)
            state.style = "page"
        is_repeat, self._page_before_resume = self.was_before_resume(result), None
        decision = self._accept(request, result, skip_rows=len(result.keys) if is_repeat else 0)
        return msgspec.structs.replace(decision, after_gap=True) if after_gap else decision

    def _receive_empty(self) -> PageDecision:
        self._empty_pages += 1
        state = self._state
        is_behind_short = state.before is not None and state.before.length < state.size
        next_row = state.next if state.style == "offset" else state.next * state.size
        has_more = not is_behind_short if self._count is None else next_row < self._count
        if not self._in_flight and not (has_more and self._empty_pages < MAX_EMPTY_PAGES):
            state.stop_reason = "empty_page"
        return PageDecision()

    def _is_gap(self, length: int) -> bool:
        """Return whether the last page received is too short to be followed by one of this length."""
        state = self._state
        is_short = state.before is not None and state.before.length < max(state.size, length)
        return self._empty_pages > 0 or (is_short and state.style != "offset")

    def was_before_resume(self, result: PageResult) -> bool:
        before, keys = self._page_before_resume, result.keys
        return before is not None and bool(keys) and None not in keys and before == PageKeys.of(keys)

    def _is_whole_list(self, before: PageKeys | None, result: PageResult) -> bool:
        """Return whether the server returns all rows for every page.

        A page of the requested size does not show it: the server may ignore `page` and count only the page.

        Raises:
            PaginationLoopError: it returns the same rows again and again, which are not all.
        """
        is_equal = before == self._state.before and (None not in result.keys or result.is_repeat)
        self._equal_pages = self._equal_pages + 1 if is_equal else 0
        self._stale_pages = 0 if result.new and not result.is_repeat else self._stale_pages + 1
        self._known_pages = self._known_pages + 1 if result.is_known else 0
        is_first = result.is_repeat and len(result.keys) == self._state.yielded
        is_all = result.count == self._state.yielded and len(result.keys) != self._requested_size
        if is_equal and (is_first or not result.new) and is_all:
            return True
        is_stale = self._stale_pages >= MAX_STALE_PAGES or self._known_pages >= MAX_KNOWN_PAGES
        if self._equal_pages >= MAX_EQUAL_PAGES or is_stale:
            raise repeated_page()
        return False

    def _accept(self, request: PageRequest, result: PageResult, skip_rows: int = 0) -> PageDecision:
        state = self._state
        yielded_before, state.yielded_before = state.yielded_before, 0
        skip_rows = max(skip_rows, yielded_before)
        state.pages_received += 1
        state.rows += len(result.keys)
        self._count_yielded(result, skip_rows)
        discard = state.stop_reason is None and self._follow_page_length(request, result)
        expected = min(yielded_before, len(result.keys))
        return PageDecision(skip_rows=skip_rows, discard_in_flight=discard, expected_duplicates=expected)

    def _count_yielded(self, result: PageResult, skip_rows: int) -> int:
        """Count the rows to yield, up to the limit; return how many are new."""
        state = self._state
        new = [index for index in result.new if index >= skip_rows] if skip_rows else result.new
        state.yielded += len(new)
        if self._limit is not None and state.yielded >= self._limit:
            state.stop_reason = "limit"
            surplus = state.yielded - self._limit
            if surplus and self._page_start is not None:
                self._position_at_limit = self._page_start | {
                    "yielded": self._limit,
                    "yielded_before": new[-surplus],
                    "stop_reason": "limit",
                }
        return len(new)

    def _follow_page_length(self, request: PageRequest, result: PageResult) -> bool:
        """Adapt to another page length; return whether pages in flight are void."""
        state, length = self._state, len(result.keys)
        if length < request.size and result.count == state.rows and self._trusts_count:
            state.stop_reason = "count"
        elif length != request.size and state.pages_received == 1:
            # It may be the server's own page size: continue with that.
            state.size = min(length, MAX_PAGE_SIZE)
            state.next = state.rows if state.style == "offset" else 1
        elif length != request.size and state.style == "offset":
            # The pages in flight do not begin at the end of this one.
            state.size = min(max(state.size, length), MAX_PAGE_SIZE)
            self._continue_from(state.rows)
            return True
        return False

    def _start_probe(self, before: PageKeys, result: PageResult) -> PageDecision:
        state = self._state
        overlap = min(before.length - 1, len(result.keys))
        # A resumed read does not know these keys, and rows without a key are always new, but they are the
        # rows of the page before.
        is_resumed = self._page_before_resume is not None or len(result.new) == len(result.keys)
        is_known = all(result.keys[index] is None for index in result.new if index < overlap)
        skip_rows = overlap if is_resumed or is_known else 0
        fresh = self._count_yielded(result, max(skip_rows, state.yielded_before))
        state.probe = Probe(before.length, result.row_ids[-1], fresh, len(result.keys) - fresh)
        state.yielded_before = 0
        state.pages_received += 1
        state.stop_reason = None  # only the probe shows whether the repeated rows were expected
        self._continue_from(2)
        return PageDecision(skip_rows=skip_rows, discard_in_flight=True)

    def _receive_probe(self, probe: Probe, request: PageRequest, result: PageResult) -> PageDecision:
        state = self._state
        state.probe = None
        if not result.keys and not probe.fresh:
            # The first page contained all rows; in both styles there are no more.
            state.stop_reason = "empty_page"
            return PageDecision(expected_duplicates=probe.repeated)
        if result.keys and probe.fresh and result.row_ids[0] == probe.first_key:
            state.style = "offset"
            state.before = PageKeys.of(result.row_ids)
            if self._page_start is not None:  # a read with a larger limit knows the style
                self._page_start |= {"style": "offset", "probe": None, "next": probe.row}
            # Its first row is the last one of the page before, even if it has no key.
            decision = self._accept(request, result, skip_rows=1)
            self._continue_from(state.rows)
            expected = probe.repeated + max(1, decision.expected_duplicates)
            return msgspec.structs.replace(decision, discard_in_flight=True, expected_duplicates=expected)
        state.style = "page"
        state.rows += probe.fresh + probe.repeated
        if self._limit is not None and state.yielded >= self._limit:
            state.stop_reason = "limit"
        return PageDecision(use=False)

    def _continue_from(self, page: int) -> None:
        self._state.next = page
        self._in_flight.clear()

    def position(self) -> Position:
        if self._position_at_limit is not None:
            return self._position_at_limit
        position: Position = msgspec.to_builtins(self._state)
        if self._state.probe is None:
            position["next"] -= self._state.step * len(self._in_flight)
        return position

    def mid_page_position(self, rows: int, yielded: int) -> Position:
        return self.position() | {"yielded": self._state.yielded + yielded, "yielded_before": rows}


def _is_shift(before: PageKeys, result: PageResult) -> bool:
    """Return whether a page begins with the second row of the one before, as if `page` were an offset.

    Rows without a key may be equal, but behind an offset a page has at most one row less.
    """
    is_shorter = len(result.keys) < before.length - 1
    return before.is_followed_by_shift(result.row_ids) and not (result.digests and is_shorter)


def _even_page_size(limit: int | None, page_size: int) -> int:
    """Return the smallest page size with as few pages, so the last exceeds little."""
    if limit is None:
        return page_size
    pages = -(-limit // page_size)
    return -(-limit // pages)
