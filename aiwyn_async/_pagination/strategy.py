"""Which page to ask for next, and when to stop. Pure: told what came, it says what to ask.

Two walks with one surface: ``OffsetWalk`` by ``page`` and ``pageSize``, ``KeysetWalk`` by ``where`` and
``orderBy``. Both serve one page at a time and a window of pages: ``ask()`` gives requests as long as it is
safe to have another one in flight, and ``tell()`` is called with the answers in the order of asking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

import msgspec

from aiwyn_async._core.reports import StopReason
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.page import Position
from aiwyn_async._pagination.ties import Order, Ties, is_before
from aiwyn_async.errors import CheckpointError, ConfigurationError
from aiwyn_async.models.base import Id

__all__ = [
    "MAX_PAGE_SIZE",
    "KeysetPagination",
    "OffsetPagination",
    "Order",
    "OutOfOrder",
    "PageDecision",
    "PageRequest",
    "PageResult",
    "PageStyle",
    "Pagination",
    "RepeatedPage",
]

PositionT = TypeVar("PositionT", bound=msgspec.Struct)
PageStyle = Literal["page", "offset", "auto"]

MAX_PAGE_SIZE: Final = 1000
"""Rows a page, at most: the bound that the documentation gives wherever it gives one."""

# So many pages in a row without one new row are no drift any more.
MAX_STALE_PAGES: Final = 8
# A numbered list that counts more rows is read past one empty page, not past two in a row.
MAX_EMPTY_PAGES: Final = 2


class PageRequest(msgspec.Struct, frozen=True):
    """One page to request: its fields are laid over the query's body."""

    fields: dict[str, Any]
    size: int


class PageResult(msgspec.Struct, frozen=True):
    """What a page brought.

    Attributes:
        keys: in the order of the rows, None where a row has none.
        new: the indices of the rows that no page of this run gave.
        count: the server's, or None.
        order_values: for a walk by key: the order columns' values, row by row.
        is_repeat: rows without keys came in a body that is an earlier page's, byte for byte.
    """

    keys: Sequence[Id | None]
    new: Sequence[int]
    count: int | None = None
    order_values: Sequence[tuple[Any, ...]] = ()
    is_repeat: bool = False


class PageDecision(msgspec.Struct, frozen=True):
    """What to do with a page.

    Attributes:
        use: give its rows.
        given_before: so many rows at its head were given already, by an earlier run too.
        restart: the pages in flight are void.
        own_repeats: rows that came twice because of how the walk asked, and not because the list moved.
        counts_all: the count that came with the page is of all rows that are left.
        after_gap: the page before this one was short or empty, although the list continues here.
    """

    use: bool = True
    skip_rows: int = 0
    discard_in_flight: bool = False
    expected_duplicates: int = 0
    counts_all: bool = True
    after_gap: bool = False


class RepeatedPage(Exception):  # noqa: N818 (becomes PaginationLoopError, which knows the checkpoint)
    """The server gives a page again."""


class OutOfOrder(Exception):  # noqa: N818 (becomes PaginationError, which knows the checkpoint)
    """The server does not keep to the order or the key filter that a walk by key stands on."""


class Pagination(Protocol):
    """The surface of both walks."""

    stop_reason: StopReason | None

    @property
    def can_stream_rows(self) -> bool:
        """True when a page's rows may be given before it is told: new ones are used, whatever it brings."""
        ...

    def next_request(self) -> PageRequest | None:
        """The next request, or None when none may be added now."""
        ...

    def evidence(self, came: PageResult, *, known: bool) -> Evidence:
        """Rate the oldest page asked for, before it is told; ``known``: all its rows were received before.

        ``came.new`` is not looked at.
        """
        ...

    def receive(self, came: PageResult) -> PageDecision:
        """Take in the oldest page asked for and not told yet."""
        ...

    def position(self) -> Position:
        """Where to go on after all that was told, as JSON."""
        ...

    def mid_page_position(self, rows: int, given: int) -> Position:
        """Where to go on after so many rows of the next page, too; only of a settled walk."""
        ...


_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_FinalReason = Literal["empty_page", "count", "limit"]


