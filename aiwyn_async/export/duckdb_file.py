# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""The parts of an export as a table in a DuckDB file. Needs duckdb and pyarrow (the extra ``duckdb``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from aiwyn_async.duckdb_sql import attach_new, identifier
from aiwyn_async.errors import ExportError
from aiwyn_async.export.part_tables import PartTables, read_part, write_part

__all__ = ["build_duckdb", "write_part"]

MOST_MEMORY: Final = "512MB"


def build_duckdb(path: Path, parts: Iterator[Path], schema: Any, table: str) -> None:
    """A new file with one table; what does not fit into memory goes to disk beside it.

    Raises:
        ExportError: DuckDB cannot write it.
    """
    source = PartTables(parts, schema, read_part)
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MOST_MEMORY,
        "temp_directory": f"{path}.spill",
    }
    try:
        with duckdb.connect(":memory:", config=options) as connection:
            connection.execute(attach_new(str(path), "file"))
            while not source.at_end:
                batches = (batch for found in source.tables() for batch in found.to_batches())
                connection.register("parts", pa.RecordBatchReader.from_batches(source.schema, batches))
                name = f"file.main.{identifier(table)}"
                connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM parts")  # noqa: S608 (quoted)
            connection.execute("CHECKPOINT file")  # a DETACH that cannot do it keeps silent in older releases
            connection.execute("DETACH file")
    except duckdb.Error as fault:
        raise ExportError(f"DuckDB cannot write the table {table}: {fault}") from fault
