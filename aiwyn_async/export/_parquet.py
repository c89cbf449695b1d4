# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Tables to the parts of a Parquet file, and from those to the file. Needs pyarrow (the extra ``arrow``).

A part is a Parquet file with one row group. Parts are joined as they are: encoding their rows again would
cost a row more than a fifth of all that its export takes. Only parts of small pages are encoded again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from aiwyn_async.export._parquet_footer import MAGIC, file_of, footer_of, moved
from aiwyn_async.export._part_tables import PartTables

__all__ = ["join_parquet", "with_large_row_groups", "write_part"]

MIN_ROWS: Final = 5_000
"""A part with fewer rows is joined with its neighbours: readers pay for each row group and column."""
MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""In memory, of the rows that are joined into one row group."""


def write_part(file: IO[bytes], table: Any) -> None:
    """A Parquet file with one row group."""
    with _writer(file, table.schema) as writer:
        _write_row_group(writer, table)


def with_large_row_groups(parts: Iterator[Path], folder: Path) -> Iterator[Path]:
    """Parts, with neighbours that are small joined into new ones of at most 100,000 rows or 64 MB.

    Their rows are encoded again, which costs little where pages are so small that requests take the time.

    Args:
        parts: may still be arriving.
        folder: for the new ones, which stay until the file is finished.
    """
    small: list[Path] = []
    rows = size = made = 0
    schema: Any = None
    for part in parts:
        found = pq.read_metadata(part)
        is_small = found.num_rows < MIN_ROWS
        fits = is_small and rows + found.num_rows <= MAX_ROWS and size < MAX_BYTES
        if small and not (fits and found.schema.equals(schema)):
            yield _as_one(small, folder / f"joined-{made:06}")
            small, rows, size, made = [], 0, 0, made + 1
        if is_small:
            small.append(part)
            schema = found.schema
            rows += found.num_rows
            size += sum(found.row_group(group).total_byte_size for group in range(found.num_row_groups))
        else:
            yield part
    if small:
        yield _as_one(small, folder / f"joined-{made:06}")


def _as_one(parts: list[Path], path: Path) -> Path:
    """One part with the rows of several, which have one schema."""
    if len(parts) == 1:
        return parts[0]
    tables = [pq.read_table(part) for part in parts]
    with path.open("wb") as file:
        write_part(file, pa.concat_tables(tables))
    return path


def join_parquet(path: Path, parts: Iterator[Path], schema: Any) -> None:
    """A row group a part. Where a key is text in one part, all are encoded again, since it is text in all."""
    come: list[Path] = []
    with path.open("wb") as file:
        joined = _Joined(file, schema)
        for part in parts:
            come.append(part)
            if not joined.add(part):
                break
        else:
            joined.finish()
            return
    _encode_again(path, chain(come, parts), schema)


class _Joined:
    """Row groups of one schema, one after another."""

    def __init__(self, file: IO[bytes], schema: Any) -> None:
        self._file = file
        self._metadata = _empty(schema)
        file.write(MAGIC)

    def add(self, part: Path) -> bool:
        """Add a part, unless its schema is another."""
        content = part.read_bytes()
        end, footer = footer_of(content)
        by = self._file.tell() - len(MAGIC)
        footer = moved(footer, by=by, ordinal=self._metadata.num_row_groups)
        found = pq.read_metadata(io.BytesIO(file_of(footer)))
        if not found.schema.equals(self._metadata.schema):
            return False
        self._file.write(memoryview(content)[len(MAGIC) : end])
        self._metadata.append_row_groups(found)
        return True

    def finish(self) -> None:
        """Write the footer of all."""
        found = io.BytesIO()
        self._metadata.write_metadata_file(found)
        self._file.write(found.getbuffer()[len(MAGIC) :])


def _encode_again(path: Path, parts: Iterator[Path], schema: Any) -> None:
    source = PartTables(parts, schema, pq.read_table)
    while not source.at_end:
        with _writer(path, source.schema) as writer:
            for table in source.tables():
                _write_row_group(writer, table)


def _writer(to: IO[bytes] | Path, schema: Any) -> Any:
    """Text by dictionaries; those of amounts, times and keys would take more room than they spare.

    What is nested has no statistics: readers leave out row groups by those of columns.
    """
    columns = list(_empty(schema).schema)
    text: Any = [column.path for column in columns if column.logical_type.type == "STRING"]
    flat: Any = [column.path for column in columns if column.max_repetition_level == 0]
    return pq.ParquetWriter(to, schema, compression="zstd", use_dictionary=text, write_statistics=flat)


def _write_row_group(writer: Any, table: Any) -> None:
    writer.write_table(table, row_group_size=max(1, table.num_rows))


def _empty(schema: Any) -> Any:
    """The metadata of a file without rows."""
    found = io.BytesIO()
    pq.write_metadata(schema, found)
    return pq.read_metadata(found)
