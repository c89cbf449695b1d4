"""The bounds of one read of changes, its arguments, and the rows that must be received."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from numbers import Integral
from typing import Any, Final

import msgspec

from aiwyn_async._changes.bookmarks import Bookmark, BookmarkStore
from aiwyn_async._changes.lookup import FirstRow, ServerClock, first_row
from aiwyn_async._core.checks import as_whole, shown
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.timestamps import has_zone, instant_of, last_shown_as, shown_unit, subtract
from aiwyn_async.errors import ConfigurationError, InvalidRequestError, PaginationError
from aiwyn_async.filters._values import encode_datetime, normalize_timestamp
from aiwyn_async.models.base import Id

DEFAULT_OVERLAP: Final = timedelta(minutes=5)
"""How long after its own timestamp a row may be committed without being skipped."""
LOCAL_OVERLAP: Final = timedelta(minutes=65)
"""The same for timestamps without a zone: local clocks are set back by an hour in autumn."""
MAX_AHEAD_OF_UTC: Final = timedelta(hours=14)
"""How far a timestamp without a zone may be ahead of UTC."""


def to_wire(name: str, value: datetime | str) -> str:
    """Return a timestamp in the form of the wire: in UTC with ``Z``, or naive.

    Args:
        name: the argument, for the error.
        value: a datetime or ISO 8601 text.

    Raises:
        ConfigurationError: it is ``NaT``, or its text is not an ISO 8601 date-time.
    """
    if isinstance(value, datetime):
        return encode_datetime(value, name)
    # Not by its methods: CPython 3.11 may crash in a method of ``str`` that is called on the class itself.
    if isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        with suppress(ValueError):
            instant_of(value)
            return normalize_timestamp(value, name)
    raise ConfigurationError(f"{name} must be a datetime or ISO 8601 text, got {shown(value)}")


def to_timedelta(value: float | timedelta) -> timedelta:
    """Return an overlap, in seconds or a timedelta, as a timedelta.

    Raises:
        ConfigurationError: it is neither, or negative.
    """
    seconds: Any = value
    if isinstance(seconds, Integral) and as_whole(seconds) is None:
        seconds = -1  # numpy.timedelta64 is registered as an integer, but it is one of any unit
    try:
        overlap = seconds if isinstance(seconds, timedelta) else timedelta(seconds=float(seconds))
    except (TypeError, ValueError, OverflowError):
        overlap = timedelta(-1)
    if overlap < timedelta(0):
        raise ConfigurationError(f"overlap must be a timedelta or seconds, at least 0, got {shown(value)}")
    return overlap


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows from ``start`` to ``until``, after which ``bookmark`` is stored.

    ``start`` is None to read everything.

    Attributes:
        nulls: the second part, of rows without a timestamp; they are read separately, since their position
            in an order depends on the server.
        inner: the checkpoint of the list or pull, None at its start.
        bookmark_key: the key of the row dated at the bookmark.
        newest: the key of the newest row at the start, until it is received.
        witness: the key of the row dated at the previous bookmark, until it is received.
        before: the previous bookmark.
        counts_all: the server's count is not that of a page alone.
        notes: what a user should know although it does not make the read incomplete.
        problems: what may be missing although the read itself is proven complete.
        unproven: why the first part is not proven complete, for a read that resumes in the second.
    """

    start: str | None
    until: str | None
    bookmark: str | None
    nulls: bool = False
    inner: Checkpoint | None = None
    bookmark_key: Id | None = None
    newest: Id | None = None
    witness: Id | None = None
    before: str | None = None
    counts_all: bool = False
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()


