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
import pyarrow.compute as pc
from msgspec import inspect

from aiwyn_async._core.duckdb_sql import attach_new, attach_old
from aiwyn_async._core.files import disk_errors, restrict_to_owner
from aiwyn_async.arrow._options import EXTRA_COLUMN, UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import columns_of
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.errors import CheckpointError, ConfigurationError, StorageError
from aiwyn_async.export._target import logs_beside
from aiwyn_async.models.base import Id
from aiwyn_async.sync import _statements as sql
from aiwyn_async.sync._columns import folded, same_name_twice, type_for_both, type_text

__all__ = ["Bookkeeping", "SyncedTable", "Written"]

compute: Any = pc  # its functions are made at run time, which no type checker sees

OTHER_FORMATS: Final = frozenset(
    {
        *(".arrow", ".avro", ".csv", ".feather", ".gz", ".ipc", ".json", ".jsonl", ".ndjson", ".orc"),
        *(".parquet", ".pq", ".sqlite", ".sqlite3", ".tsv", ".xls", ".xlsx", ".zip", ".zst"),
    }
)
DATE_TYPE: Final = "DATE"
INSTANT_TYPE: Final = "TIMESTAMP WITH TIME ZONE"
MAGIC: Final = b"DUCK"
MAGIC_AT: Final = 8
"""Bytes before it in a DuckDB file; DuckDB itself opens other files as views, and would write nothing."""

# By their words: what class they are of changes with DuckDB's release.
IN_USE: Final = ("Could not set lock", "Unique file handle conflict", "already attached")
MAX_WAL_BYTES: Final = 64 * 1024 * 1024
OPTIONS: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,  # nothing is fetched from the network
    "wal_autocheckpoint": "1TB",  # the log is put into the file when this module says so
    # Half of this keeps the keys of ten million rows that are updated far apart; keys cannot be spilled.
    "memory_limit": "512MB",
    "threads": 1,
    "preserve_insertion_order": False,
}


