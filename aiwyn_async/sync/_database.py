"""A DuckDB file opened for writing: connection, transactions and errors.

Blocking; called in a thread.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb

from aiwyn_async._core.duckdb_sql import (
    HEADER_OFFSETS,
    HEADER_SIZE,
    HELD,
    IN_USE,
    FileId,
    attach_existing,
    attach_new,
    check_held_once,
    connect_in_memory,
    content_ids,
    explain,
    file_id,
    is_database,
    is_held,
)
from aiwyn_async._core.files import OTHER_DATABASE, disk_errors, restrict_to_owner, why_no_folder
from aiwyn_async.errors import ConfigurationError, StorageError
from aiwyn_async.export._formats import FILE_SUFFIXES
from aiwyn_async.export._target import logs_beside
from aiwyn_async.sync import _statements as sql

OTHER_FORMATS: Final = frozenset(
    {
        *(".arrow", ".avro", ".csv", ".feather", ".gz", ".ipc", ".json", ".jsonl", ".ndjson", ".orc"),
        *(".parquet", ".pq", ".sqlite", ".sqlite3", ".tsv", ".xls", ".xlsx", ".zip", ".zst"),
    }
)
# DuckDB takes such a prefix as memory or as the extension of another database, as in md:firm or sqlite:x.db.
# One letter is a Windows drive.
PREFIX: Final = re.compile(r":memory:|\w{2,}:", re.ASCII)
MIN_FILE_SIZE: Final = HEADER_OFFSETS[-1] + HEADER_SIZE
MAX_LOG_BYTES: Final = 64 * 1024 * 1024
MAX_LOG_START: Final = 1024 * 1024
LOG_START: Final = re.compile(sql.CONTINUES.encode() + rb"([0-9a-f]{24})")
OPTIONS: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,  # nothing is downloaded
    "wal_autocheckpoint": "1TB",  # transaction() writes the log into the file instead
    # A commit or a checkpoint that lacks memory can damage the file, or leave all rows in its log. Changing
    # scattered rows of ten million needs half of this for their keys, which cannot be spilled to disk.
    "memory_limit": "512MB",
    "threads": 1,
    "preserve_insertion_order": False,
}


class DatabaseFile:
    """A DuckDB file that this process writes.

    The file and its log hold clients' data, so their mode is 0600.

    Args:
        path: the file; it is created if it does not exist.

    Raises:
        ConfigurationError: the path does not name a file, or it names one of another format.
    """

    def __init__(self, path: Path) -> None:
        self._held: FileId | None = None
        if not path.name:
            raise ConfigurationError(f"{str(path)!r} is not a file name; pass a path such as firm.duckdb")
        if PREFIX.match(str(path)):
            raise ConfigurationError(
                f"DuckDB takes {path} as memory or as another database, not as a file; "
                "pass a path such as firm.duckdb"
            )
        if path.suffix.lower() in OTHER_FORMATS:
            is_exported = path.suffix.lower() in FILE_SUFFIXES
            raise ConfigurationError(
                f"{path} does not have the suffix of a DuckDB database; sync to a file such as "
                f"{path.with_suffix('.duckdb').name}"
                + (f", or use export() for a {path.suffix} file" if is_exported else f"; {OTHER_DATABASE}")
            )
        self.path = path
        self._place = path
        self._content: BinaryIO | None = None

    @functools.cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect_in_memory(OPTIONS)  # takes 10 to 20 ms

    @property
    def _log(self) -> Path:
        return self._place.with_name(f"{self.path.name}.wal")

    @property
    def _spill(self) -> Path:
        return self._place.with_name(f".{self.path.name}.spill")

    def open(self) -> None:
        """Open or create the file.

        Raises:
            StorageError: the file cannot be opened, is in use, or is not a DuckDB database.
        """
        with disk_errors(self.path, "open"):
            self._place = self.path.absolute()  # the program may change its folder
            is_new = self._check_target()
        with self.errors():
            self._attach(is_new=is_new)
            # To close it earlier than DuckDB's own would release the lock.
            self._content = self.path.open("rb", buffering=0)
            self._hold(file_id(self.path.stat()))
            # What exceeds the memory limit is clients' data too; by default it goes to the current directory.
            self._spill.mkdir(mode=0o700, exist_ok=True)
            self._connection.execute("SET temp_directory = ?", [str(self._spill)])
            if not self.fetch(sql.HAS_ANY_TABLE):
                # New, or left by a run that was killed before it restricted the file.
                restrict_to_owner(self.path)

    def _hold(self, identity: FileId) -> None:
        """Keep others of this process from opening the file, also while DuckDB creates or replays it."""
        HELD.append(identity)
        self._release()
        self._held = identity

    def _release(self) -> None:
        if self._held is not None:
            HELD.remove(self._held)
            self._held = None

    def _attach(self, *, is_new: bool) -> None:
        attach = attach_new if is_new else attach_existing
        identity = str(self.path.resolve()) if is_new else file_id(self.path.stat())
        self._hold(identity)
        check_held_once(identity)
        try:
            self._connection.execute(attach(str(self.path), sql.ATTACHED))
        except duckdb.Error as error:
            is_in_use = any(sign in str(error) for sign in IN_USE)
            has_content = is_new or self.path.stat().st_size >= MIN_FILE_SIZE or logs_beside(self.path)
            if is_in_use or has_content:
                raise
            # A run was killed, or the disk was full, while the file was created; it has no content.
            self.path.unlink()
            self._hold(str(self.path.resolve()))
            self._connection.execute(attach_new(str(self.path), sql.ATTACHED))

    def _check_target(self) -> bool:
        path = self.path
        if reason := why_no_folder(path.parent):
            raise StorageError(reason)
        if path.is_symlink() or path.is_dir():
            raise StorageError(f"{path} is a folder or a symbolic link; use the path of a file")
        if path.exists():
            # To read the start of a pipe or a terminal would wait. A full disk can leave an empty file.
            if not path.is_file() or not (path.stat().st_size == 0 or is_database(path)):
                raise StorageError(f"{path} is not a DuckDB database; use another file or remove it")
            self._check_log()
            return False
        for log in logs_beside(path):
            raise StorageError(
                f"{log} is the log of an earlier database with this name, which DuckDB would replay "
                "into the new one; remove it or use another file"
            )
        return True

    def _check_log(self) -> None:
        """Refuse the log of a killed run beside a restored file, which lacks the changes before it."""
        if not self._log.exists() or is_held(self.path):
            return
        with self._log.open("rb") as log:  # read first, since another sync may write a checkpoint now
            match = LOG_START.search(log.read(MAX_LOG_START))
        with self.path.open("rb") as file:
            is_known = match is None or match[1].decode() in content_ids(file)
        if not is_known:
            raise StorageError(
                f"{self._log} continues a later version of {self.path}, which was restored from a backup or "
                "replaced; remove the log, and the next sync reads what changed since the backup"
            )

    def close(self) -> None:
        """Write the log into the file and release it."""
        try:
            if "_connection" in vars(self):
                self._connection.close()
        finally:
            if self._content is not None:
                self._content.close()
                shutil.rmtree(self._spill, ignore_errors=True)
            self._release()  # at the end: to close the content would release the lock of the next user

    def __del__(self) -> None:
        """Release the file of a sync that was dropped with its event loop, in which nothing can close it."""
        if self._held is not None:
            self.close()

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def fetch(self, statement: str, *values: str | None) -> list[Any]:
        return self._connection.execute(statement, list(values)).fetchall()

    def column_types(self, relation: str) -> Iterable[tuple[str, Any]]:
        """Return the names and types of the columns of a table or of the batch."""
        result: Any = self._connection.sql(sql.column_types(relation))
        return zip(result.columns, result.types, strict=True)

    @contextlib.contextmanager
    def batch(self, rows: Any) -> Generator[None]:
        """Make an Arrow table available to statements as the batch."""
        self._connection.register(sql.BATCH, rows)
        try:
            yield
        finally:
            # A failed transaction unregisters it itself; the error here would only say that it failed.
            with contextlib.suppress(duckdb.Error):
                self._connection.unregister(sql.BATCH)

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Commit at the end, or roll back on an error."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._check_in_place()
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._connection.execute(f"CHECKPOINT {sql.ATTACHED}")
            self.restrict_log()

    def _check_in_place(self) -> None:
        """Refuse to commit to a file that no longer has its name: nobody would find the rows.

        Raises:
            StorageError: the file was removed or replaced.
        """
        file = None if self._content is None else os.fstat(self._content.fileno())
        if file is None or not self._place.exists() or file_id(file) != file_id(self._place.stat()):
            raise StorageError(f"{self.path} was removed or replaced during the sync; run the sync again")

    def restrict_log(self) -> None:
        """Create the log with a write that contains no client data, and restrict its mode.

        DuckDB creates the log with the mode of the umask. The write notes which file the log belongs to.
        """
        if self._content is not None:
            self._connection.execute(sql.comment_state(content_ids(self._content)[0]))
        with contextlib.suppress(FileNotFoundError):
            restrict_to_owner(self._log)

    @contextlib.contextmanager
    def errors(self) -> Generator[None]:
        """Convert errors of DuckDB and of the disk to ``StorageError``."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise StorageError(explain(error, self.path, f"DuckDB cannot update {self.path}")) from error
