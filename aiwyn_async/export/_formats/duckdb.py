# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""DuckDB: one table in a database file.

Needs duckdb and pyarrow (the extra ``duckdb``).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from aiwyn_async._core.duckdb_sql import (
    attach_existing,
    attach_new,
    check_names_differ,
    connect_in_memory,
    explain,
    hold,
    identifier,
    is_database,
)
from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.errors import ExportError, StorageWarning
from aiwyn_async.export._formats.tables import PartTables, TableFormat, read_arrow, write_arrow

MAX_MEMORY: Final = "512MB"
BAD_LOG: Final = (
    *("WAL does not match", "WAL checkpoint iteration does not match", "Corrupt WAL file", "corrupt WAL?"),
    *("data may be corrupt", "Corrupt file - database identifier"),
)
"""In DuckDB's errors for a log that belongs to another file or is damaged. Others may be replayed later."""


class DuckdbFormat(TableFormat):
    """A table: money as DECIMAL(38, 9), times as TIMESTAMPTZ, nested lists."""

    def __init__(self, row_type: type[Any], table: str, options: ColumnOptions) -> None:
        super().__init__(f"duckdb {table}", row_type, options, write_arrow)
        check_names_differ(self._schema.arrow.names)
        self.shared_file = DatabaseFile(table)
        self._table = table

    def assemble(self, parts: Iterator[Path], path: Path) -> None:
        """Write a database with one table; DuckDB spills to the disk beside it."""
        source = PartTables(parts, self._schema.arrow, read_arrow)
        name = f"file.main.{identifier(self._table)}"
        try:
            with _connect(path) as connection:
                connection.execute(attach_new(str(path), "file"))
                while not source.at_end:
                    batches = (batch for table in source.tables() for batch in table.to_batches())
                    connection.register("parts", pa.RecordBatchReader.from_batches(source.schema, batches))
                    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM parts")  # noqa: S608 (quoted)
                # A DETACH that cannot do it raises nothing in older releases.
                connection.execute("CHECKPOINT file")
                connection.execute("DETACH file")
        except duckdb.Error as error:
            raise ExportError(f"DuckDB cannot write the table {self._table}: {error}") from error


class DatabaseFile:
    """An existing DuckDB file, of which one table is replaced.

    All other tables are retained.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def check(self, path: Path) -> None:
        """Check that the table can be replaced. The log may belong to another file.

        Raises:
            ExportError: it is in use or cannot be opened, a view has the name, ``sync()`` maintains the
                table, or another one refers to it.
        """
        if not is_database(path):
            return
        with _errors(path, self._table), hold(path), _connect(path) as connection:
            try:
                connection.execute(attach_existing(str(path), "file"))
            except duckdb.Error as error:
                if _is_bad_log(error):
                    return
                raise
            self._check_names(path, connection)
            # DuckDB refuses to replace a table that a foreign key refers to.
            name = f"file.main.{identifier(self._table)}"
            connection.execute(f"BEGIN; DROP TABLE IF EXISTS {name}; ROLLBACK")
            connection.execute("DETACH file")

    def write(self, new: Path, path: Path) -> bool:
        """Replace the table with that of a new file, in one transaction.

        After a kill the file has the old or the new table: the commit is in DuckDB's log.

        Returns:
            False if the existing file is not a database; nothing was written.

        Raises:
            ExportError: the file is in use or cannot be written.
        """
        if not is_database(path):
            return False
        with _errors(path, self._table), hold(path), _connect(new) as connection:
            self._attach(path, connection)
            self._check_names(path, connection)
            connection.execute(f"{attach_existing(str(new), 'new')} (READ_ONLY)")
            name = f"main.{identifier(self._table)}"
            _share_mode_with_log(path, connection)
            connection.execute("BEGIN")
            connection.execute(f"CREATE OR REPLACE TABLE file.{name} AS SELECT * FROM new.{name}")  # noqa: S608 (quoted)
            connection.execute("COMMIT")
            connection.execute("DETACH new")
            try:
                connection.execute("CHECKPOINT file")
                connection.execute("DETACH file")
            except duckdb.Error as error:
                warnings.warn(
                    f"{path} is complete together with its log {path.name}.wal, which DuckDB could not write "
                    f"into it: {error}",
                    StorageWarning,
                    stacklevel=2,
                )
        return True

    def _attach(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute(attach_existing(str(path), "file"))
        except duckdb.Error as error:
            if not _is_bad_log(error):
                raise
            # The file cannot be opened with this log, and the caller requested a replacement.
            path.with_name(f"{path.name}.wal").unlink()
            connection.execute(attach_existing(str(path), "file"))

    def _check_names(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        views = "SELECT 1 FROM duckdb_views() WHERE database_name = 'file' AND schema_name = 'main' AND {}"
        synced = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE database_name = 'file' AND schema_name = 'main' AND table_name = '_aiwyn_sync'"
        )
        lower = [self._table.lower()]
        if connection.execute(views.format("lower(view_name) = ?"), lower).fetchone():
            raise ExportError(f"{path} has a view {self._table}; drop or rename it, or use another file name")
        if not connection.execute(synced).fetchone():
            return
        maintained = "SELECT 1 FROM file.main._aiwyn_sync WHERE lower(resource) = ?"
        if connection.execute(maintained, lower).fetchone():
            raise ExportError(f"sync() maintains the table {self._table} in {path}; use another file name")


def _is_bad_log(error: duckdb.Error) -> bool:
    return any(text in str(error) for text in BAD_LOG)


def _share_mode_with_log(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Create DuckDB's log, whose mode follows the umask, before it has client data."""
    connection.execute("BEGIN; CREATE SCHEMA file._aiwyn_export; DROP SCHEMA file._aiwyn_export; COMMIT")
    with contextlib.suppress(OSError):
        path.with_name(f"{path.name}.wal").chmod(path.stat().st_mode & 0o777)


def _connect(spill_beside: Path) -> duckdb.DuckDBPyConnection:
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MAX_MEMORY,
        "temp_directory": f"{spill_beside}.spill",
        "autoinstall_known_extensions": False,  # download nothing
    }
    return connect_in_memory(options)


@contextlib.contextmanager
def _errors(path: Path, table: str) -> Generator[None]:
    try:
        yield
    except (duckdb.Error, BlockingIOError) as error:
        otherwise = f"DuckDB cannot replace the table {table} in {path}"
        raise ExportError(explain(error, path, otherwise)) from error
