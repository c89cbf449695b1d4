"""Searches that fail because of a row that they would bring, however they are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiwyn_async.sandbox import Sandbox


def ids(box: Sandbox, table: str = "invoices") -> list[int]:
    """All keys of a table, rising."""
    return [int(str(row[0])) for row in box.query(f"SELECT id FROM {table} ORDER BY id")]


def bounds(body: Any) -> tuple[int | None, int | None]:
    """The range of keys that a search asks for."""
    where = body.get("where") or {}
    after, until = None, None
    for condition in where.get("_and", [where]):
        after = condition.get("id", {}).get("_gt", after)
        until = condition.get("id", {}).get("_lte", until)
    return after, until


def would_bring(box: Sandbox, bad: set[int]) -> Callable[[object], bool]:
    """Whether a search's answer would hold one of these rows."""
    rows = ids(box)

    def match(body: Any) -> bool:
        after, until = bounds(body)
        found = [key for key in rows if (after is None or key > after) and (until is None or key <= until)]
        if body["orderBy"] == [{"id": "desc"}]:
            found.reverse()
        return not bad.isdisjoint(found[: body["pageSize"]])

    return match
