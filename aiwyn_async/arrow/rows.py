"""The rows of pages as the bytes of their JSON, and what becomes of those that do not fit their type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from aiwyn_async.errors import ConfigurationError, DecodeFailed
from aiwyn_async.models.envelopes import BadRow, OnBadRow
from aiwyn_async.models.unreadable import text_of
from aiwyn_async.pagination.page import Page

__all__ = ["PageRows", "columns_of"]


class PageRows:
    """All rows of some pages, in order, not yet decoded.

    Who decodes them tells each that does not fit by ``misfit()``, and leaves it out.

    Attributes:
        rows: their JSON.
        misfits: how many did not fit.
        bad_rows: those, where they are to be collected.
    """

    def __init__(self, pages: Sequence[Page[Any]], on_bad_row: OnBadRow) -> None:
        self.rows: list[msgspec.Raw] = [row for page in pages for row in _raw_rows(page)]
        self.misfits = 0
        self.bad_rows: list[BadRow] = []
        self._on_bad_row = on_bad_row
        self._numbers = [page.number for page in pages]
        self._ends = list(accumulate(map(len, pages)))

    def __len__(self) -> int:
        return len(self.rows)

    def by_page(self) -> Iterator[list[msgspec.Raw]]:
        """Page by page, those that have rows: a megabyte at a time stays in a processor's cache."""
        for start, end in pairwise([0, *self._ends]):
            if end > start:
                yield self.rows[start:end]

    def misfit(self, index: int, fault: Exception) -> None:
        """Take note of a row that does not decode.

        Raises:
            DecodeFailed: bad rows are refused.
        """
        place = next(place for place, end in enumerate(self._ends) if index < end)
        page, in_page = self._numbers[place], index - (self._ends[place - 1] if place else 0)
        told = text_of(fault)
        if self._on_bad_row == "raise":
            raise DecodeFailed(
                f"a row does not fit: {told} (row {in_page} of page {page}, both from 0); "
                "on_bad_row='skip' or 'collect' goes on without it",
                location=told.partition("`")[2].rstrip("`"),
            )
        self.misfits += 1
        if self._on_bad_row == "collect":
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
