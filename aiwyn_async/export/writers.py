"""From the rows of pages to the parts of a file, and from parts to the file: one class a format."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol, cast

import msgspec
from msgspec import inspect

from aiwyn_async.arrow.rows import PageRows, columns_of
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export.target import SharedFile
from aiwyn_async.models.envelopes import row_decoder
from aiwyn_async.models.spelling import key_like
from aiwyn_async.models.unreadable import UNREADABLE

__all__ = ["Writer", "writer_for"]


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
    """A header of the row type's fields; nested values as JSON text, decimals and dates as on the wire."""

    takes_documents = False
    shared_file = None

    def __init__(self, row_type: type[Any]) -> None:
        fields = columns_of(row_type)
        self._names = [field.encode_name for field in fields]
        self._decode_all = msgspec.json.Decoder(list[row_type], float_hook=Decimal).decode  # type: ignore[valid-type]
        self._decode = row_decoder(cast("Any", row_type))
        self._raw_places = [place for place, field in enumerate(fields) if not _is_text(field.type)]
        columns: list[Any] = [
            (
                f"column_{place}",
                msgspec.Raw if place in self._raw_places else str | None,
                msgspec.field(name=name, default=msgspec.UNSET),
            )
            for place, name in enumerate(self._names)
        ]
        self._cells = msgspec.json.Decoder(msgspec.defstruct("Cells", columns, gc=False)).decode
        self.identity = f"csv {','.join(self._names)}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Lines without the header."""
        first = written = 0
        for page in rows.pages:
            misfits = self._misfits(page.rows)
            lines: list[list[str | None]] = []
            for index, row in enumerate(page.rows):
                fault = misfits.get(index)
                if fault is None:
                    try:
                        lines.append(self._texts(row))
                        continue
                    except UnicodeDecodeError as found:  # in a nested value, where no field reads it
                        fault = found
                rows.misfit(first + index, fault)
            file.write(_lines(lines))
            first, written = first + len(page), written + len(lines)
        return written

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """The header, then the parts."""
        with path.open("wb") as file:
            file.write(_lines([self._names]))
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)

    def _misfits(self, page: Sequence[msgspec.Raw]) -> dict[int, Exception]:
        """The rows that do not decode, found at a stretch where there is none."""
        try:
            self._decode_all(b"[" + b",".join(page) + b"]")
        except UNREADABLE:
            pass
        else:
            return {}
        found: dict[int, Exception] = {}
        for index, row in enumerate(page):
            try:
                self._decode(bytes(row))
            except UNREADABLE as fault:
                found[index] = fault
        return found

    def _texts(self, row: msgspec.Raw) -> list[str | None]:
        """A row's values as texts; None stands for null and for what is not there."""
        try:
            texts: list[Any] = list(msgspec.structs.astuple(self._cells(row)))
        except UNREADABLE:  # a number where text should be, which is taken for its digits
            texts = [msgspec.UNSET]
        if msgspec.UNSET in texts:
            return self._texts_by_key(row)
        for place in self._raw_places:
            texts[place] = _text_of(texts[place])
        return texts

    def _texts_by_key(self, row: msgspec.Raw) -> list[str | None]:
        """The same where keys are missing, or come in another spelling."""
        values = _keys_to_raw.decode(row)
        keys = [key_like(name, values) for name in self._names]
        return [None if key is None else _text_of(values[key]) for key in keys]


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

    def __init__(self, row_type: type[Any]) -> None:
        try:
            from aiwyn_async.arrow.table import RowSchema  # noqa: PLC0415 (an extra, which may be missing)
            from aiwyn_async.export.parquet import (  # noqa: PLC0415
                join_parquet,
                with_large_row_groups,
                write_part,
            )
        except ImportError:
            raise ConfigurationError('Parquet needs pyarrow; run: pip install "aiwyn-async[arrow]"') from None
        super().__init__("parquet", RowSchema(row_type), write_part)
        self._join = join_parquet
        self._with_large_row_groups = with_large_row_groups

    def join(self, parts: Iterator[Path], path: Path) -> None:
        """A row group per part; small parts are joined first."""
        self._join(path, self._with_large_row_groups(parts, path.parent), self._schema.arrow)


class DuckdbWriter(_TableWriter):
    """A table: money as DECIMAL(38, 9), times as TIMESTAMPTZ, nested lists kept."""

    def __init__(self, row_type: type[Any], table: str) -> None:
        try:
            from aiwyn_async.arrow.table import RowSchema  # noqa: PLC0415 (an extra, as above)
            from aiwyn_async.export.duckdb_file import (  # noqa: PLC0415
                DatabaseFile,
                build_duckdb,
                write_part,
            )
        except ImportError:
            raise ConfigurationError(
                'DuckDB needs an extra; run: pip install "aiwyn-async[duckdb]"'
            ) from None
        super().__init__(f"duckdb {table}", RowSchema(row_type), write_part)
        self.shared_file = DatabaseFile(table)
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


_keys_to_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

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
