"""Requests for one row: the newest change, or one row by its key, with the server's clock."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from aiwyn_async._http.messages import Request, Response, encode_json, timestamp_of
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.timestamps import is_instant
from aiwyn_async._pull.keys import key_and_instant
from aiwyn_async.errors import PaginationError
from aiwyn_async.models.base import Id

__all__ = ["FirstRow", "ServerClock", "first_row"]

GRACE: Final = timedelta(minutes=5)
LOCAL_CLOCK_GRACE: Final = timedelta(hours=1)
FEW_ROWS: Final = 25


class ServerClock(NamedTuple):
    """The time at which a response was sent.

    Attributes:
        now: by the server's clock, or by this machine's if the response has no ``Date``.
        is_servers: it is the server's.
    """

    now: datetime
    is_servers: bool

    @property
    def latest(self) -> datetime:
        """The latest instant that a row can have been changed at, with some grace."""
        return self.now + (GRACE if self.is_servers else LOCAL_CLOCK_GRACE)

    def __str__(self) -> str:
        whose = "the server's clock" if self.is_servers else "this machine's clock (the server sends no Date)"
        return f"{whose}, {self.now:%Y-%m-%dT%H:%M:%SZ}"


class FirstRow(NamedTuple):
    """The first row of a query: its key, its instant as on the wire, the server's count (total) and clock.

    ``key`` and ``at`` are None if there is no row. ``is_readable`` is False if rows before it do not decode.
    """

    key: Id | None
    at: str | None
    total: int | None
    clock: ServerClock
    is_readable: bool = True


async def first_row(session: Session, query: Query, column: str) -> FirstRow:
    """Request the first row of a query in its order.

    Raises:
        PaginationError: the column does not hold instants.
        RequestError: the server cannot be read.
    """
    reader: PageReader[Any] = PageReader(session, query, key_and_instant(query.key, column), "skip")
    page = await _page(session, reader, query, 1)
    if _first_dated(page) is None:  # no row, or an odd one: an empty page is not believed at once
        page = await _page(session, reader, query, FEW_ROWS)
    rows, clock = page.rows.rows, _clock_of(session, page.response)
    row = _first_dated(page)
    if rows and row is None:
        raise PaginationError(f"{column} of {query.path} holds no ISO 8601 date-time, so it tells no changes")
    is_readable = not page.rows.bad and (not rows or row is rows[0])
    if row is None:
        return FirstRow(None, None, page.rows.count, clock, is_readable)
    return FirstRow(row.key, row.instant, page.rows.count, clock, is_readable)


def _first_dated(page: DecodedPage[Any]) -> Any:
    """The first row whose instant is one, or is null."""
    return next((row for row in page.rows.rows if row.instant is None or is_instant(row.instant)), None)


async def _page(session: Session, reader: PageReader[Any], query: Query, size: int) -> DecodedPage[Any]:
    body = encode_json(query.fields | {query.page_size_key: size})
    request = Request(method="POST", path=query.path, body=body)
    return await reader.read(await session.call(request), functools.partial(session.call, request))


def _clock_of(session: Session, response: Response) -> ServerClock:
    sent_at = timestamp_of(response.headers.get("Date", ""))
    if sent_at is None:
        return ServerClock(datetime.fromtimestamp(session.config.clock.time(), UTC), is_servers=False)
    return ServerClock(datetime.fromtimestamp(sent_at, UTC), is_servers=True)