class Bookkeeping(NamedTuple):
    """How far a table is.

    Attributes:
        bookmark: its text.
        checkpoint: of a run that was not finished.
        skipped: the keys of the rows that were left out because they do not decode, as JSON.
    """

    bookmark: str | None = None
    checkpoint: str | None = None
    skipped: str | None = None


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
        options: how values become columns.

    Raises:
        ConfigurationError: the path names no file or one of another format, or the row type has a field that
            has no column.
    """

    def __init__(
        self,
        path: Path,
        tag: str,
        key: str,
        row_type: type[Any],
        *,
        server: str,
        query: str,
        options: ColumnOptions = UNCHANGED,
    ) -> None:
        if not path.name:
            raise ConfigurationError(f"{str(path)!r} names no file")
        if path.suffix.lower() in OTHER_FORMATS:
            raise ConfigurationError(
                f"{path} is not named like a DuckDB database; sync to a file such as "
                f"{path.with_suffix('.duckdb').name}, or use export() for a {path.suffix} file"
            )
        self._declared = {
            field.encode_name: inspect.type_info(field.type) for field in columns_of(row_type)
        } | ({EXTRA_COLUMN: inspect.StrType()} if options.extra else {})
        twice = same_name_twice([*self._declared, sql.DELETED_AT])
        if twice:
            raise ConfigurationError(
                f"columns whose names differ by case only cannot be in one DuckDB table: {', '.join(twice)}; "
                "rename a field of the row type, or use export() to a .parquet or .jsonl file"
            )
        self._schema = RowSchema(row_type, options)
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
            StorageError: the file cannot be opened or is in use, or the table is not this program's, or of
                another server.
            CheckpointError: the table was filled by another query.
        """
        path = self._path
        with disk_errors(path, "open"):
            if not path.parent.is_dir():
                raise StorageError(f"there is no folder {path.parent}; make it first")
            if path.is_symlink() or path.is_dir():
                raise StorageError(f"{path} is a folder or a link; name the file itself")
            is_new = not path.exists()
            for log in logs_beside(path) if is_new else ():
                raise StorageError(
                    f"{log} is the log of an earlier database of this name, which DuckDB would replay into "
                    "the new one; remove it, or name another file"
                )
            if not is_new and not _is_database(path):
                raise StorageError(f"{path} is not a DuckDB database; name another file, or remove it")
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
            found = self._rows(sql.SELECT_STATE, self._tag)
        return Bookkeeping(*found[0])

    def write(self, rows: Any, keep: Bookkeeping) -> Written:
        """Merge a table of rows by key, and keep how far this is, in one transaction.

        Raises:
            StorageError: the disk refuses, or a value does not fit; all is as before.
        """
        with self._errors(), self._transaction():
            done: Counter[str] = Counter()
            if rows is not None:
                rows = self._last_of_each_key(rows)
                with self._batch(rows):
                    statement = sql.merge(self._tag, self._key, rows.column_names, self._fit_batch())
                    done.update(action for (action,) in self._rows(statement))
            self._keep(keep)
        return Written(done["INSERT"], done["UPDATE"])

    def _last_of_each_key(self, rows: Any) -> Any:
        """A row that changed during the read may be in a batch twice; the later one is newer."""
        keys = rows[self._key]
        if compute.count_distinct(keys, mode="all").as_py() == len(keys):
            return rows
        last = {key: index for index, key in enumerate(keys.to_pylist())}
        return rows.take(list(last.values()))

    def _fit_batch(self) -> dict[str, str]:
        """Make columns text whose ids in the batch are; return what the batch's columns must be cast to."""
        there = self._types(sql.table(self._tag))
        wanted: dict[str, str] = {}
        casts: dict[str, str] = {}
        for name, kind in self._types(sql.BATCH).items():
            own = there[folded(name)]
            both = type_for_both(own, kind) or type_text(own)  # else the cast says what does not fit
            if both != type_text(own):
                wanted[name] = both
            if both != type_text(kind):
                casts[name] = both
        if wanted:
            self._change_types(wanted)
        return casts

    def _change_types(self, types: dict[str, str]) -> None:
        for statement in sql.change_types(self._tag, self._key, types):
            self._connection.execute(statement)

    def _types(self, relation: str) -> dict[str, Any]:
        """The types of a table's columns; those of the batch by their names, of the table without case."""
        found: Any = self._connection.sql(sql.rows_of(relation))
        names = found.columns if relation == sql.BATCH else map(folded, found.columns)
        return dict(zip(names, found.types, strict=True))

    def keys(self, instant: str | None = None) -> list[tuple[Id, int | None]]:
        """The keys of all rows that are not marked as deleted, and their instants in microseconds.

        Args:
            instant: the column of these; None leaves them out.
        """
        with self._errors():
            return self._rows(sql.select_keys(self._tag, self._key, instant))

    def has_instants(self, column: str) -> bool:
        """Return whether a column holds instants that can be compared."""
        return (
            isinstance(self._schema.arrow.field(column).type, pa.TimestampType)
            if column in self._declared
            else False
        )

    def mark_deleted(self, keys: Sequence[Id]) -> int:
        """Mark rows as deleted now; how many."""
        with self._errors(), self._transaction(), self._batch(pa.table({self._key: keys})):
            marked = self._rows(sql.mark_deleted(self._tag, self._key), datetime.now(UTC).isoformat())
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
            restrict_to_owner(self._path)
        had_state = self._exists("_aiwyn_sync")
        if self._exists(self._tag) and not (had_state and self._is_ours()):
            raise StorageError(
                f"{self._path} has a table {self._tag} that no sync made; name another file, or drop it"
            )
        if not had_state:
            self._connection.execute(sql.MAKE_STATE)
        self._connection.execute(sql.MORE_STATE)
        # Nothing but bookkeeping was written by now, so no other user can have read more in the log.
        self._make_log_private()
        with self._transaction():
            self._fit_columns()

    def _is_ours(self) -> bool:
        found = self._rows(sql.SELECT_OWNER, self._tag)
        for server, query in found:
            if server != self._server:
                raise StorageError(
                    f"{self._path} holds {self._tag} of {server}, not of {self._server}; name another file"
                )
            if query != self._query:
                raise CheckpointError(
                    f"{self._path} holds {self._tag} of another query; sync with the same where, "
                    "or name another file"
                )
        return bool(found)

    def _fit_columns(self) -> None:
        """Make the table, or give it what the row type has more; then all rows are read again.

        Raises:
            StorageError: a column has another type, so that values would be changed.
        """
        with self._batch(self._schema.arrow.empty_table()):
            wanted = self._types(sql.BATCH)
            if not self._exists(self._tag):
                for statement in sql.create_table(self._tag, self._key):
                    self._connection.execute(statement)
                self._connection.execute(sql.INSERT_STATE, [self._tag, self._server, self._query])
                return
        keys = [list(map(folded, names)) for (names,) in self._rows(sql.primary_key(), self._tag)]
        if keys != [[folded(self._key)]]:
            raise StorageError(
                f"the table {self._tag} in {self._path} was made anew by another program, which left out its "
                f"primary key {self._key}; drop it, and the next sync brings all rows"
            )
        there = self._types(sql.table(self._tag))
        missing = {name: type_text(kind) for name, kind in wanted.items() if folded(name) not in there}
        if folded(sql.DELETED_AT) not in there:
            missing[sql.DELETED_AT] = INSTANT_TYPE
        self._check_extra(wanted, there)
        changed = self._wider_types(wanted, there)
        for column in sorted(missing):
            self._connection.execute(sql.add_column(self._tag, column, missing[column]))
        if changed:
            self._change_types(changed)
        if missing or changed:
            self._keep(Bookkeeping())

    def _wider_types(self, wanted: dict[str, Any], there: dict[str, Any]) -> dict[str, str]:
        """The columns that need another type to hold what the row type has more.

        Raises:
            StorageError: a column has a type that would change values.
        """
        found: dict[str, str] = {}
        for name, kind in wanted.items():
            own = there.get(folded(name), kind)
            both = type_for_both(own, kind, self._declared[name])
            if both is None:
                raise self._altered(name, type_text(own), type_text(kind))
            if both != type_text(own):
                found[name] = both
        deleted_at = there.get(folded(sql.DELETED_AT))
        if deleted_at is not None and type_text(deleted_at) != INSTANT_TYPE:
            raise self._altered(sql.DELETED_AT, type_text(deleted_at), INSTANT_TYPE)
        return found

    def _check_extra(self, wanted: dict[str, Any], there: dict[str, Any]) -> None:
        """Refuse to update rows without the column ``extra`` that they were written with.

        Raises:
            StorageError: the table has the column, and the option is not given.
        """
        own = there.get(EXTRA_COLUMN)
        if own is not None and own.id == "varchar" and EXTRA_COLUMN not in map(folded, wanted):
            raise StorageError(
                f"the table {self._tag} in {self._path} has a column {EXTRA_COLUMN}, which would keep old "
                f'values; pass extra="json" to update it, or drop or rename the column'
            )

    def _altered(self, name: str, own: str, wanted: str) -> StorageError:
        advice = "restore the type (ALTER TABLE), or drop the table, and put other types into a view"
        if (own, wanted) == (DATE_TYPE, INSTANT_TYPE):
            advice = f"pass date_columns=('{name}',) if a sync with that option made it; else {advice}"
        elif (own, wanted) == (INSTANT_TYPE, DATE_TYPE):
            advice = f"leave {name} out of date_columns, or drop the table, so that all rows are read again"
        return StorageError(
            f"column {name} of the table {self._tag} in {self._path} has the type {own} instead of {wanted}, "
            f"so values would be changed; {advice}"
        )

    def _exists(self, table: str) -> bool:
        return bool(self._rows(sql.has_table(), table))

    def _keep(self, keep: Bookkeeping) -> None:
        self._connection.execute(sql.UPDATE_STATE, [*keep, self._tag])

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
        if self._wal.exists() and self._wal.stat().st_size > MAX_WAL_BYTES:
            self._connection.execute(f"CHECKPOINT {sql.ATTACHED}")
            self._make_log_private()

    def _make_log_private(self) -> None:
        """DuckDB makes a log by the umask, with its first write: let that be one without clients' data."""
        self._connection.execute(sql.TOUCH_STATE)
        with contextlib.suppress(FileNotFoundError):
            restrict_to_owner(self._wal)

    @contextlib.contextmanager
    def _errors(self) -> Generator[None]:
        """What DuckDB or the disk refuses, as an ``StorageError`` that names the file."""
        try:
            yield
        except (duckdb.Error, OSError) as fault:
            text = str(fault)
            if any(sign in text for sign in IN_USE):
                raise StorageError(f"{self._path} is in use by another sync or program") from fault
            raise StorageError(f"DuckDB cannot keep {self._tag} in {self._path}: {text}") from fault


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC
