# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Tables to Parquet, and back from the parts of an export. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["join_parquet", "joined_schema", "tables_of", "write_parquet"]


def write_parquet(file: IO[bytes], table: Any) -> None:
    """One file with one row group, zstd."""
    pq.write_table(table, file, compression="zstd", row_group_size=max(1, table.num_rows))


def join_parquet(path: Path, parts: Sequence[Path], schema: Any) -> None:
    """The parts' row groups in one file."""
    wanted = joined_schema(parts, schema)
    with pq.ParquetWriter(path, wanted, compression="zstd") as writer:
        for table in tables_of(parts, wanted):
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def joined_schema(parts: Sequence[Path], schema: Any) -> Any:
    """The schema of all parts together: a key that is text in one part is text in all."""
    found = [pq.read_schema(part) for part in parts]
    return pa.schema(
        [
            next(
                (part.field(field.name) for part in found if part.field(field.name).type == pa.string()),
                field,
            )
            for field in schema
        ]
    )


def tables_of(parts: Sequence[Path], schema: Any) -> Iterator[Any]:
    """Part by part, in order, in one schema."""
    for part in parts:
        yield pq.read_table(part).cast(schema)
