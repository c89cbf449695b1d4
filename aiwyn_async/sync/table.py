# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""One tag's table in a DuckDB file: rows and bookmark in one transaction. Blocking; called in a thread."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from aiwyn_async.arrow.table import RowSchema
from aiwyn_async.duckdb_sql import attach_new, attach_old
from aiwyn_async.errors import CheckpointError, ConfigurationError, ExportError
from aiwyn_async.files import disk_errors
from aiwyn_async.models.base import Id
from aiwyn_async.sync import statements as sql

__all__ = ["Bookkeeping", "SyncedTable", "Written"]

# By their words: what class they are of changes with DuckDB's release.
IN_USE: Final = ("Could not set lock", "Unique file handle conflict", "already attached")
MOST_WAL_BYTES: Final = 64 * 1024 * 1024
OPTIONS: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,  # nothing is fetched from the network
    "wal_autocheckpoint": "1TB",  # the log is put into the file when this module says so
    # Half of this keeps the keys of ten million rows that are updated far apart; keys cannot be spilled.
    "memory_limit": "512MB",
    "threads": 1,
    "preserve_insertion_order": False,
}


class Bookkeeping(NamedTuple):
    """How far a table is: the text of its bookmark, and the checkpoint of a run that was not finished."""

    bookmark: str | None = None
    checkpoint: str | None = None


class Written(NamedTuple):
    """Rows of a batch that were inserted and those that were replaced; all others were there alike."""

    inserted: int = 0
    updated: int = 0


