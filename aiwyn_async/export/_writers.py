"""From the rows of pages to the parts of a file, and from parts to the file: one class a format."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.exact import ExactRow, exact_decoder, is_usual, split_fields
from aiwyn_async._decoding.row_decoder import DecoderSpec, RowDecoder
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import encode_json
from aiwyn_async.arrow._options import EXTRA_COLUMN, UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows, RowsOfPage, columns_of
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._target import SharedFile

__all__ = ["Writer", "writer_for"]

DAY_LENGTH: Final = len("2024-05-01")


class Writer(Protocol):
    """One format.

    Attributes:
        identity: tells whether parts of an earlier run can be joined with new ones.
        takes_documents: it reads pages as they came, rather than row by row.
    """

    identity: str
    takes_documents: bool

    @property
    def shared_file(self) -> SharedFile | None:
        """Writes into an existing file; None if that is replaced as a whole."""
        ...

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write rows, telling those that do not fit; how many were written."""
        ...

    @property
    def join(self) -> Callable[[Iterator[Path], Path], None] | None:
        """Write the whole file from its parts, which may still be coming.

        None where the parts are the whole file, one after another.
        """
        ...


class JsonlWriter:
    """A line a row, as the server sent it."""

    identity = "lines"
    takes_documents = False
    shared_file = None
    join = None

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Lines, without decoding: a row of JSON never holds a raw newline inside a string."""
        for page in rows.pages:
            # White space between tokens may hold one, though. To look before they are lines takes a third of
            # the time that counting them takes.
            rows_of_json: Iterable[bytes | msgspec.Raw] = page.rows
            if b"\n" in b"".join(page.rows):
                rows_of_json = (msgspec.json.format(bytes(row), indent=-1) for row in page.rows)
            file.write(b"\n".join(rows_of_json))
            file.write(b"\n")
        return len(rows)


class CsvWriter:
    """A header of the row type's fields; nested values as JSON text, amounts and times as on the wire.

    A row of which a value was brought to another form is written from its decoded values.
    """

    takes_documents = False
    shared_file = None

    def __init__(self, row_type: type[Any], options: ColumnOptions) -> None:
        if options.round_money is not None:
            raise ConfigurationError("round_money: CSV holds every digit; leave it out")
        self._fields = columns_of(row_type)
        self._row_type: Any = row_type
        self._options = options
        self._names = [field.encode_name for field in self._fields]
        self._days = [place for place, name in enumerate(self._names) if name in options.date_columns]
        self._decoder: RowDecoder[Any] = RowDecoder(row_type)
        self._raw_places = [place for place, field in enumerate(self._fields) if not _is_text(field.type)]
        self._cells = _cells_decoder(row_type)
        self.identity = f"csv {','.join(self._names)} {options}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Lines without the header."""
        first = written = 0
        for page in rows.pages:
            lines = self._lines(rows, page, first)
            file.write(_lines(lines))
            first, written = first + len(page), written + len(lines)
        return written

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """The header, then the parts."""
        names = [*self._names, EXTRA_COLUMN] if self._options.extra else self._names
        with path.open("wb") as file:
            file.write(_lines([names]))
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)

    def _lines(self, rows: PageRows, page: RowsOfPage, first: int) -> list[list[str | None]]:
        is_exact = self._is_exact(page)
        if not is_exact and self._decoder.adapt(bytes(row) for row in page.rows):
            rows.note_unknown_of(page, first, exact_decoder(self._row_type))
            is_exact = self._is_exact(page)
        if is_exact and not (self._options.extra and self._decoder.extra_keys):
            with contextlib.suppress(*DECODING_ERRORS):
                return [self._wire_texts(row) for row in page.rows]
        lines: list[list[str | None]] = []
        for index, row in enumerate(page.rows, first):
            try:
                lines.append(self._line(rows, index, row))
            except DECODING_ERRORS as fault:
                rows.record_error(index, fault)
        return lines

    def _is_exact(self, page: RowsOfPage) -> bool:
        """Whether the cells of a page may be its values as they are on the wire."""
        fast = self._decoder.fast
        json = b"[" + b",".join(page.rows) + b"]"
        decode = functools.partial(_decode_list, json)
        try:
            return self._decoder.is_exact(decode(fast), json, decode) and not self._decoder.hooks_timestamps
        except DECODING_ERRORS:
            return False

    def _line(self, rows: PageRows, index: int, row: msgspec.Raw) -> list[str | None]:
        exact = exact_decoder(self._row_type)(bytes(row))
        rows.counts.repaired_rows += exact.is_repaired
        rows.note_unknown(index, exact.unknown)
        tokens = split_fields(self._row_type, bytes(row))
        line = [_cell(field, tokens.get(field.encode_name), exact.row) for field in self._fields]
        for place in self._days:
            line[place] = (line[place] or "")[:DAY_LENGTH] or None
        return [*line, _extra_text(exact)] if self._options.extra else line

    def _wire_texts(self, row: msgspec.Raw) -> list[str | None]:
        """A row's values as they are on the wire; None for null and for a missing field."""
        texts: list[Any] = list(msgspec.structs.astuple(self._cells(row)))
        for place in self._raw_places:
            texts[place] = None if texts[place] is None else _text_of(texts[place])
        for place in self._days:
            texts[place] = texts[place] and texts[place][:DAY_LENGTH]
        return [*texts, None] if self._options.extra else texts


