"""The rows of pages as JSON, and the record of bad rows."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from aiwyn_async._decoding.blocks import find_rows
from aiwyn_async._decoding.checked_types import is_key_only, key_only
from aiwyn_async._decoding.chosen_fields import ChosenRows, chosen_fields, has_choice, key_and_fields
from aiwyn_async._decoding.exact import ExactRow
from aiwyn_async._decoding.key_case import strip_indexes
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import is_struct
from aiwyn_async._decoding.row_decoder import key_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import CheckpointError, ConfigurationError, DecodeError
from aiwyn_async.models.base import Id

if TYPE_CHECKING:  # a higher floor
    from aiwyn_async._pagination.page import Page, RawPage
    from aiwyn_async._pagination.read import Read

ReadT = TypeVar("ReadT", bound="Read[Any]")


class RowsOfPage:
    """The rows of one page, split into single rows on demand.

    Args:
        page: its items are keys, chosen fields, or ``msgspec.Raw``.
        key: the name of the key, which is decoded from a row if it is not in ``page``.

    Attributes:
        chosen: the JSON of the chosen fields of all rows, if the page was decoded for them.
    """

    def __init__(self, page: Page[Any], key: str) -> None:
        self.number: int = page.number
        self.document: RawPage | None = page.document
        self.indices: Sequence[int] = page.indices
        items = page.items
        self.chosen: bytes | None = b",".join(items.blocks) if isinstance(items, ChosenRows) else None
        self._page = page
        self._key = key

    def __len__(self) -> int:
        return len(self._page)

    @cached_property
    def rows(self) -> list[msgspec.Raw]:
        """The JSON of each row."""
        items = self._page.items
        return items if items and isinstance(items[0], msgspec.Raw) else self._page.raw_items()

    def key_at(self, index: int) -> Id | None:
        """Return the key of a row, if it is known or can be decoded."""
        item = self._page.items[index]
        if is_key_only(type(item)):
            item = item.key
        if isinstance(item, Id | None):
            return item
        return key_decoder(self._key)(bytes(self.rows[index]))

    def to_json(self) -> bytes | memoryview:
        """Return the JSON of all rows, separated by commas."""
        json = None if self.document is None else find_rows(self.document.body, self.document.rows_at)
        return b",".join(self.rows) if json is None else json


class RowCounts(msgspec.Struct):
    """Counts of rows while they are written.

    Attributes:
        bad_rows: the number of bad rows.
        repaired_rows: rows with a value that was converted to the type of its field.
        rounded_amounts: the number of rounded amounts.
        unknown_fields: the fields that the row type does not have, and the key of the first row with each.
    """

    bad_rows: int = 0
    repaired_rows: int = 0
    rounded_amounts: int = 0
    unknown_fields: dict[str, Id | None] = {}

    def add_to(self, report: Any) -> None:
        """Add the counts to others, or to the report of a read."""
        report.bad_rows += self.bad_rows
        report.repaired_rows += self.repaired_rows
        report.rounded_amounts += self.rounded_amounts
        report.unknown_fields = self.unknown_fields | report.unknown_fields


class PageRows:
    """The rows of several pages that have any, in order, undecoded, with counts and bad rows."""

    def __init__(self, pages: Sequence[Page[Any]], on_bad_row: OnBadRow, key: str) -> None:
        self._key = key or "id"  # rows without a key are named by their ``id``, if any
        self.pages = [RowsOfPage(page, self._key) for page in pages if len(page)]
        self.counts = RowCounts()
        self.bad_rows: list[BadRow] = []
        self.on_bad_row: OnBadRow = on_bad_row
        self._ends = list(accumulate(map(len, self.pages)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def row(self, index: int) -> bytes:
        """Return the JSON of a row."""
        page, in_page = self._position_of(index)
        return bytes(page.rows[in_page])

    def release(self) -> None:
        """Release the pages; retain counts and bad rows."""
        self.pages = []

    def note_unknown(self, index: int, paths: Iterable[str]) -> None:
        """Record fields of a row that its type does not have."""
        for path in paths:
            name = strip_indexes(path)
            if name not in self.counts.unknown_fields:
                page, in_page = self._position_of(index)
                self.counts.unknown_fields[name] = page.key_at(in_page)

    def note_unknown_of(self, page: RowsOfPage, first: int, decode: Callable[[bytes], ExactRow]) -> None:
        """Record fields that the row type does not have, for all rows of a page."""
        for index, row in enumerate(page.rows, first):
            with contextlib.suppress(*DECODING_ERRORS):  # a bad row is recorded when its page is decoded
                self.note_unknown(index, decode(bytes(row)).unknown)

    def record_error(self, index: int, error: Exception) -> None:
        """Record a bad row.

        Raises:
            DecodeError: ``on_bad_row`` is "raise".
        """
        page, in_page = self._position_of(index)
        at, key = page.indices[in_page], page.key_at(in_page)
        reason, path = explain(error)
        text = f"{path}: {reason}" if path else reason
        if self.on_bad_row == "raise":
            named = f"row {at} of page {page.number}" + ("" if key is None else f" ({self._key} {key})")
            raise DecodeError(
                f'cannot decode {named}: {text}; pass on_bad_row="skip" or "collect" to continue without it',
                location=f"$.{path}" if path else "$",
            )
        self.counts.bad_rows += 1
        if self.on_bad_row == "collect":
            self.bad_rows.append(BadRow(page.number, at, text, bytes(page.rows[in_page]), key))

    def _position_of(self, index: int) -> tuple[RowsOfPage, int]:
        number = bisect_right(self._ends, index)
        return self.pages[number], index - (self._ends[number - 1] if number else 0)


def read_as(read: ReadT, row_type: type[Any]) -> ReadT:
    """Return a read with another row type; a resumed pull is returned unchanged."""
    try:
        other: ReadT = cast("Any", read).decode_as(row_type)
    except CheckpointError:
        return read
    return other


def raw_pages(read: ReadT, row_type: Any = None) -> ReadT:
    """Return a read that decodes only keys, for callers that use response bodies.

    If the row type has a choice of fields, these are retained too.
    """
    key = read.query.key
    if not key:
        return read_as(read, msgspec.Raw)
    if has_choice(row_type) and any(field.encode_name == key for field in msgspec.structs.fields(row_type)):
        return read_as(read, key_and_fields(row_type, key))
    return read_as(read, key_only(key))


def columns_of(row_type: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the columns of a row type: its fields, or those that were chosen.

    Raises:
        ConfigurationError: it is not a Struct of objects with fields, so it has no columns.
    """
    if not (is_struct(row_type) and row_type.__struct_fields__):
        raise ConfigurationError(
            "rows without a type have no columns; export them to a .jsonl file, or call decode_as() with a "
            "Struct that has fields"
        )
    if row_type.__struct_config__.array_like:
        raise ConfigurationError(
            f"rows that are lists, as of the array_like {row_type.__name__}, have no columns; write .jsonl"
        )
    return chosen_fields(row_type)


def extra_json(exact: ExactRow) -> str | None:
    """Return the fields that the row type does not have as a JSON object; None without any."""
    if not exact.unknown:
        return None
    return encode_json({path: msgspec.Raw(raw) for path, raw in exact.unknown.items()}).decode()