class SyncedTable:
    """The table of a tag, and its line in ``_aiwyn_sync``.

    The file's mode is 0600, and so is its log's: they hold clients' data.

    Args:
        path: the file; it is made when it is not there.
        tag: names the table.
        key: wire name of its unique column.
        row_type: of its rows.
        server: whom they come from.
        query: a hash of the condition that they fit.

    Raises:
        ConfigurationError: the path names no file, or the row type has a field that has no column.
    """

    def __init__(
        self, path: Path, tag: str, key: str, row_type: type[Any], *, server: str, query: str
    ) -> None:
        if not path.name:
            raise ConfigurationError(f"{str(path)!r} names no file")
        self._schema = RowSchema(row_type)
        self._path = path
        self._wal = path.with_name(f"{path.name}.wal")
        self._spill = path.with_name(f".{path.name}.spill")
        self._tag = tag
        self._key = key
        self._server = server
        self._query = query
        self._connection = duckdb.connect(config=OPTIONS)
        self._is_held = False

    def open(self) -> None:
        """Take the file, and make the table where there is none.

        Raises:
            ExportError: the file cannot be opened or is in use, or the table is not this program's, or of
                another server.
            CheckpointError: the table was filled by another query.
        """
        path = self._path
        with disk_errors(path, "open"):
            if not path.parent.is_dir():
                raise ExportError(f"there is no folder {path.parent}; make it first")
            if path.is_symlink() or path.is_dir():
                raise ExportError(f"{path} is a folder or a link; name the file itself")
            is_new = not path.exists()
        with self._errors():
            self._attach(is_new=is_new)

    def close(self) -> None:
        """Put the log into the file, and let others at it."""
        self._connection.close()
        if self._is_held:
            shutil.rmtree(self._spill, ignore_errors=True)

    def bookkeeping(self) -> Bookkeeping:
        """How far the table is."""
        with self._errors():
            found = self._rows(f"SELECT bookmark, checkpoint FROM {sql.STATE} WHERE tag = ?", self._tag)  # noqa: S608 (a constant)
        return Bookkeeping(*found[0])

    def write(self, rows: Any, keep: Bookkeeping) -> Written:
        """Merge a table of rows by key, and keep how far this is, in one transaction.

        Raises:
            ExportError: the disk refuses, or a value does not fit; all is as before.
        """
        with self._errors(), self._transaction():
            done: Counter[str] = Counter()
            if rows is not None:
                with self._batch(rows):
                    done.update(
                        action for (action,) in self._rows(sql.merge(self._tag, self._key, rows.column_names))
                    )
            self._keep(keep)
        return Written(done["INSERT"], done["UPDATE"])

    def keys(self) -> list[Id]:
        """The keys of all rows that are not marked as deleted."""
        with self._errors():
            return [key for (key,) in self._rows(sql.select_keys(self._tag, self._key))]

    def mark_gone(self, keys: Sequence[Id]) -> int:
        """Mark rows as deleted now; how many."""
        with self._errors(), self._transaction(), self._batch(pa.table({self._key: keys})):
            marked = self._rows(sql.mark_gone(self._tag, self._key), datetime.now(UTC).isoformat())
        return int(marked[0][0])

    def table_of(self, rows: Any) -> Any:
        """Rows as they came, as an Arrow table."""
        return self._schema.table(rows)

    def _attach(self, *, is_new: bool) -> None:
        attach = attach_new if is_new else attach_old
        self._connection.execute(attach(str(self._path), sql.ATTACHED))
        self._is_held = True
        # What does not fit into memory is clients' data too: DuckDB would put it where the process stands.
        self._spill.mkdir(mode=0o700, exist_ok=True)
        self._connection.execute("SET temp_directory = ?", [str(self._spill)])
        if not self._rows(sql.has_any_table()):
            # New, or all that a run has left which was killed before it came to this.
            self._path.chmod(0o600)
        had_state = self._exists("_aiwyn_sync")
        if self._exists(self._tag) and not (had_state and self._is_ours()):
            raise ExportError(
                f"{self._path} has a table {self._tag} that no sync made; name another file, or drop it"
            )
        if not had_state:
            self._connection.execute(sql.MAKE_STATE)
        # Nothing but bookkeeping was written by now, so no other user can have read more in the log.
        self._make_log_private()
        with self._transaction():
            self._fit_columns()

    def _is_ours(self) -> bool:
        found = self._rows(f"SELECT server, query FROM {sql.STATE} WHERE tag = ?", self._tag)  # noqa: S608 (a constant)
        for server, query in found:
            if server != self._server:
                raise ExportError(
                    f"{self._path} holds {self._tag} of {server}, not of {self._server}; name another file"
                )
            if query != self._query:
                raise CheckpointError(
                    f"{self._path} holds {self._tag} of another query; sync with the same where, "
                    "or name another file"
                )
        return bool(found)

    def _fit_columns(self) -> None:
        """Make the table, or give it the columns that the row type has more; then all rows are read again."""
        with self._batch(self._schema.arrow.empty_table()):
            wanted = {row[0]: row[1] for row in self._rows(f"DESCRIBE {sql.BATCH}")}
            if not self._exists(self._tag):
                for statement in sql.create_table(self._tag, self._key):
                    self._connection.execute(statement)
                # A line of a table that its owner has dropped may be there.
                line = f"INSERT OR REPLACE INTO {sql.STATE} VALUES (?, ?, ?, NULL, NULL)"  # noqa: S608 (a constant)
                self._connection.execute(line, [self._tag, self._server, self._query])
                return
        if self._rows(sql.primary_key(), self._tag) != [([self._key],)]:
            raise ExportError(
                f"the table {self._tag} in {self._path} was made anew by another program, which left out its "
                f"primary key {self._key}; drop it, and the next sync brings all rows"
            )
        there = {row[0] for row in self._rows(f"DESCRIBE {sql.table(self._tag)}")}
        added = wanted.keys() - there
        for column in sorted(added):
            self._connection.execute(sql.add_column(self._tag, column, wanted[column]))
        if added:
            self._keep(Bookkeeping())

    def _exists(self, table: str) -> bool:
        return bool(self._rows(sql.has_table(), table))

    def _keep(self, keep: Bookkeeping) -> None:
        line = f"UPDATE {sql.STATE} SET bookmark = ?, checkpoint = ? WHERE tag = ?"  # noqa: S608 (a constant)
        self._connection.execute(line, [keep.bookmark, keep.checkpoint, self._tag])

    def _rows(self, statement: str, *values: str) -> list[Any]:
        return self._connection.execute(statement, list(values)).fetchall()

    @contextlib.contextmanager
    def _batch(self, rows: Any) -> Generator[None]:
        self._connection.register(sql.BATCH, rows)
        try:
            yield
        finally:
            # A transaction that failed takes it back by itself, and would tell of nothing but that it failed.
            with contextlib.suppress(duckdb.Error):
                self._connection.unregister(sql.BATCH)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        if self._wal.exists() and self._wal.stat().st_size > MOST_WAL_BYTES:
            self._connection.execute(f"CHECKPOINT {sql.ATTACHED}")
            self._make_log_private()

    def _make_log_private(self) -> None:
        """DuckDB makes a log by the umask, with its first write: let that be one without clients' data."""
        self._connection.execute(f"UPDATE {sql.STATE} SET server = server")  # noqa: S608 (a constant)
        with contextlib.suppress(FileNotFoundError):
            self._wal.chmod(0o600)

    @contextlib.contextmanager
    def _errors(self) -> Generator[None]:
        """What DuckDB or the disk refuses, as an ``ExportError`` that names the file."""
        try:
            yield
        except (duckdb.Error, OSError) as fault:
            text = str(fault)
            if any(sign in text for sign in IN_USE):
                raise ExportError(f"{self._path} is in use by another sync or program") from fault
            raise ExportError(f"DuckDB cannot keep {self._tag} in {self._path}: {text}") from fault
