"""The rows of pages as the bytes of their JSON, and what becomes of those that do not fit their type."""

from __future__ import annotations

import contextlib
import functools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, Protocol, Self, TypeVar

import msgspec

from aiwyn_async._decoding.blocks import find_rows
from aiwyn_async._decoding.checked_types import is_key_only, key_only
from aiwyn_async._decoding.exact import ExactRow
from aiwyn_async._decoding.key_case import strip_indexes
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.row_decoder import key_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async._pagination.page import Page, RawPage
from aiwyn_async._pagination.query import Query
from aiwyn_async.errors import CheckpointError, ConfigurationError, DecodeError
from aiwyn_async.models.base import Id

__all__ = ["PageRows", "RowCounts", "RowsOfPage", "columns_of", "raw_pages", "read_as"]


class Decodable(Protocol):
    """A walk or a pull."""

    query: Query

    def decode_as(self, row_type: Any, /) -> Any:
        """The same with rows of another type."""
        ...


ReadT = TypeVar("ReadT", bound=Decodable)


class RowsOfPage:
    """The rows of one page, split into single rows only when that is asked for.

    Args:
        number: of the page.
        length: the number of rows.
        split: returns them one by one, as JSON.
        document: the response, if its rows are exactly these.
        key_at: returns the key of a row by its index; None if no key was read.
    """

    def __init__(
        self,
        number: int,
        length: int,
        split: Callable[[], list[msgspec.Raw]],
        document: RawPage | None = None,
        key_at: Callable[[int], Id | None] | None = None,
    ) -> None:
        self.number = number
        self.document = document
        self._length = length
        self._split = split
        self._key_at = key_at

    def __len__(self) -> int:
        return self._length

    @cached_property
    def rows(self) -> list[msgspec.Raw]:
        """The JSON of each."""
        return self._split()

    def key_at(self, index: int) -> Id | None:
        """The key of a row, if it is known or is an ``id`` that can be read."""
        return _decode_id(bytes(self.rows[index])) if self._key_at is None else self._key_at(index)

    def as_one(self) -> bytes:
        """All rows, with commas between them, as JSON."""
        found = None if self.document is None else find_rows(self.document.body, self.document.rows_at)
        return b",".join(self.rows) if found is None else found


class RowCounts(msgspec.Struct):
    """What was noticed of rows while they were written.

    Attributes:
        bad_rows: the number of refused rows.
        repaired_rows: rows in which a value was brought to the form of its field.
        rounded_amounts: amounts that were rounded.
        unknown_fields: the fields that the row type does not have, and the key of the first row with each.
    """

    bad_rows: int = 0
    repaired_rows: int = 0
    rounded_amounts: int = 0
    unknown_fields: dict[str, Id | None] = {}

    def add_to(self, report: Any) -> None:
        """Add it to another one, or to the report of a read."""
        report.bad_rows += self.bad_rows
        report.repaired_rows += self.repaired_rows
        report.rounded_amounts += self.rounded_amounts
        report.unknown_fields = self.unknown_fields | report.unknown_fields


class PageRows:
    """All rows of some pages, in order, not yet decoded, and what is noticed while they are.

    Args:
        pages: of which those without rows are left out.
        on_bad_row: what becomes of rows that are refused.

    Attributes:
        noticed: what was noticed of them so far.
        bad_rows: those that are refused, if they are collected.
    """

    def __init__(self, pages: Sequence[RowsOfPage], on_bad_row: OnBadRow) -> None:
        self.pages = [page for page in pages if len(page)]
        self.counts = RowCounts()
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
        page, in_page = self._position_of(index)
        return bytes(page.rows[in_page])

    def release(self) -> None:
        """Keep only what was noted of them."""
        self.pages = []

    def note_unknown(self, index: int, paths: Iterable[str]) -> None:
        """Note the fields of a row that its type does not have."""
        for path in paths:
            name = strip_indexes(path)
            if name not in self.counts.unknown_fields:
                page, in_page = self._position_of(index)
                self.counts.unknown_fields[name] = page.key_at(in_page)

    def note_unknown_of(self, page: RowsOfPage, first: int, decode: Callable[[bytes], ExactRow]) -> None:
        """Note the fields that the row type does not have of all rows of a page.

        Args:
            page: one of these pages.
            first: the index of its first row.
            decode: decodes a row.
        """
        for index, row in enumerate(page.rows, first):
            with contextlib.suppress(*DECODING_ERRORS):  # a refused row is noted when its page is decoded
                self.note_unknown(index, decode(bytes(row)).unknown)

    def record_error(self, index: int, fault: Exception) -> None:
        """Note a row that is refused.

        Raises:
            DecodeError: refused rows are an error.
        """
        page, in_page = self._position_of(index)
        key = page.key_at(in_page)
        reason, path = explain(fault)
        error = f"{path}: {reason}" if path else reason
        if self.on_bad_row == "raise":
            named = f"row {in_page} of page {page.number}" + ("" if key is None else f" (id {key})")
            raise DecodeError(
                f'cannot decode {named}: {error}; pass on_bad_row="skip" or "collect" to continue without it',
                location=f"$.{path}" if path else "$",
            )
        self.counts.bad_rows += 1
        if self.on_bad_row == "collect":
            self.bad_rows.append(BadRow(page.number, in_page, error, bytes(page.rows[in_page]), key))

    def _position_of(self, index: int) -> tuple[RowsOfPage, int]:
        place = bisect_right(self._ends, index)
        return self.pages[place], index - (self._ends[place - 1] if place else 0)


def _rows_of(page: Page[Any]) -> RowsOfPage:
    rows = page.items
    if rows and isinstance(rows[0], msgspec.Raw):
        return RowsOfPage(page.number, len(rows), rows.copy, page.document)
    key_at = functools.partial(_key_at, rows) if rows and is_key_only(type(rows[0])) else None
    return RowsOfPage(page.number, len(rows), page.raw_items, page.document, key_at)


def _key_at(rows: Sequence[Any], index: int) -> Id | None:
    key: Id | None = rows[index].key
    return key


_decode_id: Final = key_decoder("id")


def read_as(walk: ReadT, row_type: type[Any]) -> ReadT:
    """A walk or a pull with rows of another type; a pull that was resumed is bound to its own, and stays."""
    try:
        other: ReadT = walk.decode_as(row_type)
    except CheckpointError:
        return walk
    return other


def raw_pages(walk: ReadT) -> ReadT:
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