class _PageKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As much of a page as telling it from the next one takes; small enough for a checkpoint."""

    head: Annotated[list[Id | None], msgspec.Meta(min_length=1, max_length=4)]
    last: Id | None
    length: Annotated[int, msgspec.Meta(ge=1)]

    @classmethod
    def of(cls, keys: Sequence[Id | None]) -> _PageKeys:
        return cls(list(keys[:4]), keys[-1], len(keys))


class _Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that tells rows to skip from a page number: a skip of ``row`` rows begins with ``begins``."""

    row: Annotated[int, msgspec.Meta(ge=1)]
    first_key: Id | None
    fresh: _Whole
    repeated: _Whole


class _OffsetPosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an ``OffsetWalk`` goes on. What ``OffsetWalk`` says of its attributes holds here too."""

    pages_received: _Whole
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)]
    style: PageStyle
    rows: _Whole
    yielded: _Whole
    next: _Whole
    yielded_before: _Whole
    before: _PageKeys | None
    probe: _Probe | None
    stop_reason: _FinalReason | None

    def __post_init__(self) -> None:
        if (self.pages_received > 0) != (self.before is not None):
            raise ValueError("a walk that began has a page before")
        if self.probe is not None and self.style != "auto":
            raise ValueError("only what is unknown is probed")


class _KeysetPosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a ``KeysetWalk`` goes on."""

    after: list[Any] | None
    yielded: _Whole
    stop_reason: _FinalReason | None
    ties: Ties | None = None


