"""CSV: values as the server sent them, nested ones as JSON text."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.exact import (
    exact_decoder,
    has_long_time,
    has_nested_defaults,
    has_times,
    is_usual,
    split_fields,
)
from aiwyn_async._decoding.plain_types import type_info, union_members
from aiwyn_async._decoding.row_decoder import DecoderSpec, RowDecoder
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import encode_json
from aiwyn_async.arrow._options import EXTRA_COLUMN, ColumnOptions
from aiwyn_async.arrow._rows import PageRows, RowsOfPage, columns_of, extra_json
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._part_files import join_files

# OWASP: spreadsheets run a cell that starts with one of these as a formula, some in full width too.
_FORMULA_STARTS: Final = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
DAY_LENGTH: Final = len("2024-05-01")


class CsvFormat:
    """Writes the fields of the row type, with amounts and times as they were sent.

    A header names the fields.

    A row with a value that was converted to the type of its field is written from its decoded values.
    """

    reads_raw_pages = False
    shared_file = None

    def __init__(self, row_type: type[Any], options: ColumnOptions) -> None:
        if options.round_money is not None:
            raise ConfigurationError("CSV stores every digit; remove round_money")
        self._fields = columns_of(row_type)
        self._row_type: Any = row_type
        self._options = options
        self._names = [field.encode_name for field in self._fields]
        self._day_indexes = [index for index, name in enumerate(self._names) if name in options.date_columns]
        self._decoder: RowDecoder[Any] = RowDecoder(row_type)
        self._raw_indexes = [index for index, field in enumerate(self._fields) if not _is_text(field.type)]
        self._has_defaults = any(has_nested_defaults(field.type) for field in self._fields)
        self._has_times = any(has_times(field.type) for field in self._fields)
        self._raw_columns = frozenset(self._raw_indexes)
        self._number_indexes = [index for index, field in enumerate(self._fields) if _is_number(field.type)]
        self._cells = _cells_decoder(row_type)
        self.identity = f"csv {','.join(self._names)} {options}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write lines without the header."""
        first = written = 0
        for page in rows.pages:
            lines = self._lines(rows, page, first)
            if self._options.csv_escape_formulas:
                lines = [self._escape(line) for line in lines]
            file.write(_encode_lines(lines))
            first, written = first + len(page), written + len(lines)
        return written

    def header(self) -> bytes:
        names = [*self._names, EXTRA_COLUMN] if self._options.extra else self._names
        if self._options.csv_escape_formulas:
            names = [_escape_formula(name) for name in names]
        return _encode_lines([names])

    def assemble(self, parts: Iterator[Path], path: Path) -> None:
        join_files(self.header(), parts, path)

    def _lines(self, rows: PageRows, page: RowsOfPage, first: int) -> list[list[str | None]]:
        lines: list[list[str | None]]
        is_exact = self._is_exact(page)
        if not is_exact and self._decoder.adapt((bytes(row) for row in page.rows), page.number):
            rows.note_unknown_of(page, first, exact_decoder(self._row_type))
            is_exact = self._is_exact(page)
        if is_exact and not (self._options.extra and self._decoder.extra_keys):
            with contextlib.suppress(*DECODING_ERRORS):
                lines = [self._wire_texts(row) for row in page.rows]
                if page.number < self._decoder.adapted_at:
                    rows.note_unknown_of(page, first, exact_decoder(self._row_type))
                return lines
        lines = []
        for index, row in enumerate(page.rows, first):
            try:
                lines.append(self._line(rows, index, row))
            except DECODING_ERRORS as error:
                rows.record_error(index, error)
        return lines

    def _escape(self, line: list[str | None]) -> list[str | None]:
        """Escape texts; of the other columns only what is not a number, such as an id that is text."""
        return [
            cell
            if not cell or (index in self._raw_columns and _NUMBER.fullmatch(cell))
            else _escape_formula(cell)
            for index, cell in enumerate(line)
        ]

    def _is_exact(self, page: RowsOfPage) -> bool:
        """True if the cells of a page can be its values as the server sent them."""
        if self._has_defaults:
            return False
        decoder, json = self._decoder, b"[" + b",".join(page.rows) + b"]"
        if self._has_times and has_long_time(json):
            return False

        def decode(spec: DecoderSpec) -> Any:
            return spec.decoder(spec.rows).decode(json)

        try:
            return decoder.is_exact(decode(decoder.fast), json, decode) and not decoder.hooks_timestamps
        except DECODING_ERRORS:
            return False

    def _line(self, rows: PageRows, index: int, row: msgspec.Raw) -> list[str | None]:
        exact = exact_decoder(self._row_type)(bytes(row))
        tokens, _ = split_fields(self._row_type, bytes(row))
        line = [_cell_text(field, tokens.get(field.encode_name), exact.row) for field in self._fields]
        for day in self._day_indexes:
            line[day] = (line[day] or "")[:DAY_LENGTH] or None
        if self._options.extra:
            line.append(extra_json(exact))
        rows.counts.repaired_rows += exact.is_repaired
        rows.note_unknown(index, exact.unknown)
        return line

    def _wire_texts(self, row: msgspec.Raw) -> list[str | None]:
        """Return the values of a row as sent; None for null and missing fields."""
        texts: list[Any] = list(msgspec.structs.astuple(self._cells(row)))
        for index in self._raw_indexes:
            texts[index] = None if texts[index] is None else _token_text(texts[index])
        if self._decoder.fast.dec_hook is not None:  # which accepts numbers in quotes
            for index in self._number_indexes:
                texts[index] = texts[index] and texts[index].strip()
        for index in self._day_indexes:
            texts[index] = texts[index] and texts[index][:DAY_LENGTH]
        return [*texts, None] if self._options.extra else texts


