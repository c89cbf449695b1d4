"""What a pipeline of dlt loaded, and what the sandbox has."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from aiwyn_async.sandbox import Sandbox
from duckdb_files import query
from secrecy import chain_of

__all__ = ["cause_in", "kinds", "loaded_now", "loaded_rows", "sandbox_rows"]

ErrorT = TypeVar("ErrorT", bound=BaseException)

MONEY = {"invoices": ("total_amount", "total_cents"), "payments": ("amount", "amount_cents")}


def sandbox_rows(box: Sandbox, resource: str) -> dict[int, Decimal]:
    """Return the amount of each row by id."""
    rows = box.query(f"SELECT id, {MONEY[resource][1]} FROM {resource}")
    return {int(str(key)): Decimal(str(cents)) / 100 for key, cents in rows}


def loaded_rows(path: Path, resource: str) -> dict[int, Decimal]:
    rows = query(path, f"SELECT id, {MONEY[resource][0]} FROM books.{resource}")
    assert len(rows) == len({key for key, _ in rows})
    return dict(rows)


def kinds(path: Path, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in query(path, f"DESCRIBE books.{table}")}


def loaded_now(pipeline: Any) -> dict[str, int]:
    """Return the number of rows that the last run loaded, by table."""
    counts: dict[str, int] = pipeline.last_trace.last_normalize_info.row_counts
    return {table: count for table, count in counts.items() if not table.startswith("_dlt")}


def cause_in(error: BaseException, kind: type[ErrorT]) -> ErrorT:
    return next(one for one in chain_of(error) if isinstance(one, kind))