class OffsetPagination:
    """By ``page`` and ``pageSize``.

    The end is a fact: an empty page, or a short page whose count agrees with the rows seen. A full page
    never ends the walk, whatever the count says. An empty page does not end it while later pages are in
    flight, nor the first time if the count promises rows beyond it.

    Some endpoints call ``page`` a number of rows to skip. When the second page begins with the first one's
    second row, either ``page`` skips rows or the list moved; one request that only a skip answers with the
    row after those seen decides it, and neither reading loses a row.

    Args:
        page_size: rows to ask for at a time.
        limit: rows to give in all.
        means: what the server takes ``page`` for; "auto" looks at the second page.
        size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier walk.

    Raises:
        CheckpointError: the position is none that a walk of this kind gives.
    """

    def __init__(
        self,
        page_size: int,
        *,
        limit: int | None = None,
        means: PageStyle = "auto",
        size_key: str = "pageSize",
        resume: Position | None = None,
    ) -> None:
        self.stop_reason: StopReason | None = None
        self._limit = limit
        self._size_key = size_key
        self._size = page_size if limit is None else _shared_out(limit, page_size)
        self._style: PageStyle = means
        self._next = 0  # the next page to ask for, or the rows to skip
        self._pages_received = 0  # pages told
        self._rows = 0  # rows received
        self._yielded = 0  # rows given
        self._yielded_before = 0  # rows at the head of the next page that were given already
        self._count: int | None = None
        self._first_count: int | None = None
        self._empty = 0  # empty pages in a row
        self._before: _PageKeys | None = None
        self._probe: _Probe | None = None
        self._stale = 0
        self._same = 0
        self._cut: Position | None = None
        if resume is not None:
            self._resume(resume)
        self._in_flight: deque[PageRequest] = deque()
        if limit is not None and self._yielded >= limit:
            self.stop_reason = "limit"

    def next_request(self) -> PageRequest | None:
        """The next page: alone until a count is known, then as many as the count promises."""
        if self.stop_reason is not None or (self._in_flight and not self._can_prefetch()):
            return None
        page = self._next if self._probe is None else self._probe.row
        if self._probe is None:
            self._next += self._step
        ask = PageRequest({self._size_key: self._size, "page": page}, self._size)
        self._in_flight.append(ask)
        return ask

    def evidence(self, came: PageResult, *, known: bool) -> Evidence:
        """Rate the oldest page that was asked for."""
        length, count = len(came.keys), came.count
        first_count = count if self._first_count is None else self._first_count
        is_counted = count == self._rows + length == first_count
        if not length:
            is_end = is_counted and self._rows > 0 and self._probe is None
            return Evidence.SUFFICIENT if is_end else Evidence.UNPROVEN
        if known or came.is_repeat:
            return Evidence.SUFFICIENT if count == self._yielded else Evidence.WRONG
        is_last = self._limit is not None and self._yielded + length >= self._limit
        if self._probe is not None or is_counted or is_last or length >= self._in_flight[0].size:
            return Evidence.SUFFICIENT
        # With a count, a first page that is short is likely a smaller page size of the server's own.
        return Evidence.SUFFICIENT if count is not None and not self._pages_received else Evidence.UNPROVEN

    def receive(self, came: PageResult) -> PageDecision:
        """Take in the oldest page that was asked for.

        Raises:
            WalkLoop: the same page came three times, or page after page brings nothing new.
        """
        here = self.position() if self._limit is not None else None
        ask = self._in_flight.popleft()
        if came.count is not None:
            self._count = came.count
            if self._first_count is None:
                self._first_count = came.count
        if self._probe is not None:
            return self._receive_probe(self._probe, ask, came, here)
        if not came.keys:
            return self._receive_empty()
        is_after_gap = self._is_after_gap and bool(came.new)
        self._empty = 0
        before, self._before = self._before, _PageKeys.of(came.keys)
        if self._is_same(before, came):
            self.stop_reason = "count"
            return PageDecision(use=False)
        if self._style == "auto" and self._pages_received == 1:
            if before is not None and _is_shifted_by_one(before, came.keys):
                return self._start_probe(before, came, here)
            self._style = "page"
        told = self._accept(ask, came, here)
        return msgspec.structs.replace(told, after_gap=True) if is_after_gap else told

    def _receive_empty(self) -> PageDecision:
        self._empty += 1
        begin = self._next if self._style == "offset" else self._next * self._size
        is_promised_more = self._count is not None and begin < self._count
        if not self._in_flight and not (is_promised_more and self._empty < MAX_EMPTY_PAGES):
            self.stop_reason = "empty_page"
        return PageDecision()

    @property
    def _is_after_gap(self) -> bool:
        """Whether the last page told was too short for a page with others behind it."""
        is_short = self._before is not None and self._before.length < self._size
        return self._empty > 0 or (is_short and self._style == "page")

    def position(self) -> Position:
        """Where to go on after all that was told."""
        if self._cut is not None:
            return self._cut
        ahead = 0 if self._probe is not None else len(self._in_flight)
        position = _OffsetPosition(
            pages_received=self._pages_received,
            size=self._size,
            style=self._style,
            rows=self._rows,
            yielded=self._yielded,
            next=self._next - self._step * ahead,
            yielded_before=self._yielded_before,
            before=self._before,
            probe=self._probe,
            stop_reason=self.stop_reason,  # type: ignore[arg-type]
        )
        return dict(msgspec.to_builtins(position))

    def mid_page_position(self, rows: int, given: int) -> Position:
        """Where to go on after so many rows of the next page, of which so many were given."""
        return self.position() | {"yielded": self._yielded + given, "yielded_before": rows}

    @property
    def can_stream_rows(self) -> bool:
        """True from the third page on, where ``page`` is a number and no limit cuts a page."""
        return (
            self._pages_received >= 2
            and self._style == "page"
            and self._limit is None
            and not self._yielded_before
        )

    @property
    def _step(self) -> int:
        return self._size if self._style == "offset" else 1

    def _resume(self, position: Position) -> None:
        found = _checked_position(position, _OffsetPosition)
        self._pages_received, self._size, self._style = found.pages_received, found.size, found.style
        self._rows, self._yielded, self._next = found.rows, found.yielded, found.next
        self._yielded_before, self._before, self._probe = found.yielded_before, found.before, found.probe
        # Another limit may be asked for now.
        self.stop_reason = None if found.stop_reason == "limit" else found.stop_reason

    def _can_prefetch(self) -> bool:
        promised = sum(ask.size for ask in self._in_flight)
        if not self._pages_received or self._count is None or self._probe is not None or self._empty:
            return False
        wanted = self._count - self._rows
        if self._limit is not None and self._limit - self._yielded <= wanted:
            return promised < self._limit - self._yielded
        # Where full pages make up the count, one more has to say that these are all.
        return promised <= wanted

    def _is_same(self, before: _PageKeys | None, came: PageResult) -> bool:
        """Whether the server gives all its rows whatever the page.

        Raises:
            WalkLoop: it gives one page again and again, which is not all of them.
        """
        same = before == self._before and None not in came.keys
        self._same = self._same + 1 if same else 0
        self._stale = 0 if came.new and not came.is_repeat else self._stale + 1
        if same and not came.new and came.count == self._yielded:
            return True
        # Once it may be that rows were inserted, as many as a page has; twice it is not believed.
        if self._same >= 2 or self._stale >= MAX_STALE_PAGES:
            raise RepeatedPage
        return False

    def _accept(
        self, ask: PageRequest, came: PageResult, here: Position | None, given_before: int = 0
    ) -> PageDecision:
        begun, self._yielded_before = self._yielded_before, 0
        given_before = max(given_before, begun)
        self._pages_received += 1
        self._rows += len(came.keys)
        self._yield_rows(came, given_before, here)
        restart = self.stop_reason is None and self._continues_elsewhere(ask, came)
        own_repeats = sum(index < begun for index in came.new) if begun else 0
        return PageDecision(
            skip_rows=given_before, discard_in_flight=restart, expected_duplicates=own_repeats
        )

    def _yield_rows(self, came: PageResult, given_before: int, here: Position | None) -> int:
        """Count the rows that are given, which the limit may cut; how many were new."""
        new = [index for index in came.new if index >= given_before] if given_before else came.new
        self._yielded += len(new)
        if self._limit is not None and self._yielded >= self._limit:
            self.stop_reason = "limit"
            over = self._yielded - self._limit
            if over and here is not None:
                # A walk with a larger limit begins with this page again, behind its rows that were given.
                self._cut = here | {
                    "yielded": self._limit,
                    "yielded_before": new[-over],
                    "stop_reason": "limit",
                }
        return len(new)

    def _continues_elsewhere(self, ask: PageRequest, came: PageResult) -> bool:
        """Take in a page of another length than asked for; True when the pages in flight are void."""
        length = len(came.keys)
        if length < ask.size and came.count == self._rows:
            self.stop_reason = "count"
        elif length != ask.size and self._pages_received == 1:
            # Unconfirmed, it may be the server's own page size: go on in its step.
            self._size = min(length, MAX_PAGE_SIZE)
            self._next = self._rows if self._style == "offset" else 1
        elif length != ask.size and self._style == "offset":
            # The pages in flight begin elsewhere than where this one ends.
            self._size = min(max(self._size, length), MAX_PAGE_SIZE)
            self._continue_from(self._rows)
            return True
        return False

    def _start_probe(self, before: _PageKeys, came: PageResult, here: Position | None) -> PageDecision:
        # A walk that was resumed does not know the keys, but these are the rows before.
        resumed = len(came.new) == len(came.keys)
        given_before = min(before.length - 1, len(came.keys)) if resumed else 0
        fresh = self._yield_rows(came, max(given_before, self._yielded_before), here)
        self._probe = _Probe(before.length, came.keys[-1], fresh, len(came.keys) - fresh)
        self._yielded_before = 0
        self._pages_received += 1
        self._continue_from(2)
        return PageDecision(skip_rows=given_before, discard_in_flight=True)

    def _receive_probe(
        self, probe: _Probe, ask: PageRequest, came: PageResult, here: Position | None
    ) -> PageDecision:
        self._probe = None
        if not came.keys and not probe.fresh:
            # All rows were on the first page; by either reading there are no more.
            self.stop_reason = "empty_page"
            return PageDecision(expected_duplicates=probe.repeated)
        if came.keys and probe.fresh and came.keys[0] == probe.first_key:
            self._style = "offset"
            self._before = _PageKeys.of(came.keys)
            resumed = len(came.new) == len(came.keys)
            told = self._accept(ask, came, here, given_before=int(resumed))
            self._continue_from(self._rows)
            repeated = probe.repeated + max(1, told.expected_duplicates)
            return PageDecision(
                skip_rows=told.skip_rows, discard_in_flight=True, expected_duplicates=repeated
            )
        self._style = "page"
        self._rows += probe.fresh + probe.repeated
        return PageDecision(use=False)

    def _continue_from(self, place: int) -> None:
        self._next = place
        self._in_flight.clear()


