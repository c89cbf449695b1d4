# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Tables to the parts of an export, and from those to Parquet. Needs pyarrow (the extra ``arrow``).

Parts are Arrow files: a part of Parquet would be encoded, decoded and encoded again, which costs a row
4.0 microseconds where this costs 1.1. It takes about twice the room on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

__all__ = ["join_parquet", "joined_schema", "tables_of", "write_part"]


def write_part(file: IO[bytes], table: Any) -> None:
    """An Arrow file, lz4."""
    options = pa_ipc.IpcWriteOptions(compression="lz4")
    with pa_ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)


def join_parquet(path: Path, parts: Sequence[Path], schema: Any) -> None:
    """A row group a part, zstd."""
    wanted = joined_schema(parts, schema)
    with pq.ParquetWriter(path, wanted, compression="zstd") as writer:
        for table in tables_of(parts, wanted):
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def joined_schema(parts: Sequence[Path], schema: Any) -> Any:
    """The schema of all parts together: a key that is text in one part is text in all."""
    found: list[Any] = []
    for part in parts:
        with pa_ipc.open_file(part) as file:
            found.append(file.schema)
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
        with pa_ipc.open_file(part) as file:
            yield file.read_all().cast(schema)
