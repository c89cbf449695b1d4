"""A server whose response to one page request is wrong, once."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, Pager, PaginationError, Pull
from aiwyn_async.testing import FakeClock

__all__ = ["CONTENTS", "Content", "OneFault", "keys_received", "numbered", "serving"]

Row = dict[str, Any]
Content = Literal["empty", "short", "headless", "holed", "repeated", "stale", "swapped"]
CONTENTS: tuple[Content, ...] = ("empty", "short", "headless", "holed", "repeated", "stale", "swapped")
NAME = "deid_invoice"


class OneFault:
    """Rows on loopback, listed by page number or searched by key.

    empty: no rows. short, headless, holed: rows are cut off its end, its beginning, or from within.
    repeated: the response to the request before. stale: an earlier response, to the first request.
    swapped: the response to the next request, which receives this one's.

    Args:
        rows: all rows.
        content: what is wrong.
        at: the number of the faulty response, from 0; None for none.
        counted: responses have a count.
        cap: maximum of rows per page, whatever is requested.
    """

    def __init__(
        self, rows: list[Row], content: Content | None, at: int | None, *, counted: bool, cap: int = 1000
    ) -> None:
        self.rows = rows
        self.content = content
        self.at = at
        self.counted = counted
        self.cap = cap
        self.counts_pages = False
        """Counts are those of the page alone."""
        self.counts_cut_pages = False
        """The count of a page that is cut is that of its rows."""
        self.requests = 0
        self.missing: set[int] = set()
        """Keys left out of every page, which is shorter then."""
        self.only_as_last: set[int] = set()
        """Keys shown only to a request for the last row."""
        self._served: list[bytes] = []
        self._held_page: bytes | None = None
        self._repeats: list[tuple[int, int]] = []

    def repeat(self, *, page: int, instead_of: int, times: int) -> None:
        """Respond to requests of a page with another one, so many times."""
        self._repeats = [(instead_of, page)] * times

    async def respond(self, request: web.Request) -> web.Response:
        """Respond with a page."""
        fields = await request.json()
        if self._repeats and fields.get("page") == self._repeats[-1][0]:
            fields["page"] = self._repeats.pop()[1]
        body = self._faulty_page(fields, self.requests)
        self.requests += 1
        return web.Response(body=body, content_type="application/json")

    def application(self) -> web.Application:
        """Return an application that responds to every path."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self.respond)
        return app

    def _faulty_page(self, fields: dict[str, Any], number: int) -> bytes:
        right = self._page(fields)
        self._served.append(right)
        if self._held_page is not None and number == (self.at or 0) + 1:
            return self._held_page
        if number != self.at or self.content is None:
            return right
        return self._changed(fields, right)

    def _changed(self, fields: dict[str, Any], right: bytes) -> bytes:
        cut: dict[str, Callable[[list[Row]], list[Row]]] = {
            "empty": lambda _: [],
            "short": lambda rows: rows[: len(rows) * 2 // 3],
            "headless": lambda rows: rows[len(rows) // 3 :],
            "holed": lambda rows: rows[: len(rows) // 3] + rows[-(len(rows) // 3) :] if len(rows) > 2 else [],
        }
        if self.content in cut:
            page = msgspec.json.decode(right)
            rows = page[NAME] = cut[self.content](page[NAME])
            if self.counts_cut_pages or (self.counts_pages and not rows):
                page |= _counted(len(rows))
            return msgspec.json.encode(page)
        if self.content == "swapped":
            self._held_page = right
            return self._page(self._next_of(fields, right))
        return self._served[-2 if self.content == "repeated" else 0] if len(self._served) > 1 else right

    def _next_of(self, fields: dict[str, Any], right: bytes) -> dict[str, Any]:
        """Return the fields that the next request probably has."""
        if "orderBy" not in fields:
            return fields | {"page": fields["page"] + 1}
        keys = [row["id"] for row in msgspec.json.decode(right)[NAME]]
        if not keys:
            return fields
        own = fields.get("where")
        beyond: dict[str, Any] = {"id": {"_gt": keys[-1]}}
        return fields | {"where": {"_and": [own, beyond]} if own else beyond}

    def _page(self, fields: dict[str, Any]) -> bytes:
        comparisons = list(_comparisons(fields.get("where") or {}))
        assert {operator for operator, _ in comparisons} <= {"_gt", "_lte"}
        after = max((key for operator, key in comparisons if operator == "_gt"), default=-math.inf)
        until = min((key for operator, key in comparisons if operator == "_lte"), default=math.inf)
        rows = [row for row in self.rows if after < row["id"] <= until]
        if "orderBy" in fields:
            rows.sort(key=lambda row: row["id"], reverse=fields["orderBy"] == [{"id": "desc"}])
        size = min(self.cap, fields["pageSize"])
        first = fields.get("page", 0) * size
        shown = rows[first : first + size]
        hidden = self.missing if size == 1 else self.missing | self.only_as_last
        page: dict[str, Any] = {NAME: [row for row in shown if row["id"] not in hidden]}
        if self.counted:
            page |= _counted(len(shown if self.counts_pages else rows))
        return msgspec.json.encode(page)


def _counted(count: int) -> dict[str, Any]:
    return {f"{NAME}_aggregate": {"aggregate": {"count": count}}}


def _comparisons(where: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the operators and operands of a condition on the key."""
    for name, value in where.items():
        if name == "_and":
            for each in value:
                yield from _comparisons(each)
        else:
            yield from value.items()


def numbered(keys: Iterable[int]) -> list[Row]:
    """Return rows with these keys."""
    return [{"id": key} for key in keys]


@asynccontextmanager
async def serving(server: OneFault, clock: FakeClock) -> AsyncGenerator[AiwynClient]:
    """A client of such a server."""
    async with (
        TestServer(server.application()) as running,
        AiwynClient(base_url=str(running.make_url("")).rstrip("/"), token="t", clock=clock) as client,
    ):
        yield client


async def keys_received(read: Pager[dict[str, Any]] | Pull[dict[str, Any]]) -> tuple[list[Any], bool]:
    """Return the keys received, and whether the read is reported as complete."""
    keys: list[Any] = []
    try:
        async for row in read:
            keys.append(row["id"])  # noqa: PERF401 (an error ends it)
    except PaginationError:
        return keys, False
    assert read.report.complete == (not read.report.problems())
    return keys, read.report.complete
