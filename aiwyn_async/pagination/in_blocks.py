"""A page whose rows are given while the rest of it is still bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import Blocks
from aiwyn_async.models.unreadable import UNREADABLE
from aiwyn_async.pagination.keys import KeySet
from aiwyn_async.session.protocol import Response

__all__ = ["PageInBlocks"]

RowT = TypeVar("RowT")


class PageInBlocks(Generic[RowT]):
    """A page that is decoded block by block, each let go before the next, which is faster than all at once.

    Args:
        response: the page.
        blocks: its rows, decoded as they are asked for.
        key_of: takes the key from a row.
        known: keys whose rows are not given again; those of this page are not added to it.
    """

    def __init__(
        self,
        response: Response,
        blocks: Blocks[RowT],
        *,
        key_of: Callable[[RowT], Id | None],
        known: KeySet,
    ) -> None:
        self.response = response
        self.count = blocks.count
        self.keys: list[Id | None] = []
        """Of all rows that came so far."""
        self.given = 0
        """Rows that were new among them."""
        self._blocks = blocks
        self._key_of = key_of
        self._known = known
        self._met: set[Id | None] = set()

    @property
    def is_read(self) -> bool:
        """True when there is no block left."""
        return self._blocks.left == 0

    def next_rows(self) -> list[RowT] | None:
        """Those rows of the next block that are new; None where the page must be read as a whole instead."""
        try:
            rows = self._blocks.take()
        except UNREADABLE:
            return None
        keys = list(map(self._key_of, rows))
        if None in keys:
            return None
        new = self._new_among(keys)
        self.keys += keys
        self.given += len(new)
        return rows if len(new) == len(rows) else [rows[index] for index in new]

    def not_given(self, keys: Sequence[Id | None], places: Sequence[int]) -> list[int]:
        """Of the places of a page's rows those that no block held."""
        held = set(self.keys)
        return [place for place in places if keys[place] not in held]

    def _new_among(self, keys: Sequence[Id | None]) -> Sequence[int]:
        if self._known.lies_apart_from(keys):
            before = len(self._met)
            self._met.update(keys)
            if len(self._met) == before + len(keys):
                return range(len(keys))
            self._met = set(self.keys)
        new: list[int] = []
        for index, key in enumerate(keys):
            if key not in self._met and key not in self._known:
                new.append(index)
            self._met.add(key)
        return new
