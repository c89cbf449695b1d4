"""A page whose first rows are yielded before the others are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aiwyn_async._decoding.pages import RowBlocks
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import Response
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")


class PageInBlocks(Generic[RowT]):
    """A page decoded block by block, each released before the next one.

    Args:
        response: the page.
        blocks: its rows, decoded on demand.
        key_of: returns the key of a row.
        known: keys whose rows are not yielded again; those of this page are added.
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
        """The keys of all rows decoded so far."""
        self._new_rows: list[int] | None = None
        self._blocks = blocks
        self._key_of = key_of
        self._known = known
        self._block_start = 0

    @property
    def blocks_left(self) -> int:
        return self._blocks.remaining

    @property
    def new_rows(self) -> Sequence[int]:
        """The indices of the rows that were new."""
        return range(len(self.keys)) if self._new_rows is None else self._new_rows

    def next_rows(self) -> list[RowT] | None:
        """Return the next block's new rows; None to read the page in one call instead."""
        try:
            rows = self._blocks.decode_next()
        except DECODING_ERRORS:
            return None
        keys = list(map(self._key_of, rows))
        first = self._block_start = len(self.keys)
        new: Sequence[int] = range(len(keys))
        if not self._known.add_if_disjoint(keys):
            if None in keys:
                return None
            added = self._known.add_each(keys)
            new = new if added is None else added
        self.keys += keys
        if self._new_rows is None and len(new) == len(keys):
            return rows
        before = range(first) if self._new_rows is None else self._new_rows
        self._new_rows = [*before, *(first + index for index in new)]
        return [rows[index] for index in new]

    def discard(self) -> None:
        """Remove the keys of this page from those known."""
        self._known.forget(self.keys[index] for index in self.new_rows)

    def take_back(self) -> None:
        """Remove the last block: its rows are not yielded."""
        del self.keys[self._block_start :]
        if self._new_rows is not None:
            self._new_rows = [index for index in self._new_rows if index < self._block_start]

    def not_yielded(self, keys: Sequence[Id | None], indices: Sequence[int]) -> list[int]:
        """Return the indices of the rows of a page that no block contained."""
        yielded = set(self.keys)
        return [index for index in indices if keys[index] not in yielded]