class Bounds:
    """Requests the bounds of reads of one query.

    Args:
        session: sends the requests.
        query: without an order, and with a ``modified_at_field``.
        options: where to start without a bookmark, and how much earlier.
        store: the stored bookmark.
    """

    def __init__(self, session: Session, query: Query, options: ReadOptions, store: BookmarkStore) -> None:
        self.session = session
        self.query = query
        self._since = options.since
        self._overlap = options.overlap
        self._store = store

    async def freeze(self) -> Span:
        """Return the bounds of a new read, by the server's clock."""
        stored = await self._store.get()
        newest = await self._newest()
        dated = newest  # the newest row that is not dated in the future
        problems: tuple[str, ...] = ()
        if newest.at is not None and instant_of(newest.at) > newest.clock.latest:
            dated = await self._newest(until=_in_form_of(newest.at, newest.clock.latest))
            if _is_certainly_ahead(newest.at, newest.clock):
                stays = "the start" if dated.at is None else dated.at
                problem = (
                    f"row {newest.key} of {self.query.path} is dated {newest.at}, after {newest.clock}; the "
                    f"bookmark stays at {stays}, and later rows are read each time"
                )
                problems = (problem,)
        now = dated.clock.now
        span = Span(
            start=None,
            # A newest row that does not decode is above that bound, and must be received to be named.
            until=newest.at if newest.is_readable else None,
            bookmark=None if dated.at is None else _at_most(dated.at, now),
            bookmark_key=dated.key,
            newest=newest.key,
            counts_all=newest.counts_all,
            before=self._since if stored is None else stored.at,
            problems=problems,
        )
        if stored is None:
            return await self._from_since(span)
        return await self._from_bookmark(span, stored, now)

    async def _from_since(self, span: Span) -> Span:
        if self._since is None:
            return span
        start = subtract(self._since, self._overlap or timedelta(0))
        if span.until is None or instant_of(last_shown_as(span.until)) >= instant_of(start):
            return msgspec.structs.replace(span, start=start)
        note = (
            f"the newest change of {self.query.path}, {span.until}, is earlier than {start}, where the read "
            "starts: nothing changed since, or the server was restored"
        )
        return msgspec.structs.replace(span, start=start, newest=None, notes=(note,))

    async def _from_bookmark(self, span: Span, stored: Bookmark, now: datetime) -> Span:
        if span.bookmark is None:
            at = _at_most(stored.at, now)  # the server's clock may have been set back
            span = msgspec.structs.replace(span, bookmark=at, bookmark_key=stored.key)
            is_older = True
        else:
            is_older = instant_of(span.bookmark) < instant_of(stored.at)
        if is_older and not await self._left_condition(stored):
            note = (
                f"the newest change of {self.query.path} is older than the bookmark {stored.at}: rows were "
                "deleted or the server was restored, so all rows were read again"
            )
            return msgspec.structs.replace(span, notes=(note,))
        usual = DEFAULT_OVERLAP if has_zone(stored.at) else LOCAL_OVERLAP
        overlap = usual if self._overlap is None else self._overlap
        earlier = min(stored.at, span.bookmark or stored.at, key=instant_of)
        # A server that rounds shows an instant up to one unit too late.
        start = subtract(earlier, max(overlap, shown_unit(earlier)))
        return msgspec.structs.replace(span, start=start, witness=None if is_older else stored.key)

    async def _left_condition(self, stored: Bookmark) -> bool:
        """Return whether the row at the bookmark exists but no longer meets ``where``."""
        if stored.key is None or not self.query.fields.get("where"):
            return False
        row = await self.row(stored.key)
        return row.at is not None and instant_of(row.at) >= instant_of(stored.at)

    async def row(self, key: Id) -> FirstRow:
        """Return the row of a key as it is now, whether or not it meets the condition."""
        return await first_row(self.session, self.query_of_row(key))

    def query_of_row(self, key: Id) -> Query:
        """The query of the row with a key, whether or not it meets the condition."""
        where = {self.query.key: {"_eq": key}}
        fields = self.query.fields | {"where": where, "orderBy": [{self.query.key: "asc"}]}
        return msgspec.structs.replace(self.query, fields=fields)

    async def _newest(self, until: str | None = None) -> FirstRow:
        """The newest change, or the newest up to an instant.

        Raises:
            PaginationError: the column does not contain timestamps.
        """
        column = self.query.modified_at_field
        bounds = {"_is_null": False} | ({} if until is None else {"_lte": until})
        newest = await first_row(self.session, self.query_of({column: bounds}, {column: "desc"}))
        if newest.has_other_values and until is None:  # such as "infinity", which is later than all others
            with suppress(InvalidRequestError):  # of a column that is not one of timestamps
                newest = await self._newest(until=newest.clock.latest.isoformat())
                newest = newest._replace(is_readable=False, has_other_values=newest.at is None)
        if newest.has_other_values:
            raise PaginationError(
                f"{column} of {self.query.path} is not an ISO 8601 date-time, so changes() cannot use it"
            )
        return newest

    def query_of(self, condition: dict[str, Any], *order: dict[str, str]) -> Query:
        """The query with another condition and order, then by key."""
        own = self.query.fields.get("where")
        where = {"_and": [own, condition]} if own else condition
        order_by = [*order, {self.query.key: "asc"}]
        return msgspec.structs.replace(
            self.query, fields=self.query.fields | {"where": where, "orderBy": order_by}
        )


def _is_certainly_ahead(at: str, clock: ServerClock) -> bool:
    """Return whether an instant is in the future in every time zone that it may be of."""
    grace = timedelta(0) if has_zone(at) else MAX_AHEAD_OF_UTC
    return instant_of(at) - grace > clock.latest


def _at_most(shown: str, now: datetime) -> str:
    return _in_form_of(shown, now) if instant_of(shown) > now else shown


def _in_form_of(shown: str, moment: datetime) -> str:
    """Return an instant as text, without a zone if the shown one has none."""
    naive = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{naive}Z" if has_zone(shown) else naive


def changed_within(column: str, start: str, until: str | None) -> dict[str, Any]:
    """The condition of rows that changed from ``start`` to ``until``, both included.

    A server may show fewer digits than it compares, so all that it shows as ``until`` counts as within.
    """
    bounds = {"_gte": start} | ({} if until is None else {"_lte": last_shown_as(until)})
    return {column: bounds}