class _TableWriter:
    """Each part an Arrow table. Whoever makes one has imported what needs an extra."""

    takes_documents = True
    shared_file: SharedFile | None = None

    def __init__(self, name: str, schema: Any, write_table: Callable[[IO[bytes], Any], None]) -> None:
        self.identity = f"{name} {schema}"
        self._schema = schema
        self._write_table = write_table

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Columns read from whole pages, where those are as they should be."""
        table = self._schema.table(rows)
        self._write_table(file, table)
        return int(table.num_rows)


class ParquetWriter(_TableWriter):
    """Money as decimal128, times as UTC microseconds (a naive time is taken as UTC), nested lists kept."""

    def __init__(self, row_type: type[Any], options: ColumnOptions) -> None:
        try:
            from aiwyn_async.arrow._table import RowSchema  # noqa: PLC0415 (an extra, which may be missing)
            from aiwyn_async.export._parquet import (  # noqa: PLC0415
                join_parquet,
                with_large_row_groups,
                write_part,
            )
        except ImportError:
            raise ConfigurationError('Parquet needs pyarrow; run: pip install "aiwyn-async[arrow]"') from None
        super().__init__("parquet", RowSchema(row_type, options), write_part)
        self._join = join_parquet
        self._with_large_row_groups = with_large_row_groups

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """A row group per part; small parts are joined first."""
        self._join(path, self._with_large_row_groups(parts, path.parent), self._schema.arrow)


class DuckdbWriter(_TableWriter):
    """A table: money as DECIMAL(38, 9), times as TIMESTAMPTZ, nested lists kept."""

    def __init__(self, row_type: type[Any], table: str, options: ColumnOptions) -> None:
        try:
            from aiwyn_async.arrow._table import RowSchema  # noqa: PLC0415 (an extra, as above)
            from aiwyn_async.export._duckdb_file import (  # noqa: PLC0415
                DatabaseFile,
                build_duckdb,
                write_part,
            )
        except ImportError:
            raise ConfigurationError(
                'DuckDB needs an extra; run: pip install "aiwyn-async[duckdb]"'
            ) from None
        super().__init__(f"duckdb {table}", RowSchema(row_type, options), write_part)
        _refuse_same_names(columns_of(row_type))
        self.shared_file = DatabaseFile(table)
        self._build = build_duckdb
        self._table = table

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """One table."""
        self._build(path, parts, self._schema.arrow, self._table)


def _jsonl(options: ColumnOptions) -> JsonlWriter:
    if options != UNCHANGED:
        raise ConfigurationError(
            "JSONL holds each row as the server sent it; leave out ids, date_columns, round_money and extra"
        )
    return JsonlWriter()


_WRITERS: Final[Mapping[str, Callable[[type[Any], str, ColumnOptions], Writer]]] = {
    ".jsonl": lambda _row_type, _table, options: _jsonl(options),
    ".ndjson": lambda _row_type, _table, options: _jsonl(options),
    ".csv": lambda row_type, _table, options: CsvWriter(row_type, options),
    ".parquet": lambda row_type, _table, options: ParquetWriter(row_type, options),
    ".duckdb": DuckdbWriter,
}


def writer_for(path: Path, row_type: type[Any], table: str, options: ColumnOptions = UNCHANGED) -> Writer:
    """The writer of the format that a file's suffix names.

    Raises:
        ConfigurationError: it names none, an extra is missing, the rows have no columns, or the format has
            no such option.
    """
    make = _WRITERS.get(path.suffix.lower())
    if make is None:
        raise ConfigurationError(f"{path.name}: the suffix must be one of {', '.join(_WRITERS)}")
    return make(row_type, table, options)


def _refuse_same_names(fields: Iterable[msgspec.structs.FieldInfo]) -> None:
    """DuckDB does not tell the names of columns apart by case.

    Raises:
        ConfigurationError: it names both fields.
    """
    seen: dict[str, str] = {}
    for field in fields:
        other = seen.setdefault(field.encode_name.lower(), field.encode_name)
        if other != field.encode_name:
            raise ConfigurationError(
                f"the fields {other!r} and {field.encode_name!r} differ in case alone, which DuckDB does not "
                "tell apart; rename one, or write .parquet"
            )


def _cells_decoder(row_type: Any) -> Callable[[msgspec.Raw], msgspec.Struct]:
    """A decoder of a row into text, and JSON of the fields that are not text; None for a missing one."""
    columns: list[Any] = [
        (
            f"column_{place}",
            str | None if _is_text(field.type) else msgspec.Raw,
            msgspec.field(name=field.encode_name, default=None),
        )
        for place, field in enumerate(columns_of(row_type))
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Cells", columns, gc=False)).decode


def _cell(field: msgspec.structs.FieldInfo, token: bytes | None, row: Any) -> str | None:
    """A value as it is on the wire if that is its usual form; else as it was decoded."""
    if token is not None and is_usual(field.type)(token):
        with contextlib.suppress(*DECODING_ERRORS):
            return _text_of(msgspec.Raw(token))
    return _text_of_value(getattr(row, field.name))


def _decode_list(json: bytes, fast: DecoderSpec) -> Any:
    return fast.decoder(fast.rows).decode(json)


def _extra_text(exact: ExactRow) -> str | None:
    if not exact.unknown:
        return None
    return encode_json({path: msgspec.Raw(raw) for path, raw in exact.unknown.items()}).decode()


def _text_of_value(value: Any) -> str | None:
    """A decoded value as a cell: what is not text as its JSON."""
    match value:
        case None:
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
            return encode_json(value).decode()


_TEXTS: Final = (
    inspect.StrType,
    inspect.LiteralType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.NoneType,
)


def _is_text(kind: Any) -> bool:
    """True when a field of this type is always text in quotes, or null."""
    found = inspect.type_info(kind)
    members = found.types if isinstance(found, inspect.UnionType) else (found,)
    return all(isinstance(member, _TEXTS) for member in members)


def _text_of(value: msgspec.Raw) -> str | None:
    """Text without its quotes, null as None, anything else as its JSON: so no number changes."""
    text = str(value, "utf-8")
    if text.startswith('"'):
        return msgspec.json.decode(text, type=str) if "\\" in text else text[1:-1]
    return None if text == "null" else text


def _lines(rows: Sequence[Sequence[str | None]]) -> bytes:
    text = _csv(rows, csv.QUOTE_MINIMAL)
    if "\r" in text:
        # Before Python 3.13, a carriage return is not quoted by itself, and ends the row for its readers.
        text = "".join(_csv([row], csv.QUOTE_ALL if _has_return(row) else csv.QUOTE_MINIMAL) for row in rows)
    return text.encode()


def _has_return(row: Sequence[str | None]) -> bool:
    return any("\r" in text for text in row if text)


def _csv(rows: Iterable[Sequence[str | None]], quoting: Literal[0, 1]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue()