def _escape_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _cells_decoder(row_type: Any) -> Callable[[msgspec.Raw], msgspec.Struct]:
    """Return a decoder of a row to text, raw JSON, or None for missing fields without a default."""
    columns: list[Any] = []
    for index, field in enumerate(columns_of(row_type)):
        has_factory = field.default_factory is not msgspec.NODEFAULT
        default = None if field.required else field.default_factory() if has_factory else field.default
        cell: Any = _value_text(default)
        kind: Any = str | None
        if not _is_text(field.type):
            kind, cell = msgspec.Raw, None if cell is None else msgspec.Raw(cell.encode())
        columns.append((f"column_{index}", kind, msgspec.field(name=field.encode_name, default=cell)))
    return msgspec.json.Decoder(msgspec.defstruct("Cells", columns, gc=False)).decode


def _cell_text(field: msgspec.structs.FieldInfo, token: bytes | None, row: Any) -> str | None:
    """Return a value as sent if that is its usual form, else as decoded."""
    if token is not None and is_usual(field.type)(token):
        with contextlib.suppress(*DECODING_ERRORS):
            return _token_text(msgspec.Raw(token))
    return _value_text(getattr(row, field.name))


def _value_text(value: Any) -> str | None:
    """Return a decoded value as a cell, as JSON if it is not a scalar."""
    match value:
        case None | msgspec.UNSET:
            return None
        case str():
            return value
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return _token_text(msgspec.Raw(encode_json(value)))


_TEXTS: Final = (
    inspect.StrType,
    inspect.LiteralType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.NoneType,
)


def _is_text(kind: Any) -> bool:
    """True if a field of this type is always a JSON string or null."""
    return all(isinstance(member, _TEXTS) for member in union_members(type_info(kind)))


_NUMBERS: Final = (inspect.DecimalType, inspect.IntType, inspect.FloatType, inspect.NoneType)


def _is_number(kind: Any) -> bool:
    members = union_members(type_info(kind))
    bare = [member.type if isinstance(member, inspect.Metadata) else member for member in members]
    return all(isinstance(member, _NUMBERS) for member in bare)


def _token_text(value: msgspec.Raw) -> str | None:
    """Return a string without quotes, None for null, other JSON unchanged.

    So no number changes.
    """
    text = str(value, "utf-8")
    if text.startswith('"'):
        return msgspec.json.decode(text, type=str) if "\\" in text else text[1:-1]
    return None if text == "null" else text


def _encode_lines(rows: Sequence[Sequence[str | None]]) -> bytes:
    text = _format_csv(rows, csv.QUOTE_MINIMAL)
    if "\r" in text:
        # Before Python 3.13, csv does not quote a lone carriage return, which ends the row for readers.
        text = "".join(
            _format_csv([row], csv.QUOTE_ALL if _has_return(row) else csv.QUOTE_MINIMAL) for row in rows
        )
    return text.encode()


def _has_return(row: Sequence[str | None]) -> bool:
    return any("\r" in text for text in row if text)


def _format_csv(rows: Iterable[Sequence[str | None]], quoting: Literal[0, 1]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue()
