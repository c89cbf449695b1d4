"""From the rows of pages to the parts of a file, and from parts to the file: one class a format."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from aiwyn_async.errors import ConfigurationError

__all__ = ["WRITERS", "CsvWriter", "JsonlWriter", "ParquetWriter", "Writer"]


class Writer(Protocol):
    """One format. ``identity`` tells whether parts of an earlier run can be joined with new ones."""

    identity: str

    def write_part(self, file: IO[bytes], rows: Sequence[msgspec.Raw]) -> None:
        """Write rows, given as the bytes of their JSON."""
        ...

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Write the whole file from its parts."""
        ...


class JsonlWriter:
    """A line a row, as the server sent it."""

    def __init__(self, row_type: type[Any]) -> None:  # noqa: ARG002 (a line holds whatever the row holds)
        self.identity = "jsonl"

    def write_part(self, file: IO[bytes], rows: Sequence[msgspec.Raw]) -> None:
        """Lines, without decoding: a row of JSON never holds a raw newline inside a string."""
        for row in rows:
            text = bytes(row)
            # White space between tokens may hold one, though.
            file.write(text if b"\n" not in text else msgspec.json.format(text, indent=-1))
            file.write(b"\n")

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """One after another."""
        _concatenate(parts, file)


class CsvWriter:
    """A header of the row type's fields; nested values as JSON text, decimals and dates as on the wire."""

    def __init__(self, row_type: type[Any]) -> None:
        self._fields = [field.encode_name for field in struct_fields(row_type)]
        self.identity = f"csv {','.join(self._fields)}"

    def write_part(self, file: IO[bytes], rows: Sequence[msgspec.Raw]) -> None:
        """Lines without the header."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        for row in rows:
            values = _keys_to_raw.decode(row)
            lines.writerow([_cell(values.get(name)) for name in self._fields])
        file.write(text.getvalue().encode())

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """The header, then the parts."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(self._fields)
        file.write(text.getvalue().encode())
        _concatenate(parts, file)


class ParquetWriter:
    """Money as decimal128, times as UTC microseconds (a naive time is taken as UTC), nested lists kept."""

    def __init__(self, row_type: type[Any]) -> None:
        try:
            from aiwyn_async.export import arrow  # noqa: PLC0415 (an extra, which may be missing)
        except ImportError:
            raise ConfigurationError('Parquet needs pyarrow; run: pip install "aiwyn-async[arrow]"') from None
        self._arrow = arrow
        self._schema = arrow.RowSchema(row_type)
        self.identity = f"parquet {self._schema}"

    def write_part(self, file: IO[bytes], rows: Sequence[msgspec.Raw]) -> None:
        """One Parquet file with one row group."""
        self._arrow.write_parquet(file, self._schema.table(rows))

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """A row group a part."""
        self._arrow.join_parquet(file, parts, self._schema.arrow)


WRITERS: Final[Mapping[str, Callable[[type[Any]], Writer]]] = {
    ".jsonl": JsonlWriter,
    ".ndjson": JsonlWriter,
    ".csv": CsvWriter,
    ".parquet": ParquetWriter,
}

_keys_to_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_exact: Final = msgspec.json.Decoder(float_hook=Decimal)


def struct_fields(row_type: type[Any]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The columns of a row type.

    Raises:
        ConfigurationError: it is no Struct, so that it has no columns.
    """
    if not issubclass(row_type, msgspec.Struct):
        raise ConfigurationError(
            "rows without a type have no columns; write .jsonl, or use decode_as() first"
        )
    return msgspec.structs.fields(row_type)


def _cell(value: msgspec.Raw | None) -> str:
    """Text without its quotes, null as nothing, anything else as its JSON: so no number changes."""
    text = b"" if value is None else bytes(value)
    if text in {b"", b"null"}:
        return ""
    return str(_exact.decode(text)) if text.startswith(b'"') else text.decode()


def _concatenate(parts: Sequence[Path], file: IO[bytes]) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
