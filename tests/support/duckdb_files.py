"""What a DuckDB file contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

__all__ = ["query", "stored_notes"]


def query(path: Path, sql: str) -> list[Any]:
    """Return the rows of a query."""
    with duckdb.connect(str(path), read_only=True) as file:
        return file.execute(sql).fetchall()


def stored_notes(path: Path) -> dict[Any, str]:
    """Return the notes of all invoices that are not marked as deleted, by key."""
    return dict(query(path, "SELECT id, notes FROM invoices WHERE _deleted_at IS NULL"))
