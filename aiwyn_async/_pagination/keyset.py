"""Pagination by ``where`` and ``orderBy``, after the last row of each page."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from aiwyn_async._core.reports import StopReason
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.page import Position, damaged_checkpoint
from aiwyn_async._pagination.strategy import (
    MAX_PAGE_SIZE,
    MAX_STALE_PAGES,
    FinalReason,
    PageDecision,
    PageRequest,
    PageResult,
    RowCount,
    no_order_values,
    parse_position,
    repeated_page,
)
from aiwyn_async._pagination.ties import (
    MAX_KNOWN_KEYS,
    Order,
    Ties,
    are_out_of_order,
    is_before,
    with_equal_digits,
)
from aiwyn_async.errors import ConfigurationError, PaginationError
from aiwyn_async.models.base import Id


class _Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a keyset pagination resumes."""

    after: list[Any] | None
    yielded: RowCount
    stop_reason: FinalReason | None
    ties: Ties | None = None
    passed: list[Id] = []
    max_page_rows: RowCount = 0
    counts_pages: bool = False
    first_total: RowCount | None = None


class KeysetPagination:
    """Request the rows after the last one, by the values of the order columns; a ``Pagination``.

    Args:
        page_size: rows per request.
        fields: returns the body's fields for the last row's order values (None for the first page), ties, and
            the keys of rows received after it.
        order: the columns that the rows are ordered by, to verify the server's order.
        instants: order columns that hold instants, of which a server may show fewer digits than it compares.
        limit: rows to yield, or None for all.
        page_size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier read.
        trust_first_count: a short first page ends the read if its count is that of its rows; a server with a
            smaller page size of its own may count only the rows of the page.

    Raises:
        CheckpointError: ``resume`` is not a position of this strategy.
    """

    can_stream_rows = False  # each request depends on the page before, so only one is in flight

    def __init__(
        self,
        page_size: int,
        fields: Callable[[tuple[Any, ...] | None, Ties | None, Sequence[Id]], dict[str, Any]],
        *,
        order: Order = ((("id",), "asc"),),
        instants: frozenset[tuple[str, ...]] = frozenset(),
        limit: int | None = None,
        page_size_key: str = "pageSize",
        resume: Position | None = None,
        trust_first_count: bool = True,
    ) -> None:
        self.stop_reason: StopReason | None = None
        self._limit = limit
        self._trust_first_count = trust_first_count
        self._size = page_size
        self._page_size_key = page_size_key
        self._fields = fields
        self.order = order
        self._instants = instants
        self._after: tuple[Any, ...] | None = None
        self._ties: Ties | None = None
        self._passed: list[Id] = []  # keys received after the last row with order values
        self._unordered = 0  # leading rows of the next page that are known to have no order values
        self._yielded = 0
        self._stale_pages = 0
        self._max_page_rows = 0
        self._first_total: int | None = None
        self._counts_pages = False  # a page that did not end the read had just as many rows as its count
        self._requested = 0  # rows, by the request in flight
        if resume is not None:
            self._resume(resume)
        if limit is not None and self._yielded >= limit:
            self.stop_reason = "limit"

    def _resume(self, position: Position) -> None:
        parsed = parse_position(position, _Position)
        if parsed.after is not None and len(parsed.after) != len(self.order):
            raise damaged_checkpoint()
        self._after = None if parsed.after is None else tuple(parsed.after)
        self._yielded = parsed.yielded
        self._ties = parsed.ties
        self._passed = parsed.passed
        self._max_page_rows = parsed.max_page_rows
        self._counts_pages = parsed.counts_pages
        self._first_total = parsed.first_total
        try:
            self._fields(self._after, self._ties, self._passed)
        except (ConfigurationError, ValueError, TypeError, IndexError):
            raise damaged_checkpoint() from None
        self.stop_reason = None if parsed.stop_reason == "limit" else parsed.stop_reason

    @property
    def keys_before_resume(self) -> Sequence[Id | None]:
        return () if self._after is None else self._after[-1:]

    def next_request(self) -> PageRequest | None:
        if self.stop_reason is not None or self._requested:
            return None
        size = self._size if self._limit is None else min(self._size, self._limit - self._yielded)
        size = min(size + self._unordered, MAX_PAGE_SIZE)
        fields = {**self._fields(self._after, self._ties, self._passed), self._page_size_key: size}
        self._requested = size
        return PageRequest(fields, size)

    def normalized(self, result: PageResult) -> PageResult:
        """Return the result with its order checked, and instants of equal digits."""
        rows = result.order_values
        for column, (path, _) in enumerate(self.order):
            if path in self._instants:
                rows = with_equal_digits(rows, column, self._after)
        is_out_of_order = self._goes_back(rows)
        if rows is result.order_values and not is_out_of_order:
            return result
        return msgspec.structs.replace(result, order_values=rows, is_out_of_order=is_out_of_order)

    def evidence(self, result: PageResult, *, known: bool) -> Evidence:
        length, count = len(result.keys), result.count
        if not length:
            is_counted = count == 0 and self._yielded == self._first_total and self._yielded > 0
            return Evidence.SUFFICIENT if is_counted else Evidence.UNPROVEN
        if known or self.was_before_resume(result) or result.is_out_of_order:
            return Evidence.WRONG
        is_last = self._limit is not None and self._yielded + length >= self._limit
        if is_last or length >= self._requested:
            return Evidence.SUFFICIENT
        if self._is_counted(result) and (self._trust_first_count or self._max_page_rows > 0):
            return Evidence.SUFFICIENT
        # The server may have a smaller page size of its own: that of its longest page.
        is_short = not self._max_page_rows or length < self._max_page_rows
        return Evidence.UNPROVEN if is_short else Evidence.SUFFICIENT

    def was_before_resume(self, result: PageResult) -> bool:
        return bool(result.order_values) and result.order_values[-1] == self._after

    def receive(self, result: PageResult) -> PageDecision:
        requested, self._requested = self._requested, 0
        if result.is_out_of_order:
            raise PaginationError(
                "the server did not return rows in the requested order, which keyset pagination requires; "
                "pass paging='page' to read by page number"
            )
        unordered = _unordered_at_end(result)
        # A read could not continue after unordered rows, so the count of a page that ends with them is used.
        is_trusted = self._trust_first_count or self._max_page_rows > 0 or unordered > 0
        is_last = len(result.keys) < requested and is_trusted and self._is_counted(result)
        left = 0 if is_last else unordered
        is_by_key, use = self._ties is not None and self._ties.by_key, True
        if left and left == len(result.keys):
            use, left = self._receive_unordered(result), 0
        else:
            self._unordered = 0
            if not is_by_key:
                self._record_count(result)
            result = result.without_last(left)
            receive = self._receive_by_key if is_by_key else self._receive_in_order
            receive(result, is_last=is_last)
        repeated = len(result.keys) - len(result.new) if is_by_key and use else 0
        # Before the end, a count of just the rows of a page may be that of the page.
        is_of_page = bool(result.keys) and result.count == len(result.keys) and self.stop_reason is None
        counts_all = not (is_by_key or is_of_page)
        return PageDecision(use=use, skip_last=left, expected_duplicates=repeated, counts_all=counts_all)

    def _receive_unordered(self, result: PageResult) -> bool:
        """Pass rows without order values by their keys, or request them again with rows after them.

        Return whether they are passed. A short page of them does not prove the end: the server's pages may be
        shorter than requested.
        """
        keys = [key for key in result.keys if key is not None]
        if not set(self._passed).isdisjoint(keys):
            raise repeated_page()
        if len(keys) < len(result.keys) or len(self._passed) + len(keys) > MAX_KNOWN_KEYS:
            if len(result.keys) <= self._unordered:
                raise no_order_values(self.order)
            self._unordered = len(result.keys)
            return False
        self._unordered = 0
        before = self._yielded
        self._up_to_limit(result)
        self._pass(result, self._yielded - before)
        return True

    def _pass(self, result: PageResult, rows: int) -> None:
        """Leave rows without order values, of which so many are new, out of the next page."""
        end = result.new[rows] if rows < len(result.new) else len(result.keys)
        self._passed = [*self._passed, *(key for key in result.keys[:end] if key is not None)]

    def _receive_in_order(self, result: PageResult, *, is_last: bool) -> None:
        if not result.keys:
            self.stop_reason = "empty_page"
            return
        self._max_page_rows = max(self._max_page_rows, len(result.keys))
        self._stale_pages = 0 if result.new else self._stale_pages + 1
        is_same = self._ties is None and self.was_before_resume(result)
        if is_same or self._stale_pages >= MAX_STALE_PAGES:
            raise repeated_page()
        before, yielded, rows = self._after, self._yielded, self._up_to_limit(result)
        if self.stop_reason is None and is_last:
            self.stop_reason = "count"
        if not rows:  # of the rows to yield, none has order values
            self._pass(result, self._yielded - yielded)
            return
        self._after, self._passed = rows[-1], []
        if self._instants:
            known = None if before is None or self._ties is None else (before, self._ties)
            self._ties = Ties.following(self.order, self._instants, known, rows, has_new=bool(result.new))

    def _receive_by_key(self, result: PageResult, *, is_last: bool) -> None:
        """Process a page of the rows of one instant, which are read by key."""
        ties = cast("Ties", self._ties)
        if result.order_values and result.order_values[-1][-1] == ties.last_key:
            raise repeated_page()
        keys = [row[-1] for row in self._up_to_limit(result)]
        self._ties = msgspec.structs.replace(ties, last_key=keys[-1]) if keys else ties
        if self.stop_reason is None and (not keys or is_last):
            self._ties = ties.after_instant(self._after or ())
        if keys or self.stop_reason is None:
            self._passed = []

    def _record_count(self, result: PageResult) -> None:
        if result.count == len(result.keys):  # it may be the count of the page
            self._counts_pages = True
        elif result.count is not None and self._first_total is None:
            self._first_total = self._yielded + result.count

    def _is_counted(self, result: PageResult) -> bool:
        """Return whether a count, unless it is always that of the page, covers just the rows of a page.

        A page as long as the longest one may be full, by a page size of the server's own; a count that is too
        low is then no proof.
        """
        rows = len(result.keys)
        is_full = rows == self._max_page_rows
        return result.count == rows and not is_full and not (self._counts_pages and self._first_total is None)

    def _up_to_limit(self, result: PageResult) -> Sequence[tuple[Any, ...]]:
        """Count the new rows; return the order values up to the limit, which a server may exceed."""
        self._yielded += len(result.new)
        if self._limit is None or self._yielded < self._limit:
            return result.order_values
        self.stop_reason = "limit"
        surplus, self._yielded = self._yielded - self._limit, self._limit
        if not surplus:
            return result.order_values
        end = result.new[-surplus]
        return result.order_values[: end - bisect_left(result.unordered, end)]

    def _goes_back(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        order: Order = self.order
        instants = self._instants
        if self._ties is not None and self._ties.by_key:
            last = [] if self._ties.last_key is None else [(self._ties.last_key,)]
            order = [(order[-1][0], "asc")]
            rows = [*last, *((row[-1],) for row in rows)]
        elif (
            rows
            and self._after is not None
            and is_before(order, self._after, rows[0], instants, may_be_near=True)
        ):
            return True
        return are_out_of_order(order, rows, instants)

    def position(self) -> Position:
        after = None if self._after is None else list(self._after)
        ties = {} if self._ties is None else {"ties": msgspec.to_builtins(self._ties)}
        passed = {"passed": self._passed} if self._passed else {}
        # Decides whether a short page is the last one.
        seen = {
            "max_page_rows": self._max_page_rows,
            "counts_pages": self._counts_pages,
            "first_total": self._first_total,
        }
        return {
            "after": after,
            "yielded": self._yielded,
            "stop_reason": self.stop_reason,
            **ties,
            **passed,
            **{name: value for name, value in seen.items() if value},
        }

    def mid_page_position(self, rows: int, yielded: int) -> Position:
        raise NotImplementedError  # rows are not streamed


def _unordered_at_end(result: PageResult) -> int:
    """Return how many rows at the end of a page have no order values; the next page has them again."""
    end = len(result.keys)
    for index in reversed(result.unordered):
        if index != end - 1:
            break
        end = index
    return len(result.keys) - end
