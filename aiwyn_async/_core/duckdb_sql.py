"""What all code that writes DuckDB files shares."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb

from aiwyn_async._core.files import NO_LOCKS
from aiwyn_async.errors import ConfigurationError

MAGIC: Final = b"DUCK"
MAGIC_OFFSET: Final = 8
"""It follows the bytes of a checksum."""
HEADER_OFFSETS: Final = (4096, 8192)
HEADER_SIZE: Final = 4096
"""A checkpoint writes the next content of the file, and then replaces the older one of two headers."""
STORAGE_VERSION: Final = "v1.2.0"
"""Of new files; readable by DuckDB 1.2 and later."""

IN_USE: Final = ("Could not set lock", "Unique file handle conflict", "already attached")
"""Words of DuckDB's errors if a file is in use; the class of those errors differs between its releases."""
FileId = tuple[int, int] | str
"""A file, or its path while it is created. Both are compared without a switch to another thread."""
HELD: Final[list[FileId]] = []
"""The database files that this process opens for writing, once per user."""
_LACKS_LOCKS: Final = ("File locks are not supported", *map(os.strerror, NO_LOCKS))


def connect_in_memory(options: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open a database in memory which, unlike by default, writes no progress bar to stdout in a notebook."""
    connection = duckdb.connect(config=options)
    with contextlib.suppress(duckdb.InvalidInputException):  # a notebook without ipywidgets, which shows none
        connection.execute("SET enable_progress_bar = false")
    return connection


def explain(error: Exception, path: Path, otherwise: str) -> str:
    """Return why DuckDB did not open or write a file: no locks, another user, or its own words."""
    text = str(error)
    if IN_USE[0] in text and any(reason in text for reason in _LACKS_LOCKS):
        return f"the file system of {path} has no locks, which DuckDB needs; use another disk"
    if any(sign in text for sign in IN_USE):
        return f"{path} is in use by another program or sync; wait until it has finished, or close it there"
    return f"{otherwise}: {text}"


def normalize(name: str) -> str:
    """Return a name as DuckDB compares it: ASCII letters in lower case."""
    return name.encode().lower().decode()


def check_names_differ(columns: Iterable[str]) -> None:
    """Refuse names of columns that DuckDB takes for the same."""
    names = list(columns)
    counts = Counter(map(normalize, names))
    if same := [name for name in names if counts[normalize(name)] > 1]:
        raise ConfigurationError(
            f"columns {' and '.join(map(repr, same))} differ only in case, which DuckDB ignores; "
            "rename a field of the row type, or export to a .parquet or .jsonl file"
        )


def is_database(path: Path) -> bool:
    """Return whether a file is a DuckDB database. DuckDB opens files of other formats as views.

    A file that this process holds is not opened, since to close it would release DuckDB's lock.
    """
    if is_held(path):
        return True
    with path.open("rb") as file:
        return file.read(MAGIC_OFFSET + len(MAGIC))[MAGIC_OFFSET:] == MAGIC


def is_held(path: Path) -> bool:
    """Return whether this process has a database file open for writing, or creates it."""
    return str(path.resolve()) in HELD or file_id(path.stat()) in HELD


@contextlib.contextmanager
def hold(path: Path) -> Generator[None]:
    """Keep others of this process from opening a database file, which is attached within this context.

    Raises:
        BlockingIOError: another one of this process has it.
    """
    identity = file_id(path.stat())
    HELD.append(identity)
    try:
        check_held_once(identity)
        yield
    finally:
        HELD.remove(identity)


def check_held_once(identity: FileId) -> None:
    """Refuse a file that another user of this process still has: to close it would release any later lock.

    Raises:
        BlockingIOError: with words of ``IN_USE``.
    """
    if HELD.count(identity) > 1:
        raise BlockingIOError(f"{IN_USE[-1]} by this process")


def file_id(status: os.stat_result) -> tuple[int, int]:
    """Return what identifies a file under any path."""
    return status.st_dev, status.st_ino


def content_ids(file: BinaryIO) -> list[str]:
    """Return what identifies the content of a database file now, and before its last checkpoint.

    A write-ahead log continues one of them.
    """
    headers: list[bytes] = []
    for offset in HEADER_OFFSETS:
        file.seek(offset)
        headers.append(file.read(HEADER_SIZE))
    # The number of the checkpoint is behind a checksum, as in the bytes before MAGIC.
    headers.sort(key=lambda header: int.from_bytes(header[8:16], "little"), reverse=True)
    return [hashlib.blake2b(header, digest_size=12).hexdigest() for header in headers]


def identifier(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def attach_new(path: str, alias: str) -> str:
    """Create a file, beside the connection's own memory."""
    return f"{attach_existing(path, alias)} (STORAGE_VERSION '{STORAGE_VERSION}')"


def attach_existing(path: str, alias: str) -> str:
    """Open an existing file, beside the connection's own memory."""
    escaped = path.replace("'", "''")
    return f"ATTACH '{escaped}' AS {alias}"
