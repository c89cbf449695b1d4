# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Rows to Arrow tables, exactly, and tables to Parquet. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from msgspec import inspect

from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.models.envelopes import row_decoder

__all__ = ["RowSchema", "join_parquet", "write_parquet"]

# 29 digits before the point and 9 after: the NUMERIC of the usual warehouses.
MONEY: Final[Any] = pa.decimal128(38, 9)
INSTANT: Final[Any] = pa.timestamp("us", tz="UTC")
# A number of 10**29 or more holds 21 digits in a row, or an exponent of two digits. pyarrow's reader (26.0.1)
# lets such a number wrap around without a word: 3.5e29 came out as 9717633079061536536625392568.231788544.
HUGE_NUMBER: Final = r"[0-9]{21}|[0-9][eE]\+?[0-9][0-9]"


class RowSchema:
    """The Arrow schema of a row type: its fields under their names on the wire, in their order."""

    def __init__(self, row_type: type[Any]) -> None:
        self._fields = msgspec.structs.fields(row_type)
        self._decode = row_decoder(cast("Any", row_type))
        self.arrow: Any = pa.schema(
            [(field.encode_name, _arrow_type(inspect.type_info(field.type))) for field in self._fields]
        )

    def __str__(self) -> str:
        return str(self.arrow)

    def table(self, rows: Sequence[msgspec.Raw]) -> Any:
        """The rows as a table.

        Its columns are those of ``arrow``, but for a key that is no integer, whose column is text.

        Raises:
            ExportError: a value that its column cannot hold exactly.
        """
        text = b"\n".join(bytes(row) for row in rows)
        if _may_wrap_around(text):
            return self._by_rows(rows)
        try:
            found: Any = pa_json.read_json(
                io.BytesIO(text),
                read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                parse_options=pa_json.ParseOptions(
                    explicit_schema=self.arrow, newlines_in_values=True, unexpected_field_behavior="ignore"
                ),
            ).select(self.arrow.names)
            # It checks neither the digits of a decimal nor UTF-8 by itself.
            found.validate(full=True)
        except pa.ArrowInvalid:
            # A number in quotes, a key that is no integer: the row's own type takes it, value by value.
            return self._by_rows(rows)
        return found

    def _by_rows(self, rows: Sequence[msgspec.Raw]) -> Any:
        objects = [self._decode(bytes(row))[0] for row in rows]
        columns: dict[str, Any] = {}
        for field in self._fields:
            values = [_plain(getattr(row, field.name)) for row in objects]
            kind = self.arrow.field(field.encode_name).type
            if kind == pa.int64():
                values = [_as_integer(value) for value in values]
                if any(isinstance(value, str) for value in values):
                    kind, values = pa.string(), [None if value is None else str(value) for value in values]
            try:
                columns[field.encode_name] = pa.array(values, type=kind)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as fault:
                raise ExportError(
                    f"column {field.encode_name} cannot hold a value exactly: {str(fault)[:200]}; "
                    "nothing is rounded, write .jsonl to keep it as it is"
                ) from None
        return pa.table(columns)


def _arrow_type(kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType(types=types):
            members = [member for member in types if not isinstance(member, inspect.NoneType)]
            # A key is an integer in all that is documented; any other open union is text.
            integers = [member for member in members if isinstance(member, inspect.IntType)]
            return _arrow_type((integers or members)[0])
        case inspect.StructType(fields=fields):
            return pa.struct([(field.encode_name, _arrow_type(field.type)) for field in fields])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return pa.list_(_arrow_type(item))
        case _:
            if type(kind) not in _SCALARS:
                raise ConfigurationError(
                    f"a field of the type {type(kind).__name__.removesuffix('Type').lower()} has no Parquet "
                    "column; write .jsonl, or give it a Struct by decode_as()"
                )
            return _SCALARS[type(kind)]


def _may_wrap_around(text: bytes) -> bool:
    """True when a number in the text may be too large for a decimal; text that looks like one counts too."""
    compute: Any = pc  # its functions are made at run time, which no type checker sees
    found: Any = compute.match_substring_regex(pa.array([text], pa.large_binary()), HUGE_NUMBER)
    return bool(found[0].as_py())


_SCALARS: Final[dict[type[inspect.Type], Any]] = {
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.StrType: pa.string(),
    inspect.LiteralType: pa.string(),
    inspect.DecimalType: MONEY,
    inspect.DateTimeType: INSTANT,
    inspect.DateType: pa.date32(),
}


def _plain(value: Any) -> Any:
    """A decoded value as pyarrow takes it: structs as dicts under wire names, naive times as UTC."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _plain(getattr(value, field.name)) for field in msgspec.structs.fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _as_integer(key: Any) -> Any:
    """A key in quotes as its integer, when it is one and loses nothing by it."""
    return int(key) if isinstance(key, str) and key.isdecimal() and str(int(key)) == key else key


def write_parquet(file: IO[bytes], table: Any) -> None:
    """One file with one row group, zstd."""
    pq.write_table(table, file, compression="zstd", row_group_size=max(1, table.num_rows))


def join_parquet(file: IO[bytes], parts: Sequence[Path], schema: Any) -> None:
    """The parts' row groups in one file; a key that is text in one part is text in all."""
    found = [pq.read_schema(part) for part in parts]
    wanted = pa.schema(
        [
            next(
                (part.field(field.name) for part in found if part.field(field.name).type == pa.string()),
                field,
            )
            for field in schema
        ]
    )
    with pq.ParquetWriter(file, wanted, compression="zstd") as writer:
        for part in parts:
            table = pq.read_table(part)
            writer.write_table(table.cast(wanted), row_group_size=max(1, table.num_rows))
