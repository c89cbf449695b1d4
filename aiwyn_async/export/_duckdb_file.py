# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""The parts of an export as a table in a DuckDB file. Needs duckdb and pyarrow (the extra ``duckdb``)."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from aiwyn_async._core.duckdb_sql import IN_USE, attach_new, attach_old, identifier
from aiwyn_async.errors import ExportError
from aiwyn_async.export._part_tables import PartTables, read_part, write_part

__all__ = ["DatabaseFile", "build_duckdb", "write_part"]

MAX_MEMORY: Final = "512MB"
MAGIC: Final = b"DUCK"
MAGIC_AT: Final = 8
"""Bytes of a checksum come before it."""
BAD_LOG: Final = "replaying WAL"
"""In DuckDB's error if a log is damaged, or belongs to another file."""


def build_duckdb(path: Path, parts: Iterator[Path], schema: Any, table: str) -> None:
    """A new file with one table; what does not fit into memory goes to disk beside it.

    Raises:
        ExportError: DuckDB cannot write it.
    """
    source = PartTables(parts, schema, read_part)
    try:
        with _connected(path) as connection:
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


class DatabaseFile:
    """An existing DuckDB file, in which one table is replaced and all others are kept.

    Args:
        table: the table to replace.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def check(self, path: Path) -> None:
        """Refuse a database in which the table cannot be replaced. Its log may be that of another file.

        Raises:
            ExportError: it is in use or cannot be opened, the name is that of a view, or ``sync()`` keeps the
                table up to date.
        """
        if not _is_database(path):
            return
        with _errors(path, self._table), _connected(path) as connection:
            try:
                connection.execute(attach_old(str(path), "file"))
            except duckdb.Error as error:
                if BAD_LOG in str(error):
                    return
                raise
            self._check_names(path, connection)
            connection.execute("DETACH file")

    def write(self, new: Path, path: Path) -> bool:
        """Replace the table by that of a new file, in one transaction.

        After a kill the file has either table: DuckDB's log holds the commit.

        Returns:
            False if the existing file is not a database, and nothing was done.

        Raises:
            ExportError: the file is in use or cannot be written.
        """
        if not _is_database(path):
            return False
        with _errors(path, self._table), _connected(new) as connection:
            self._attach(path, connection)
            self._check_names(path, connection)
            connection.execute(f"{attach_old(str(new), 'made')} (READ_ONLY)")
            name = f"main.{identifier(self._table)}"
            _share_mode_with_log(path, connection)
            connection.execute("BEGIN")
            connection.execute(f"CREATE OR REPLACE TABLE file.{name} AS SELECT * FROM made.{name}")  # noqa: S608 (quoted)
            connection.execute("COMMIT")
            connection.execute("DETACH made")
            connection.execute("CHECKPOINT file")
            connection.execute("DETACH file")
        return True

    def _attach(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute(attach_old(str(path), "file"))
        except duckdb.Error as error:
            if BAD_LOG not in str(error):
                raise
            # The file cannot be opened with it, and the caller asked to replace what is there.
            path.with_name(f"{path.name}.wal").unlink()
            connection.execute(attach_old(str(path), "file"))

    def _check_names(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        views = "SELECT 1 FROM duckdb_views() WHERE database_name = 'file' AND schema_name = 'main' AND {}"
        synced = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE database_name = 'file' AND schema_name = 'main' AND table_name = '_aiwyn_sync'"
        )
        lower = [self._table.lower()]
        if connection.execute(views.format("lower(view_name) = ?"), lower).fetchone():
            raise ExportError(f"{path} has a view {self._table}; drop or rename it, or name another file")
        if not connection.execute(synced).fetchone():
            return
        kept = "SELECT 1 FROM file.main._aiwyn_sync WHERE lower(resource) = ?"
        if connection.execute(kept, lower).fetchone():
            raise ExportError(f"a sync keeps the table {self._table} in {path} up to date; name another file")


def _share_mode_with_log(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB create its log, which follows the umask, before clients' data are in it."""
    connection.execute("BEGIN; CREATE SCHEMA file._aiwyn_export; DROP SCHEMA file._aiwyn_export; COMMIT")
    with contextlib.suppress(OSError):
        path.with_name(f"{path.name}.wal").chmod(path.stat().st_mode & 0o777)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC


def _connected(spill_beside: Path) -> duckdb.DuckDBPyConnection:
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MAX_MEMORY,
        "temp_directory": f"{spill_beside}.spill",
        "autoinstall_known_extensions": False,  # nothing is fetched from the network
    }
    return duckdb.connect(":memory:", config=options)


@contextlib.contextmanager
def _errors(path: Path, table: str) -> Generator[None]:
    try:
        yield
    except duckdb.Error as error:
        if any(sign in str(error) for sign in IN_USE):
            raise ExportError(f"{path} is in use by another program; close it there and try again") from error
        raise ExportError(f"DuckDB cannot replace the table {table} in {path}: {error}") from error
