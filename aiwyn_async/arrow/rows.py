"""The rows of pages as the bytes of their JSON, and what becomes of those that do not fit their type."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol, Self, TypeVar

import msgspec

from aiwyn_async.errors import CheckpointError, ConfigurationError, DecodeFailed
from aiwyn_async.models.envelopes import BadRow, OnBadRow, key_only
from aiwyn_async.models.unreadable import text_of
from aiwyn_async.pagination.page import Document, Page
from aiwyn_async.pagination.query import Query

__all__ = ["PageRows", "RowsOfPage", "columns_of", "documents_of", "read_as"]


class Decodable(Protocol):
    """A walk or a pull."""

    query: Query

    def decode_as(self, row_type: Any, /) -> Any:
        """The same with rows of another type."""
        ...


WalkT = TypeVar("WalkT", bound=Decodable)


class RowsOfPage:
    """The rows of one page, taken apart when that is asked for.

    Args:
        number: of the page.
        length: how many they are.
        take_apart: gives them one by one, as JSON.
        document: the answer, where its rows are just these.
    """

    def __init__(
        self,
        number: int,
        length: int,
        take_apart: Callable[[], list[msgspec.Raw]],
        document: Document | None = None,
    ) -> None:
        self.number = number
        self.document = document
        self._length = length
        self._take_apart = take_apart

    def __len__(self) -> int:
        return self._length

    @cached_property
    def rows(self) -> list[msgspec.Raw]:
        """Their JSON."""
        return self._take_apart()


class PageRows:
    """All rows of some pages, in order, not yet decoded.

    Who decodes them tells each that does not fit by ``misfit()``, and leaves it out.

    Args:
        pages: of which those without rows are left out.
        on_bad_row: what becomes of rows that do not fit.

    Attributes:
        misfits: how many did not fit.
        bad_rows: those, where they are to be collected.
    """

    def __init__(self, pages: Sequence[RowsOfPage], on_bad_row: OnBadRow) -> None:
        self.pages = [page for page in pages if len(page)]
        self.misfits = 0
        self.bad_rows: list[BadRow] = []
        self.on_bad_row: OnBadRow = on_bad_row
        self._ends = list(accumulate(map(len, self.pages)))

    @classmethod
    def of(cls, pages: Sequence[Page[Any]], on_bad_row: OnBadRow) -> Self:
        """The rows of pages of a walk or a pull."""
        return cls([_rows_of(page) for page in pages], on_bad_row)

    @classmethod
    def of_json(cls, pages: Sequence[tuple[int, list[msgspec.Raw]]], on_bad_row: OnBadRow) -> Self:
        """The same from the number of each page and its rows."""
        return cls([RowsOfPage(number, len(rows), rows.copy) for number, rows in pages], on_bad_row)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def row(self, index: int) -> bytes:
        """The JSON of one."""
        page, in_page = self._place_of(index)
        return bytes(page.rows[in_page])

    def let_go(self) -> None:
        """Keep only what was noted of them."""
        self.pages = []

    def misfit(self, index: int, fault: Exception) -> None:
        """Take note of a row that does not decode.

        Raises:
            DecodeFailed: bad rows are refused.
        """
        page, in_page = self._place_of(index)
        told = text_of(fault)
        if self.on_bad_row == "raise":
            raise DecodeFailed(
                f"a row does not fit: {told} (row {in_page} of page {page.number}, both from 0); "
                "on_bad_row='skip' or 'collect' goes on without it",
                location=told.partition("`")[2].rstrip("`"),
            )
        self.misfits += 1
        if self.on_bad_row == "collect":
            self.bad_rows.append(BadRow(page.number, in_page, told, bytes(page.rows[in_page])))

    def _place_of(self, index: int) -> tuple[RowsOfPage, int]:
        place = bisect_right(self._ends, index)
        return self.pages[place], index - (self._ends[place - 1] if place else 0)


def _rows_of(page: Page[Any]) -> RowsOfPage:
    rows = page.items
    if rows and isinstance(rows[0], msgspec.Raw):
        return RowsOfPage(page.number, len(rows), rows.copy, page.document)
    return RowsOfPage(page.number, len(rows), page.raw_items, page.document)


def read_as(walk: WalkT, row_type: type[Any]) -> WalkT:
    """A walk or a pull with rows of another type; a pull that was resumed is bound to its own, and stays."""
    try:
        other: WalkT = walk.decode_as(row_type)
    except CheckpointError:
        return walk
    return other


def documents_of(walk: WalkT) -> WalkT:
    """A walk or a pull for who takes the rows from the documents of its pages.

    Of a row its key alone is decoded, where it has one.
    """
    key = walk.query.key
    return read_as(walk, key_only(key) if key else msgspec.Raw)


def columns_of(row_type: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The columns of a row type: its fields.

    Raises:
        ConfigurationError: it is no Struct, so that it has no columns.
    """
    if not (isinstance(row_type, type) and issubclass(row_type, msgspec.Struct)):
        raise ConfigurationError(
            "rows without a type have no columns; write .jsonl, or use decode_as() first"
        )
    return msgspec.structs.fields(row_type)
