"""A server with key filters and pages, each of whose rules can be broken."""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt
from typing import Any

import msgspec
from aiohttp import web

__all__ = ["NAME", "Row", "ServerModel", "matcher", "numbered"]

Row = dict[str, Any]
NAME = "deid_invoice"


class ServerModel:
    """A server with key filters and pages. Each attribute can break one rule."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.cap = 1000
        self.includes_bound = False
        self.count: Callable[[int, int], int | None] = lambda matching, _shown: matching
        self.order: Callable[[Row], Any] = lambda row: (row["id"] is None, row["id"] or 0)
        self.error_status: Callable[[dict[str, Any]], int] = lambda _body: 0
        self.matching: Callable[[dict[str, Any]], list[Row]] = lambda body: list(
            filter(matcher(body, ge if self.includes_bound else gt), self.rows)
        )
        self.before_each: Callable[[], None] = lambda: None
        self.bodies: list[dict[str, Any]] = []

    async def respond(self, request: web.Request) -> web.Response:
        """Return a page."""
        body = await request.json()
        self.bodies.append(body)
        self.before_each()
        if status := self.error_status(body):
            return web.Response(status=status, body=b"{}")
        descending = body.get("orderBy") == [{"id": "desc"}]
        rows = sorted(self.matching(body), key=self.order, reverse=descending)
        size = min(self.cap, body["pageSize"])
        first = body.get("page", 0) * size
        shown = rows[first : first + size]
        envelope: dict[str, Any] = {NAME: shown}
        count = self.count(len(rows), len(shown))
        if count is not None:
            envelope[f"{NAME}_aggregate"] = {"aggregate": {"count": count}}
        return web.Response(body=msgspec.json.encode(envelope), content_type="application/json")


def matcher(body: dict[str, Any], is_above: Callable[[Any, Any], bool]) -> Callable[[Row], bool]:
    """Return whether a row has a key in the range of a body."""
    where = body.get("where") or {}
    bounds = [each["id"] for each in where.get("_and", [where]) if "id" in each]

    def matches(row: Row) -> bool:
        key = row["id"]
        return not bounds or (
            key is not None
            and all(is_above(key, each["_gt"]) for each in bounds if "_gt" in each)
            and all(key <= each["_lte"] for each in bounds if "_lte" in each)
            and all(key != each["_neq"] for each in bounds if "_neq" in each)
        )

    return matches


def numbered(*keys: Any) -> list[Row]:
    """Return rows with these keys."""
    return [{"id": key} for key in keys]
