"""The SQLite file of a firm, opened with fast settings and checked for reuse."""

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

_PRAGMAS = ("page_size=16384", "temp_store=MEMORY", "cache_size=-65536", "secure_delete=OFF")
# The lock of the write stays; a transaction without a change would succeed on a read-only file.
_LOCKING = ("locking_mode=EXCLUSIVE", "journal_mode=MEMORY", "user_version=1")
_WRITE_TABLES = (
    """CREATE TABLE IF NOT EXISTS records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        system_ref TEXT,
        attributes TEXT NOT NULL,
        times_applied INTEGER NOT NULL DEFAULT 1,
        UNIQUE (type, system_ref)
    )""",
    """CREATE TABLE IF NOT EXISTS record_types (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        description TEXT,
        active INTEGER NOT NULL DEFAULT 1,
        fields TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS event_subscriptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target_url TEXT NOT NULL,
        entity_types TEXT NOT NULL,
        operations TEXT NOT NULL,
        description TEXT,
        active INTEGER NOT NULL DEFAULT 1,
        secret TEXT NOT NULL
    )""",
)


def connect(location: str, *, exclusive: bool) -> sqlite3.Connection:
    """Open a database in autocommit mode, for use from any thread.

    Args:
        location: The path of its file, or ``:memory:``.
        exclusive: Lock the file for one sandbox, which writes to it even for reads.

    Raises:
        ValueError: The file cannot be written, or another sandbox uses it.
    """
    try:
        connection = sqlite3.connect(
            location, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            for pragma in (*_PRAGMAS, *(_LOCKING if exclusive else ())):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise _unusable(location, error) from error
    return connection


def _unusable(path: Path | str, error: sqlite3.OperationalError) -> ValueError:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return ValueError(f"another sandbox uses the file {path}; use another path for each")
    return ValueError(f"the sandbox file {path} cannot be written: {error}")


def create_write_tables(connection: sqlite3.Connection) -> None:
    """Create missing tables of records, record types and subscriptions."""
    connection.execute("BEGIN")
    for table in _WRITE_TABLES:
        connection.execute(table)
    connection.execute("COMMIT")


def check_file(path: Path, facts: Mapping[str, int]) -> None:
    """Check that a file holds the firm of these facts.

    Raises:
        ValueError: It holds another firm or no firm, or another sandbox uses it.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", timeout=0, uri=True)
        ) as connection:
            # A file without the entry was written before the options existed, hence without options.
            held = {"options": 0} | dict(connection.execute("SELECT key, value FROM sandbox_meta").fetchall())
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise _unusable(path, error) from error
        raise ValueError(f"{path} is not a sandbox file") from error
    for name, value in facts.items():
        if held.get(name) != value:
            raise ValueError(
                f"{path} holds a firm with {name}={held.get(name)}, not {value}; use another path"
            )
