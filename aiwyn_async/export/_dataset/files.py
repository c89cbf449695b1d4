# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""The Parquet files of a dataset. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

import io
import secrets
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._schema import compute
from aiwyn_async.arrow._stream import check_ids
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export._dataset.manifest import DatasetFile
from aiwyn_async.export._formats.parquet import MAX_BYTES, MAX_ROWS, write_table
from aiwyn_async.export._formats.parquet_options import ParquetOptions

MAX_PARTITIONS: Final = 1000
NULL: Final = "__HIVE_DEFAULT_PARTITION__"


class DatasetFiles:
    """Converts rows to tables and tables to files, in a folder for each value of ``partition_by``.

    Raises:
        ConfigurationError: the rows have no columns, or ``partition_by`` cannot name folders.
    """

    def __init__(
        self, row_type: type[Any], options: ColumnOptions, parquet: ParquetOptions, partition_by: str | None
    ) -> None:
        self._schema = RowSchema(row_type, options)
        self._parquet = parquet
        self._partition_by = partition_by
        if partition_by is not None:
            _check_partition_column(self._schema.arrow, partition_by)

    def __str__(self) -> str:
        return f"dataset {self._partition_by} {self._parquet} {self._schema}"

    def is_full(self, tables: Sequence[Any], more: Any) -> bool:
        """True if tables are enough for a file, or if another table is too much for it."""
        rows: int = sum(table.num_rows for table in [*tables, more])
        size: int = sum(table.nbytes for table in tables)
        return rows > (self._parquet.row_group_rows or MAX_ROWS) or size > MAX_BYTES

    def table(self, rows: PageRows) -> Any:
        """Convert rows to a table, of the same columns as all others.

        Raises:
            DecodeError: a row is bad, and ``on_bad_row`` is "raise".
            ExportError: an id is text, in a column of integers.
        """
        table = self._schema.table(rows)
        check_ids(table.schema, self._schema.arrow, "export()")
        return table

    def empty_table(self) -> Any:
        return self._schema.arrow.empty_table()

    def encode(
        self, tables: Sequence[Any], folder: str, number: int
    ) -> tuple[dict[DatasetFile, bytes], dict[str, Decimal]]:
        """Encode rows as files, from this number on: one, or one for each value of the partition column.

        No other file has one of their names.

        Returns the content of each file, and the sum of each column of money.
        """
        contents: dict[DatasetFile, bytes] = {}
        table = pa.concat_tables(tables)
        for partition, rows in self._partitions(table):
            buffer = io.BytesIO()
            write_table(buffer, rows, self._parquet)
            content = buffer.getvalue()
            # Another export may write the same run: a file system of fsspec has no locks.
            name = f"part-{number + len(contents):06}-{secrets.token_hex(4)}.parquet"
            path = f"{folder}/{partition}{name}"
            contents[DatasetFile(path, rows.num_rows, len(content), zlib.crc32(content))] = content
        return contents, sum_money(table)

    def _partitions(self, table: Any) -> Iterator[tuple[str, Any]]:
        """Yield the rows of each value of the partition column, and its folder."""
        name = self._partition_by
        if name is None:
            yield "", table
            return
        column = table[name]
        values = compute.unique(column).to_pylist()
        if len(values) > MAX_PARTITIONS:
            raise ExportError(
                f"partition_by: {name!r} has {len(values)} values in {table.num_rows} rows; "
                f"choose a column of at most {MAX_PARTITIONS} values"
            )
        for value in values:
            chosen = compute.is_null(column) if value is None else compute.equal(column, pa.scalar(value))
            yield f"{name}={_folder_name(name, value)}/", table.filter(chosen).drop_columns([name])


def read_table(content: bytes) -> Any:
    """Return the table of a Parquet file; None if it is damaged."""
    try:
        return pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError):
        return None


def sum_money(table: Any) -> dict[str, Decimal]:
    """Return the exact sum of each column of money."""
    return {
        # In 128 bits, a sum of large amounts wraps without an error.
        field.name: compute.sum(table[field.name].cast(pa.decimal256(76, field.type.scale))).as_py()
        or Decimal(0)
        for field in table.schema
        if pa.types.is_decimal(field.type)
    }


def _check_partition_column(schema: Any, name: str) -> None:
    tests = (pa.types.is_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_date)
    suitable = [field.name for field in schema if any(test(field.type) for test in tests)]
    if name not in suitable:
        raise ConfigurationError(
            f"partition_by: {name!r} is not a column of text, integers, booleans or dates; "
            f"choose from {', '.join(suitable) or 'none'}"
        )
    if len(schema) == 1:  # a file without columns has no rows for its readers
        raise ConfigurationError(f"partition_by: {name!r} is the only column; write another one too")


def _folder_name(name: str, value: object) -> str:
    if value is None:
        return NULL
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text or text == NULL:
        raise ExportError(f"partition_by: {name!r} has the value {text!r}, which cannot name a folder")
    return quote(text, safe="")
