# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Tables to the parts of an export, and from those to Parquet. Needs pyarrow (the extra ``arrow``).

Parts are Arrow files: a part of Parquet would be encoded, decoded and encoded again, which costs a row
4.0 microseconds where this costs 1.1. It takes about twice the room on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

__all__ = ["PartTables", "join_parquet", "write_part"]


def write_part(file: IO[bytes], table: Any) -> None:
    """An Arrow file, lz4."""
    options = pa_ipc.IpcWriteOptions(compression="lz4")
    with pa_ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)


def join_parquet(path: Path, parts: Iterator[Path], schema: Any) -> None:
    """A row group a part, zstd."""
    source = PartTables(parts, schema)
    while not source.at_end:
        with pq.ParquetWriter(path, source.schema, compression="zstd") as writer:
            for table in source.tables():
                writer.write_table(table, row_group_size=max(1, table.num_rows))


class PartTables:
    """The tables of parts, in order and in one schema: a key that is text in one part is text in all.

    Whether one is text shows only when it comes, so ``tables()`` may end early. Until ``at_end``, it is to be
    called once more, and begins with the first part again, in the new ``schema``.
    """

    def __init__(self, parts: Iterator[Path], schema: Any) -> None:
        self.schema = schema
        self.at_end = False
        self._parts = parts
        self._come: list[Path] = []

    def tables(self) -> Iterator[Any]:
        """Part by part."""
        for part in chain(list(self._come), self._new_parts()):
            with pa_ipc.open_file(part) as file:
                table = file.read_all()
            wanted = _with_text_keys(self.schema, table.schema)
            if wanted != self.schema:
                self.schema = wanted
                return
            yield table.cast(wanted)
        self.at_end = True

    def _new_parts(self) -> Iterator[Path]:
        for part in self._parts:
            self._come.append(part)
            yield part


def _with_text_keys(schema: Any, of_part: Any) -> Any:
    return pa.schema(
        [found if (found := of_part.field(field.name)).type == pa.string() else field for field in schema]
    )
