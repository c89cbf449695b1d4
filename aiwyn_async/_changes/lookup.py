"""Requests for the key and timestamp of one row, such as the newest change."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from aiwyn_async._http.messages import Response
from aiwyn_async._http.retry_after import timestamp_of
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.timestamps import is_instant
from aiwyn_async.models.base import Id

GRACE: Final = timedelta(minutes=5)
LOCAL_CLOCK_GRACE: Final = timedelta(hours=1)
MAX_CLOCK: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""A later ``Date`` is invalid; it leaves room for the grace."""
RETRY_ROWS: Final = 25
"""Rows of the second request, if the first row has no readable timestamp."""


class ServerClock(NamedTuple):
    """The time of a response.

    Attributes:
        now: the server's ``Date``, or the time of this machine if there is none.
        is_servers: it is the server's.
    """

    now: datetime
    is_servers: bool

    @property
    def latest(self) -> datetime:
        """The latest plausible timestamp of a change, allowing for clocks that differ."""
        return self.now + (GRACE if self.is_servers else LOCAL_CLOCK_GRACE)

    def __str__(self) -> str:
        whose = "the server's clock" if self.is_servers else "this machine's clock (the server sends no Date)"
        return f"{whose}, {self.now:%Y-%m-%dT%H:%M:%SZ}"


class FirstRow(NamedTuple):
    """The first row of a query.

    Attributes:
        key: the key of the row; None without a row whose timestamp is valid or null.
        at: its timestamp, as sent. None if the row has none, or if there is no row.
        total: the server's count, or None.
        counts_all: the count is not that of the page alone.
        clock: the time of the response.
        is_readable: False if rows before it do not decode.
        has_other_values: there are rows, and the timestamp of none of them is valid or null.
    """

    key: Id | None
    at: str | None
    total: int | None
    counts_all: bool
    clock: ServerClock
    is_readable: bool = True
    has_other_values: bool = False


@functools.lru_cache(maxsize=64)
def key_and_timestamp(key: str, column: str) -> type[Any]:
    """Return a Struct of only the ``key`` and ``timestamp`` of a row."""
    fields = [
        ("key", Id | None, msgspec.field(name=key, default=None)),
        ("timestamp", Any, msgspec.field(name=column, default=None)),
    ]
    return msgspec.defstruct("KeyAndTimestamp", fields, gc=False)


async def first_row(session: Session, query: Query) -> FirstRow:
    """Request the key, and the time of the last change, of the first row of a query in its order.

    Raises:
        RequestError: a request failed after its attempts.
        PaginationError: a row does not meet a condition on ids.
    """
    row_type = key_and_timestamp(query.key, query.modified_at_field)
    reader: PageReader[Any] = PageReader(session, query, row_type, "skip")
    page = await _page(session, reader, query, 1)
    counts_all = _counts_all(page)
    if _first_dated(page) is None:  # one empty page does not prove that there is no row
        page = await _page(session, reader, query, RETRY_ROWS)
        counts_all = counts_all or _counts_all(page)
    rows, total, clock = page.rows.rows, page.rows.count, _clock_of(session, page.response)
    row = _first_dated(page)
    is_readable = not page.rows.bad and (not rows or row is rows[0])
    if row is None:
        return FirstRow(None, None, total, counts_all, clock, is_readable, has_other_values=bool(rows))
    return FirstRow(row.key, row.timestamp, total, counts_all, clock, is_readable)


def _counts_all(page: DecodedPage[Any]) -> bool:
    return (page.rows.count or 0) > max(1, len(page.keys))


def _first_dated(page: DecodedPage[Any]) -> Any:
    """Return the first row with a valid or null timestamp, or None."""
    return next((row for row in page.rows.rows if row.timestamp is None or is_instant(row.timestamp)), None)


async def _page(session: Session, reader: PageReader[Any], query: Query, size: int) -> DecodedPage[Any]:
    request = query.request({query.page_size_key: size})
    return await reader.read(await session.call(request), functools.partial(session.call, request))


def _clock_of(session: Session, response: Response) -> ServerClock:
    sent_at = timestamp_of(response.headers.get("Date", ""))
    if sent_at is None or not 0 <= sent_at < MAX_CLOCK:
        return ServerClock(datetime.fromtimestamp(session.config.clock.time(), UTC), is_servers=False)
    return ServerClock(datetime.fromtimestamp(sent_at, UTC), is_servers=True)
