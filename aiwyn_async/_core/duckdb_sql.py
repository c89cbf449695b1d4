"""SQL shared by all code that writes DuckDB files. Pure: text in, text out."""

from __future__ import annotations

from typing import Final

STORAGE_VERSION: Final = "v1.2.0"
"""Of new files; readable by DuckDB 1.2 and later."""

IN_USE: Final = ("Could not set lock", "Unique file handle conflict", "already attached")
"""Words of DuckDB's errors if a file is in use; the class of those errors differs between its releases."""


def identifier(text: str) -> str:
    """Quote an SQL identifier."""
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def attach_new(path: str, alias: str) -> str:
    """Create a file, beside the connection's own memory."""
    return f"{attach_old(path, alias)} (STORAGE_VERSION '{STORAGE_VERSION}')"


def attach_old(path: str, alias: str) -> str:
    """Open a file that is there, beside the connection's own memory."""
    escaped = path.replace("'", "''")
    return f"ATTACH '{escaped}' AS {alias}"
