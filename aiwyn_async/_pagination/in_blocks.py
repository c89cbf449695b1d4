"""A page whose rows are given while the rest of it is still bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aiwyn_async._decoding.pages import RowBlocks
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import Response
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async.models.base import Id

__all__ = ["PageInBlocks"]

RowT = TypeVar("RowT")


class PageInBlocks(Generic[RowT]):
    """A page that is decoded block by block, each let go before the next, which is faster than all at once.

    Args:
        response: the page.
        blocks: its rows, decoded as they are asked for.
        key_of: takes the key from a row.
        known: keys whose rows are not given again; this page's are added.
    """

    def __init__(
        self,
        response: Response,
        blocks: RowBlocks[RowT],
        *,
        key_of: Callable[[RowT], Id | None],
        known: KeySet,
    ) -> None:
        self.response = response
        self.count = blocks.count
        self.keys: list[Id | None] = []
        """Of all rows that came so far."""
        self._new_rows: list[int] | None = None
        self._blocks = blocks
        self._key_of = key_of
        self._known = known

    @property
    def is_read(self) -> bool:
        """True when there is no block left."""
        return self._blocks.remaining == 0

    @property
    def rows_left(self) -> int:
        """How many blocks are left."""
        return self._blocks.remaining

    @property
    def new_rows(self) -> Sequence[int]:
        """The places of those rows that were new."""
        return range(len(self.keys)) if self._new_rows is None else self._new_rows

    def next_rows(self) -> list[RowT] | None:
        """Those rows of the next block that are new; None where the page must be read as a whole instead."""
        try:
            rows = self._blocks.decode_next()
        except DECODING_ERRORS:
            return None
        keys = list(map(self._key_of, rows))
        first = len(self.keys)
        kept: Sequence[int] = range(len(keys))
        if not self._known.add_if_disjoint(keys):
            if None in keys:
                return None
            added = self._known.add_each(keys)
            kept = kept if added is None else added
        self.keys += keys
        if self._new_rows is None and len(kept) == len(keys):
            return rows
        before = range(first) if self._new_rows is None else self._new_rows
        self._new_rows = [*before, *(first + index for index in kept)]
        return [rows[index] for index in kept]

    def discard(self) -> None:
        """Take the page's keys out of those known."""
        self._known.forget(self.keys[index] for index in self.new_rows)

    def not_yielded(self, keys: Sequence[Id | None], places: Sequence[int]) -> list[int]:
        """Of the places of a page's rows those that no block held."""
        held = set(self.keys)
        return [place for place in places if keys[place] not in held]
