"""The rows of pages as the bytes of their JSON, and what becomes of those that do not fit their type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Self

import msgspec

from aiwyn_async.errors import ConfigurationError, DecodeFailed
from aiwyn_async.models.envelopes import BadRow, OnBadRow
from aiwyn_async.models.unreadable import text_of
from aiwyn_async.pagination.page import Page

__all__ = ["PageRows", "columns_of"]


class PageRows:
    """All rows of some pages, in order, not yet decoded.

    Who decodes them tells each that does not fit by ``misfit()``, and leaves it out.

    Args:
        pages: the number of each, and its rows.
        on_bad_row: what becomes of those that do not fit.

    Attributes:
        rows: their JSON.
        misfits: how many did not fit.
        bad_rows: those, where they are to be collected.
    """

    def __init__(self, pages: Sequence[tuple[int, list[msgspec.Raw]]], on_bad_row: OnBadRow) -> None:
        self.rows: list[msgspec.Raw] = [row for _, rows in pages for row in rows]
        self.misfits = 0
        self.bad_rows: list[BadRow] = []
        self.on_bad_row: OnBadRow = on_bad_row
        self._numbers = [number for number, _ in pages]
        self._ends = list(accumulate(len(rows) for _, rows in pages))

    @classmethod
    def of(cls, pages: Sequence[Page[Any]], on_bad_row: OnBadRow) -> Self:
        """The rows of pages of a walk or a pull."""
        return cls([(page.number, _raw_rows(page)) for page in pages], on_bad_row)

    def __len__(self) -> int:
        return len(self.rows)

    def by_page(self) -> Iterator[list[msgspec.Raw]]:
        """Page by page, those that have rows: a megabyte at a time stays in a processor's cache."""
        return (rows for _, rows in self.numbered() if rows)

    def numbered(self) -> Iterator[tuple[int, list[msgspec.Raw]]]:
        """The number of each page, and its rows."""
        for number, (start, end) in zip(self._numbers, pairwise([0, *self._ends]), strict=True):
            yield number, self.rows[start:end]

    def misfit(self, index: int, fault: Exception) -> None:
        """Take note of a row that does not decode.

        Raises:
            DecodeFailed: bad rows are refused.
        """
        place = next(place for place, end in enumerate(self._ends) if index < end)
        page, in_page = self._numbers[place], index - (self._ends[place - 1] if place else 0)
        told = text_of(fault)
        if self.on_bad_row == "raise":
            raise DecodeFailed(
                f"a row does not fit: {told} (row {in_page} of page {page}, both from 0); "
                "on_bad_row='skip' or 'collect' goes on without it",
                location=told.partition("`")[2].rstrip("`"),
            )
        self.misfits += 1
        if self.on_bad_row == "collect":
            self.bad_rows.append(BadRow(page, in_page, told, bytes(self.rows[index])))


def _raw_rows(page: Page[Any]) -> list[msgspec.Raw]:
    rows = page.items
    return rows if rows and isinstance(rows[0], msgspec.Raw) else page.raw_items()


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
