# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Parquet: one row group per part. Needs pyarrow (the extra ``arrow``).

Row groups are copied, not encoded again, which would take more than a fifth of the time of an export. Only
the parts of small pages are encoded again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.export._formats.parquet_footer import MAGIC, footer_file, move_footer, split_footer
from aiwyn_async.export._formats.tables import PartTables, TableFormat

__all__ = ["ParquetFormat", "join_parquet", "merge_small_parts", "write_table"]

MIN_ROWS: Final = 5_000
"""Parts with fewer rows are merged: reading has a cost per row group and column."""
MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""In memory, of the parts that are merged into one row group."""


class ParquetFormat(TableFormat):
    """Money as decimal128, times as UTC microseconds, nested lists.

    A naive time is taken as UTC.
    """

    def __init__(self, row_type: type[Any], options: ColumnOptions) -> None:
        super().__init__("parquet", row_type, options, write_table)

    def assemble(self, parts: Iterator[Path], path: Path) -> None:
        """Write one row group per part; small parts are merged first."""
        join_parquet(path, merge_small_parts(parts, path.parent), self._schema.arrow)


def write_table(file: IO[bytes], table: Any) -> None:
    """Write a Parquet file with one row group."""
    with _open_writer(file, table.schema) as writer:
        _write_row_group(writer, table)


def merge_small_parts(
    parts: Iterator[Path],
    folder: Path,
    *,
    min_rows: int = MIN_ROWS,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Path]:
    """Merge small neighbouring parts into larger ones.

    Their rows are encoded again. That costs little: with pages so small, requests take most of the time.

    Args:
        parts: may wait for parts that are still being written.
        folder: for the merged parts, which stay until the file is finished.
        min_rows: parts with fewer rows are merged.
        max_rows: of a merged part.
        max_bytes: no part is added to a merged part of this size.
    """
    small: list[Path] = []
    rows = size = merged = 0
    schema: Any = None
    for part in parts:
        metadata = pq.read_metadata(part)
        is_small = metadata.num_rows < min_rows
        fits = is_small and rows + metadata.num_rows <= max_rows and size < max_bytes
        if small and not (fits and metadata.schema.equals(schema)):
            yield _merge(small, folder / f"merged-{merged:06}")
            small, rows, size, merged = [], 0, 0, merged + 1
        if is_small:
            small.append(part)
            schema = metadata.schema
            rows += metadata.num_rows
            size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        else:
            yield part
    if small:
        yield _merge(small, folder / f"merged-{merged:06}")


def _merge(parts: list[Path], path: Path) -> Path:
    """Write the rows of several parts of one schema into one part."""
    if len(parts) == 1:
        return parts[0]
    tables = [pq.read_table(part) for part in parts]
    with path.open("wb") as file:
        write_table(file, pa.concat_tables(tables))
    return path


def join_parquet(path: Path, parts: Iterator[Path], schema: Any) -> None:
    """Copy the row groups of all parts; encode again if only some have text ids."""
    seen: list[Path] = []
    with path.open("wb") as file:
        copier = _RowGroupCopier(file, schema)
        for part in parts:
            seen.append(part)
            if not copier.add(part):
                break
        else:
            copier.finish()
            return
    _encode_again(path, chain(seen, parts), schema)


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
        """Write the footer."""
        footer = io.BytesIO()
        self._metadata.write_metadata_file(footer)
        self._file.write(footer.getbuffer()[len(MAGIC) :])


def _encode_again(path: Path, parts: Iterator[Path], schema: Any) -> None:
    source = PartTables(parts, schema, pq.read_table)
    while not source.at_end:
        with _open_writer(path, source.schema) as writer:
            for table in source.tables():
                _write_row_group(writer, table)


def _open_writer(to: IO[bytes] | Path, schema: Any) -> Any:
    """Open a writer with dictionaries for text alone.

    For amounts, times and ids they enlarge the file.

    Nested columns have no statistics, since readers skip row groups by those of flat columns.
    """
    columns = list(_empty_metadata(schema).schema)
    text: Any = [column.path for column in columns if column.logical_type.type == "STRING"]
    flat: Any = [column.path for column in columns if column.max_repetition_level == 0]
    return pq.ParquetWriter(to, schema, compression="zstd", use_dictionary=text, write_statistics=flat)


def _write_row_group(writer: Any, table: Any) -> None:
    writer.write_table(table, row_group_size=max(1, table.num_rows))


def _empty_metadata(schema: Any) -> Any:
    file = io.BytesIO()
    pq.write_metadata(schema, file)
    return pq.read_metadata(file)
