"""A model of a server with one list of rows, which paginates correctly or not."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from aiwyn_async._http.concurrency import ConcurrencyLimiter
from aiwyn_async._http.messages import Request, Response
from aiwyn_async._http.observation import ReadObservation
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async.errors import Attempt
from aiwyn_async.testing import FakeClock

Count = Literal["exact", "absent", "capped", "wrong", "null"]
Row = dict[str, Any]


class ListModel:
    """A server of one list of rows, which records the requests."""

    def __init__(
        self,
        keys: list[Any],
        *,
        skips: bool = False,
        clamp: int = 10_000,
        min_size: int = 1,
        count: Count = "exact",
        rows: list[Row] | None = None,
    ) -> None:
        self.rows: list[Row] = [{"id": key} for key in keys] if rows is None else rows
        self.skips = skips
        self.clamp = clamp
        self.min_size = min_size
        self.count = count
        self.requests: list[dict[str, Any]] = []
        self.after_each: Callable[[ListModel], None] = lambda _: None
        self.pages: Callable[[dict[str, Any]], list[Row]] = self._page
        self.limiter = ConcurrencyLimiter(8, FakeClock())

    def observe_read(self, path: str) -> ReadObservation:
        return ReadObservation(None, path, cast("Any", None))

    async def call(self, request: Request) -> Response:
        fields = msgspec.json.decode(request.body or b"")
        self.requests.append(fields)
        matching = self.pages(fields)
        body: Row = {"items": matching} | self._counted(fields)
        self.after_each(self)
        await asyncio.sleep(0)
        return Response(200, {}, msgspec.json.encode(body), 0.0, (Attempt("200", 0.0),))

    def _page(self, fields: dict[str, Any]) -> list[Row]:
        size = max(self.min_size, min(fields["pageSize"], self.clamp))
        first = fields["page"] if self.skips else fields["page"] * size
        return self.rows[first : first + size]

    def _counted(self, fields: dict[str, Any]) -> Row:
        del fields
        number = len(self.rows)
        match self.count:
            case "exact":
                return {"total": number}
            case "capped":
                return {"total": min(number, 7)}
            case "wrong":
                return {"total": number + 3}
            case "null":
                return {"total": None}
            case _:
                return {}

    def pager(self, page_size: int, **options: Any) -> Pager[Row]:
        query = Query(path="/things", fields={}, page_style=options.pop("page_style", "auto"))
        return Pager(
            cast("Session", self), query, dict, ReadOptions.build("list", page_size=page_size, **options)
        )


async def keys_of(pager: Pager[Row]) -> list[Any]:
    return [row["id"] async for row in pager]
