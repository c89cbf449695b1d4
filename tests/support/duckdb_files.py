"""What a DuckDB file contains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

__all__ = ["attach_elsewhere", "query", "stored_notes"]


def attach_elsewhere(path: Path) -> str:
    """Open a database in another process, and return the error."""
    attach = f"import duckdb; duckdb.connect().execute(\"ATTACH '{path}' AS other\")"
    return subprocess.run([sys.executable, "-c", attach], capture_output=True, text=True, check=False).stderr


def query(path: Path, sql: str) -> list[Any]:
    """Return the rows of a query."""
    with duckdb.connect(str(path), read_only=True) as file:
        return file.execute(sql).fetchall()


def stored_notes(path: Path) -> dict[Any, str]:
    """Return the notes of all invoices that are not marked as deleted, by key."""
    return dict(query(path, "SELECT id, notes FROM invoices WHERE _deleted_at IS NULL"))
