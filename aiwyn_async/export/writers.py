"""From the rows of pages to the parts of a file, and from parts to the file: one class a format."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import msgspec

from aiwyn_async.arrow.rows import PageRows, columns_of
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.models.envelopes import row_decoder
from aiwyn_async.models.spelling import key_like
from aiwyn_async.models.unreadable import UNREADABLE

__all__ = ["Writer", "writer_for"]


class Writer(Protocol):
    """One format. ``identity`` tells whether parts of an earlier run can be joined with new ones."""

    identity: str

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write rows, telling those that do not fit; how many were written."""
        ...

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """Write the whole file from its parts, which may still be coming."""
        ...


class JsonlWriter:
    """A line a row, as the server sent it."""

    identity = "jsonl"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Lines, without decoding: a row of JSON never holds a raw newline inside a string."""
        for page in rows.by_page():
            # White space between tokens may hold one, though. To look before they are lines takes a third of
            # the time that counting them takes.
            rows_of_json: Iterable[bytes | msgspec.Raw] = page
            if b"\n" in b"".join(page):
                rows_of_json = (msgspec.json.format(bytes(row), indent=-1) for row in page)
            file.write(b"\n".join(rows_of_json))
            file.write(b"\n")
        return len(rows)

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """One after another."""
        with path.open("wb") as file:
            _concatenate(parts, file)


class CsvWriter:
    """A header of the row type's fields; nested values as JSON text, decimals and dates as on the wire."""

    def __init__(self, row_type: type[Any]) -> None:
        self._fields = [field.encode_name for field in columns_of(row_type)]
        self._decode_all = msgspec.json.Decoder(list[row_type], float_hook=Decimal).decode  # type: ignore[valid-type]
        self._decode = row_decoder(cast("Any", row_type))
        columns: list[Any] = [
            (f"column_{place}", msgspec.Raw, msgspec.field(name=name, default=NOT_THERE))
            for place, name in enumerate(self._fields)
        ]
        self._cells = msgspec.json.Decoder(msgspec.defstruct("Cells", columns, gc=False)).decode
        self.identity = f"csv {','.join(self._fields)}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Lines without the header."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        misfits = self._misfits(rows)
        for index, row in enumerate(rows.rows):
            if index in misfits:
                rows.misfit(index, misfits[index])
                continue
            cells = msgspec.structs.astuple(self._cells(row))
            if NOT_THERE in cells:
                values = _keys_to_raw.decode(row)
                cells = tuple(self._value(name, values) for name in self._fields)
            texts = [_cell(cell) for cell in cells]
            # Before Python 3.13, a carriage return is not quoted by itself, and ends the row for its readers.
            (quoted if "\r" in "".join(texts) else lines).writerow(texts)
        file.write(text.getvalue().encode())
        return len(rows) - len(misfits)

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """The header, then the parts."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(self._fields)
        with path.open("wb") as file:
            file.write(text.getvalue().encode())
            _concatenate(parts, file)

    def _misfits(self, rows: PageRows) -> dict[int, Exception]:
        """The rows that do not decode, found at a stretch where there is none."""
        try:
            self._decode_all(b"[" + b",".join(rows.rows) + b"]")
        except UNREADABLE:
            pass
        else:
            return {}
        found: dict[int, Exception] = {}
        for index, row in enumerate(rows.rows):
            try:
                self._decode(bytes(row))
            except UNREADABLE as fault:
                found[index] = fault
        return found

    @staticmethod
    def _value(name: str, values: dict[str, msgspec.Raw]) -> msgspec.Raw:
        # A key that is missing may be there in another spelling.
        key = key_like(name, values)
        return NOT_THERE if key is None else values[key]


class ParquetWriter:
    """Money as decimal128, times as UTC microseconds (a naive time is taken as UTC), nested lists kept."""

    def __init__(self, row_type: type[Any]) -> None:
        try:
            from aiwyn_async.arrow.table import RowSchema  # noqa: PLC0415 (an extra, which may be missing)
            from aiwyn_async.export import parquet  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError('Parquet needs pyarrow; run: pip install "aiwyn-async[arrow]"') from None
        self._parquet = parquet
        self._schema = RowSchema(row_type)
        self.identity = f"arrow {self._schema}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """The rows as an Arrow table."""
        table = self._schema.table(rows)
        self._parquet.write_part(file, table)
        return int(table.num_rows)

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """A row group a part."""
        self._parquet.join_parquet(path, parts, self._schema.arrow)


class DuckdbWriter(ParquetWriter):
    """Parts as for Parquet, and of them a table: money as DECIMAL(38, 9), times as TIMESTAMPTZ."""

    def __init__(self, row_type: type[Any], table: str) -> None:
        try:
            from aiwyn_async.export.duckdb_file import build_duckdb  # noqa: PLC0415 (an extra, as above)
        except ImportError:
            raise ConfigurationError(
                'DuckDB needs an extra; run: pip install "aiwyn-async[duckdb]"'
            ) from None
        super().__init__(row_type)
        self._build = build_duckdb
        self._table = table

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """One table."""
        self._build(path, parts, self._schema.arrow, self._table)


_WRITERS: Final[Mapping[str, Callable[[type[Any], str], Writer]]] = {
    ".jsonl": lambda _row_type, _table: JsonlWriter(),
    ".ndjson": lambda _row_type, _table: JsonlWriter(),
    ".csv": lambda row_type, _table: CsvWriter(row_type),
    ".parquet": lambda row_type, _table: ParquetWriter(row_type),
    ".duckdb": DuckdbWriter,
}


def writer_for(path: Path, row_type: type[Any], table: str) -> Writer:
    """The writer of the format that a file's suffix names.

    Raises:
        ConfigurationError: it names none, an extra is missing, or the rows have no columns.
    """
    make = _WRITERS.get(path.suffix.lower())
    if make is None:
        raise ConfigurationError(f"{path.name}: the suffix must be one of {', '.join(_WRITERS)}")
    return make(row_type, table)


NOT_THERE: Final = msgspec.Raw(b"")

_keys_to_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_exact: Final = msgspec.json.Decoder(float_hook=Decimal)


def _cell(value: msgspec.Raw) -> str:
    """Text without its quotes, null as nothing, anything else as its JSON: so no number changes."""
    text = bytes(value)
    if text in {b"", b"null"}:
        return ""
    if not text.startswith(b'"'):
        return text.decode()
    return str(_exact.decode(text)) if b"\\" in text else text[1:-1].decode()


def _concatenate(parts: Iterator[Path], file: IO[bytes]) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