def _shared_out(limit: int, page_size: int) -> int:
    """The smallest page size that takes no more pages: the last page then asks for little too much."""
    pages = -(-limit // page_size)
    return -(-limit // pages)


def _is_shifted_by_one(before: _PageKeys, keys: Sequence[Id | None]) -> bool:
    head = list(keys[:4])
    overlap = min(len(before.head) - 1, len(head))
    if overlap < 1 or None in head or before.head[1 : 1 + overlap] != head[:overlap]:
        return False
    return len(keys) < before.length - 1 or keys[before.length - 2] == before.last


class KeysetPagination:
    """By ``where`` and ``orderBy``: each page begins after the last row of the one before.

    Args:
        page_size: rows to ask for at a time.
        fields: from the last row's order values (None for the first page) and its ties to the body's fields.
        order: what the rows are ordered by, so that the server can be held to it.
        instants: the columns of the order that hold instants, of which a server may show fewer digits than
            it compares.
        limit: rows to give in all.
        size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier walk.

    Raises:
        CheckpointError: the position is none that a walk of this kind gives.
    """

    def __init__(
        self,
        page_size: int,
        fields: Callable[[tuple[Any, ...] | None, Ties | None], dict[str, Any]],
        *,
        order: Order = ((("id",), "asc"),),
        instants: frozenset[tuple[str, ...]] = frozenset(),
        limit: int | None = None,
        size_key: str = "pageSize",
        resume: Position | None = None,
    ) -> None:
        self.stop_reason: StopReason | None = None
        self._limit = limit
        self._size = page_size
        self._size_key = size_key
        self._fields = fields
        self._order = order
        self._instants = instants
        self._after: tuple[Any, ...] | None = None
        self._ties: Ties | None = None
        self._yielded = 0
        self._stale = 0
        self._max_rows_seen = 0  # rows of the longest page
        self._first_total: int | None = None  # rows in all, by the first count
        self._in_order: Sequence[tuple[Any, ...]] | None = None  # the values that were checked last
        self._last_requested: PageRequest | None = None
        if resume is not None:
            self._resume(resume)
        if limit is not None and self._yielded >= limit:
            self.stop_reason = "limit"

    def next_request(self) -> PageRequest | None:
        """The page after the last one told; one at a time, since each needs the one before."""
        if self.stop_reason is not None or self._last_requested is not None:
            return None
        size = self._size if self._limit is None else min(self._size, self._limit - self._yielded)
        self._last_requested = PageRequest(
            {**self._fields(self._after, self._ties), self._size_key: size}, size
        )
        return self._last_requested

    def evidence(self, came: PageResult, *, known: bool) -> Evidence:
        """Rate the page that was asked for."""
        length, count = len(came.keys), came.count
        if not length:
            is_counted = count == 0 and self._yielded == self._first_total and self._yielded > 0
            return Evidence.SUFFICIENT if is_counted else Evidence.UNPROVEN
        if known or came.order_values[-1] == self._after or self._is_out_of_order(came.order_values):
            return Evidence.WRONG
        is_last = self._limit is not None and self._yielded + length >= self._limit
        if (
            is_last
            or count == length
            or (self._last_requested is not None and length >= self._last_requested.size)
        ):
            return Evidence.SUFFICIENT
        # The server may have a smaller page size of its own: that of its longest page.
        is_short = length < self._max_rows_seen or (not self._max_rows_seen and count is None)
        return Evidence.UNPROVEN if is_short else Evidence.SUFFICIENT

    def receive(self, came: PageResult) -> PageDecision:
        """Take in the page that was asked for.

        Raises:
            WalkLoop: the page does not go on from where it should, or page after page brings nothing new.
            WalkUnordered: the rows are not in the order asked for.
        """
        asked, self._last_requested = self._last_requested, None
        if self._ties is not None and self._ties.by_key:
            return self._receive_by_key(self._ties, asked, came)
        if came.count is not None and self._first_total is None:
            self._first_total = self._yielded + came.count
        if not came.keys:
            self.stop_reason = "empty_page"
            return PageDecision()
        if self._is_out_of_order(came.order_values):
            raise OutOfOrder
        self._max_rows_seen = max(self._max_rows_seen, len(came.keys))
        self._stale = 0 if came.new else self._stale + 1
        is_same = came.order_values[-1] == self._after and self._ties is None
        if is_same or self._stale >= MAX_STALE_PAGES:
            raise RepeatedPage
        before, self._after = self._after, came.order_values[-1]
        self._yielded += len(came.new)
        if self._limit is not None and self._yielded >= self._limit:
            self._stop_at_limit(came)
        elif asked is not None and len(came.keys) < asked.size and came.count == len(came.keys):
            self.stop_reason = "count"
        self._note_ties(before, came)
        return PageDecision()

    def _note_ties(self, before: tuple[Any, ...] | None, came: PageResult) -> None:
        if self._instants:
            over = max(0, self._yielded - self._limit) if self._limit is not None else 0
            known = None if before is None or self._ties is None else (before, self._ties)
            rows = came.order_values[: len(came.order_values) - over]
            self._ties = Ties.following(self._order, self._instants, known, rows, has_new=bool(came.new))

    def _receive_by_key(self, ties: Ties, asked: PageRequest | None, came: PageResult) -> PageDecision:
        """Take in a page of the rows of one instant, which are read by their key."""
        keys = [row[-1] for row in came.order_values]
        if self._is_out_of_order(came.order_values):
            raise OutOfOrder
        if keys and keys[-1] == ties.last_key:
            raise RepeatedPage
        self._yielded += len(came.new)
        if self._limit is not None and self._yielded >= self._limit:
            self.stop_reason = "limit"
            over, self._yielded = self._yielded - self._limit, self._limit
            keys = keys[: len(keys) - over]
        self._ties = msgspec.structs.replace(ties, last_key=keys[-1]) if keys else ties
        is_short = asked is not None and len(came.keys) < asked.size and came.count == len(came.keys)
        if self.stop_reason is None and (not keys or is_short):
            self._ties = ties.after_instant(self._after or ())
        return PageDecision(expected_duplicates=len(came.keys) - len(came.new), counts_all=False)

    @property
    def can_stream_rows(self) -> bool:
        """Never: each request stands on the page before."""
        return False

    def mid_page_position(self, rows: int, given: int) -> Position:  # noqa: ARG002 (it is never settled)
        """Where to go on: after the last page told."""
        return self.position()

    def position(self) -> Position:
        """Where to go on after all that was told."""
        after = None if self._after is None else list(self._after)
        ties = {} if self._ties is None else {"ties": msgspec.to_builtins(self._ties)}
        return {"after": after, "yielded": self._yielded, "stop_reason": self.stop_reason, **ties}

    def _resume(self, position: Position) -> None:
        found = _checked_position(position, _KeysetPosition)
        if found.after is not None and len(found.after) != len(self._order):
            raise _damaged()
        self._after = None if found.after is None else tuple(found.after)
        self._yielded = found.yielded
        self._ties = found.ties
        try:
            self._fields(self._after, self._ties)
        except (ConfigurationError, ValueError, TypeError, IndexError):
            raise _damaged() from None
        self.stop_reason = None if found.stop_reason == "limit" else found.stop_reason

    def _stop_at_limit(self, came: PageResult) -> None:
        self.stop_reason = "limit"
        over = self._yielded - (self._limit or 0)
        if over > 0:  # more came than was asked for: go on after the last row that is given
            self._yielded -= over
            self._after = came.order_values[-1 - over]

    def _is_out_of_order(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        if rows is self._in_order:
            return False
        is_out = self._goes_back_within(rows)
        self._in_order = None if is_out else rows
        return is_out

    def _goes_back_within(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        if self._ties is not None and self._ties.by_key:
            last = [] if self._ties.last_key is None else [(self._ties.last_key,)]
            by_key: Order = [(self._order[-1][0], "asc")]
            keys = [*last, *((row[-1],) for row in rows)]
            return any(is_before(by_key, one, other, self._instants) for one, other in pairwise(keys))
        return (
            bool(rows)
            and self._after is not None
            and is_before(self._order, self._after, rows[0], self._instants, may_be_near=True)
        ) or any(is_before(self._order, one, other, self._instants) for one, other in pairwise(rows))


def _checked_position(position: Position, kind: type[PositionT]) -> PositionT:
    try:
        return msgspec.convert(position, kind)
    except (msgspec.MsgspecError, RecursionError):
        raise _damaged() from None


def _damaged() -> CheckpointError:
    return CheckpointError("the checkpoint is damaged; start anew")
