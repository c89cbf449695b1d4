"""What all code that writes DuckDB files shares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from aiwyn_async._core.files import NO_LOCKS

MAGIC: Final = b"DUCK"
MAGIC_OFFSET: Final = 8
"""It follows the bytes of a checksum."""
STORAGE_VERSION: Final = "v1.2.0"
"""Of new files; readable by DuckDB 1.2 and later."""

IN_USE: Final = ("Could not set lock", "Unique file handle conflict", "already attached")
"""Words of DuckDB's errors if a file is in use; the class of those errors differs between its releases."""
_LACKS_LOCKS: Final = ("File locks are not supported", *map(os.strerror, NO_LOCKS))


def lacks_locks(error: str) -> bool:
    """Return whether DuckDB says that the file system has no locks; the file is not in use then."""
    return IN_USE[0] in error and any(reason in error for reason in _LACKS_LOCKS)


def is_database(path: Path) -> bool:
    """Return whether a file is a DuckDB database. DuckDB opens files of other formats as views."""
    with path.open("rb") as file:
        return file.read(MAGIC_OFFSET + len(MAGIC))[MAGIC_OFFSET:] == MAGIC


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
