"""Searches that fail if their page contains certain rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiwyn_async.sandbox import Sandbox


def ids(box: Sandbox, table: str = "invoices") -> list[int]:
    """Return all keys of a table, ascending."""
    return [int(str(row[0])) for row in box.query(f"SELECT id FROM {table} ORDER BY id")]


def bounds(body: Any) -> tuple[int | None, int | None]:
    """Return the range of keys that a search requests."""
    where = body.get("where") or {}
    after, until = None, None
    for condition in where.get("_and", [where]):
        after = condition.get("id", {}).get("_gt", after)
        until = condition.get("id", {}).get("_lte", until)
    return after, until


def page_contains(box: Sandbox, bad: set[int]) -> Callable[[object], bool]:
    """Return whether a search's response would contain one of these rows."""
    rows = ids(box)

    def match(body: Any) -> bool:
        after, until = bounds(body)
        matching = [key for key in rows if (after is None or key > after) and (until is None or key <= until)]
        if body["orderBy"] == [{"id": "desc"}]:
            matching.reverse()
        return not bad.isdisjoint(matching[: body["pageSize"]])

    return match
