# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Parquet: one row group per part by default. Needs pyarrow (the extra ``arrow``).

Row groups are copied, not encoded again, which would take more than a fifth of the time of an export. Only
the parts of small pages are encoded again.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._table import cast_to, merge_schemas
from aiwyn_async.export._formats.parquet_footer import MAGIC, footer_file, move_footer, split_footer
from aiwyn_async.export._formats.parquet_options import DEFAULT_PARQUET, ParquetOptions
from aiwyn_async.export._formats.tables import PartTables, TableFormat

MIN_ROWS: Final = 5_000
"""Parts with fewer rows are merged: reading has a cost per row group and column."""
MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""In memory, of the parts that are merged into one row group."""


class ParquetFormat(TableFormat):
    """Money as decimal128, times as UTC microseconds, nested lists.

    A naive time is taken as UTC.
    """

    def __init__(
        self, row_type: type[Any], options: ColumnOptions, parquet: ParquetOptions = DEFAULT_PARQUET
    ) -> None:
        write = functools.partial(write_table, options=parquet)
        super().__init__(f"parquet {parquet}", row_type, options, write)
        self._parquet = parquet

    def assemble(self, parts: Iterator[Path], path: Path) -> None:
        """Write one row group per part; small parts are merged first."""
        merged = merge_small_parts(parts, path.parent, self._parquet)
        join_parquet(path, merged, self._schema.arrow, self._parquet)


def write_table(file: IO[bytes], table: Any, options: ParquetOptions = DEFAULT_PARQUET) -> None:
    """Write a Parquet file with one row group, or more if the options limit its rows."""
    with _open_writer(file, table.schema, options) as writer:
        _write_row_groups(writer, table, options)


def merge_small_parts(
    parts: Iterator[Path], folder: Path, options: ParquetOptions = DEFAULT_PARQUET
) -> Iterator[Path]:
    """Merge small neighbouring parts into larger ones.

    Their rows are encoded again. That costs little: with pages so small, requests take most of the time.

    Parts with fewer rows than ``MIN_ROWS`` are merged into parts of at most ``MAX_ROWS``; none is added to
    one of ``MAX_BYTES``. The max rows of the options, if set, replace the first two. Merged parts stay in
    the folder until the file is finished. ``parts`` may wait for parts that are still being written.
    """
    min_rows, max_rows = options.row_group_rows or MIN_ROWS, options.row_group_rows or MAX_ROWS
    small: list[Path] = []
    rows = size = merged = 0
    for part in parts:
        metadata = pq.read_metadata(part)
        is_small = metadata.num_rows < min_rows
        fits = is_small and rows + metadata.num_rows <= max_rows and size < MAX_BYTES
        if small and not fits:
            yield _merge(small, folder / f"merged-{merged:06}", options)
            small, rows, size, merged = [], 0, 0, merged + 1
        if is_small:
            small.append(part)
            rows += metadata.num_rows
            size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        else:
            yield part
    if small:
        yield _merge(small, folder / f"merged-{merged:06}", options)


def _merge(parts: list[Path], path: Path, options: ParquetOptions) -> Path:
    """Write the rows of several parts into one part, whose ids are text if those of one of them are."""
    if len(parts) == 1:
        return parts[0]
    tables = [pq.read_table(part) for part in parts]
    schema = merge_schemas([table.schema for table in tables])
    with path.open("wb") as file:
        write_table(file, pa.concat_tables([cast_to(table, schema) for table in tables]), options)
    return path


def join_parquet(
    path: Path, parts: Iterator[Path], schema: Any, options: ParquetOptions = DEFAULT_PARQUET
) -> None:
    """Copy the row groups of all parts; encode again if only some have text ids."""
    parts, all_parts = tee(parts)
    with path.open("wb") as file:
        copier = _RowGroupCopier(file, schema)
        if all(map(copier.add, parts)):
            copier.finish()
            return
    source = PartTables(all_parts, schema, pq.read_table)
    while not source.at_end:
        with _open_writer(path, source.schema, options) as writer:
            for table in source.tables():
                _write_row_groups(writer, table, options)


class _RowGroupCopier:
    """Copies row groups of one schema into one file."""

    def __init__(self, file: IO[bytes], schema: Any) -> None:
        self._file = file
        self._metadata = _empty_metadata(schema)
        file.write(MAGIC)

    def add(self, part: Path) -> bool:
        """Copy a part; False if its schema differs."""
        content = part.read_bytes()
        end, footer = split_footer(content)
        offset = self._file.tell() - len(MAGIC)
        footer = move_footer(footer, offset=offset, ordinal=self._metadata.num_row_groups)
        metadata = pq.read_metadata(io.BytesIO(footer_file(footer)))
        if not metadata.schema.equals(self._metadata.schema):
            return False
        self._file.write(memoryview(content)[len(MAGIC) : end])
        self._metadata.append_row_groups(metadata)
        return True

    def finish(self) -> None:
        footer = io.BytesIO()
        self._metadata.write_metadata_file(footer)
        self._file.write(footer.getbuffer()[len(MAGIC) :])


def _open_writer(to: IO[bytes] | Path, schema: Any, options: ParquetOptions) -> Any:
    """Open a writer with dictionaries for text alone.

    For amounts, times and ids they enlarge the file.

    Nested columns have no statistics, since readers skip row groups by those of flat columns.
    """
    columns = list(_empty_metadata(schema).schema)
    text: Any = [column.path for column in columns if column.logical_type.type == "STRING"]
    flat: Any = [column.path for column in columns if column.max_repetition_level == 0]
    return pq.ParquetWriter(
        to, schema, compression=options.compression, use_dictionary=text, write_statistics=flat
    )


def _write_row_groups(writer: Any, table: Any, options: ParquetOptions) -> None:
    rows = max(1, table.num_rows)
    writer.write_table(table, row_group_size=min(rows, options.row_group_rows or rows))


def _empty_metadata(schema: Any) -> Any:
    file = io.BytesIO()
    pq.write_metadata(schema, file)
    return pq.read_metadata(file)
