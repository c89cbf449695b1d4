"""The protocol, requests, results, decisions and errors of pagination.

A strategy does no I/O. ``next_request()`` returns requests as long as one more may be in flight, and
``receive()`` is called with the results in the order of the requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

import msgspec

from aiwyn_async._core.reports import StopReason
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.page import Position, damaged_checkpoint
from aiwyn_async._pagination.ties import Order
from aiwyn_async.errors import PaginationError, PaginationLoopError
from aiwyn_async.models.base import Id

PositionT = TypeVar("PositionT", bound=msgspec.Struct)
PageStyle = Literal["page", "offset", "auto"]
FinalReason = Literal["empty_page", "count", "limit"]
RowCount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

MAX_PAGE_SIZE: Final = 1000
"""The largest page size that the API documents."""
MAX_STALE_PAGES: Final = 8
"""Pages in a row without a new row that a list changing during the read still explains."""
MAX_KNOWN_PAGES: Final = 100
"""Pages in a row of rows without keys that equal earlier ones; different rows may be equal."""


class PageRequest(msgspec.Struct, frozen=True):
    """A request for one page: ``fields`` are merged into the query's body."""

    fields: dict[str, Any]
    size: int


class PageResult(msgspec.Struct, frozen=True):
    """What a response contains.

    Attributes:
        keys: the key of each row, or None.
        new: indices of the rows that were not received before in this read.
        count: the server's count, or None.
        order_values: for keyset pagination, the values of the order columns, of each row that has them.
        unordered: the indices of the other rows.
        is_repeat: rows without keys arrived in the same bytes as an earlier page.
        is_known: each row has a key that was received, or none and equals an earlier row.
        is_out_of_order: the rows are not in the requested order.
        digests: those of rows without a key, and the keys of the others; empty if all have a key.
    """

    keys: Sequence[Id | None]
    new: Sequence[int]
    count: int | None = None
    order_values: Sequence[tuple[Any, ...]] = ()
    unordered: Sequence[int] = ()
    is_repeat: bool = False
    is_known: bool = False
    is_out_of_order: bool = False
    digests: Sequence[Id | None] = ()

    @property
    def row_ids(self) -> Sequence[Id | None]:
        """What identifies each row: its key, or a digest."""
        return self.digests or self.keys

    def without_last(self, rows: int) -> PageResult:
        """Return the result without its last rows, which have no order values."""
        if not rows:
            return self
        end = len(self.keys) - rows
        new = [index for index in self.new if index < end]
        return msgspec.structs.replace(self, keys=self.keys[:end], new=new, unordered=self.unordered[:-rows])


class PageDecision(msgspec.Struct, frozen=True):
    """What to do with a page.

    Attributes:
        use: yield its rows.
        skip_rows: leading rows that were yielded before, possibly by the read that this one resumes.
        skip_last: rows at the end that the next page must have again.
        discard_in_flight: the pages in flight are not needed.
        expected_duplicates: rows received twice because of the requests, not because the list changed.
        counts_all: the count of the page covers all remaining rows.
        after_gap: the page before was short or empty, although the list continues here.
    """

    use: bool = True
    skip_rows: int = 0
    skip_last: int = 0
    discard_in_flight: bool = False
    expected_duplicates: int = 0
    counts_all: bool = True
    after_gap: bool = False


def repeated_page() -> PaginationLoopError:
    """Return the error of a server that returns the same page again."""
    return PaginationLoopError("the server keeps returning the same rows; it may ignore the `page` parameter")


def no_order_values(order: Order) -> PaginationError:
    """Return the error of rows that a read cannot continue after."""
    names = ", ".join(".".join(path) for path, _ in order)
    return PaginationError(
        f"some rows lack the order_by columns ({names}), which keyset pagination requires; order by columns "
        "that all rows have, or pass paging='page'"
    )


class Pagination(Protocol):
    """A strategy that decides which page to request next, and when the list ends."""

    @property
    def stop_reason(self) -> StopReason | None:
        """What ended the read; None while it runs."""
        ...

    @property
    def order(self) -> Order:
        """The columns that rows are ordered by, a unique key last; empty by page number."""
        ...

    @property
    def can_stream_rows(self) -> bool:
        """True if rows can be yielded before the whole page is processed."""
        ...

    @property
    def keys_before_resume(self) -> Sequence[Id | None]:
        """The key of the last row of the page before, in a read that resumes."""
        ...

    def next_request(self) -> PageRequest | None:
        """Return the next request, or None if no more may be in flight now."""
        ...

    def normalized(self, result: PageResult) -> PageResult:
        """Return a response to the oldest request in flight as ``evidence()`` and ``receive()`` expect it."""
        ...

    def evidence(self, result: PageResult, *, known: bool) -> Evidence:
        """Rate a normalized response to the oldest request in flight, before it is received.

        Args:
            result: the response; ``new`` is ignored.
            known: all of its rows were received before.
        """
        ...

    def was_before_resume(self, result: PageResult) -> bool:
        """Return whether a page is the one before it again, whose keys a resumed read does not know."""
        ...

    def receive(self, result: PageResult) -> PageDecision:
        """Process the normalized response to the oldest request in flight.

        Raises:
            PaginationLoopError: the server returns the same rows again and again.
            PaginationError: the rows are not in the requested order, or none has order values and others may
                follow.
        """
        ...

    def position(self) -> Position:
        """Return where to resume after everything received, as JSON."""
        ...

    def mid_page_position(self, rows: int, yielded: int) -> Position:
        """Return where to resume within the next page; only valid if ``can_stream_rows``.

        Args:
            rows: leading rows of the page that are already processed.
            yielded: how many of them were yielded.
        """
        ...


def parse_position(position: Position, kind: type[PositionT]) -> PositionT:
    """Decode the position of a checkpoint.

    Raises:
        CheckpointError: it is not a position of this kind.
    """
    try:
        return msgspec.convert(position, kind)
    except (msgspec.MsgspecError, RecursionError):
        raise damaged_checkpoint() from None
