"""What ``changes()`` gives: the rows that changed since a bookmark, which moves only when told to."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Generic, Never, NoReturn, TypeVar, cast, overload

import msgspec

from aiwyn_async._changes.bookmarks import Bookmark, BookmarkStore, StateBackend, server_name
from aiwyn_async._changes.lookup import FirstRow, ServerClock, first_row, key_and_instant
from aiwyn_async._changes.reconcile import plain_key
from aiwyn_async._changes.timestamps import (
    earliest,
    instant_of,
    last_shown_as,
    shown_unit,
    subtract,
    to_timedelta,
    to_wire,
)
from aiwyn_async._core.reports import ListReport, PullReport
from aiwyn_async._decoding.envelope import BadRow, OnBadRow, key_decoder
from aiwyn_async._decoding.row_decoder import row_decoder
from aiwyn_async._decoding.unreadable import UNREADABLE
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration, Owned
from aiwyn_async._pagination.page import Checkpoint, Page, fingerprint
from aiwyn_async._pagination.pager import MAX_PAGE_SIZE, Pager, check_decoding, check_integer, type_name
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.reader import key_getter
from aiwyn_async._pull.progress import Progress, to_progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async._pull.requests import ATTEMPTS_PER_PAGE, with_attempts
from aiwyn_async.errors import (
    CheckpointError,
    ConfigurationError,
    IncompleteError,
    PaginationError,
    RequestError,
)
from aiwyn_async.models.base import Id

__all__ = ["Changes", "Span", "changed_within"]

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

SUMMED_FIELDS: Final = (
    *("rows_received", "rows_yielded", "duplicates", "bad_rows", "repaired_rows", "rounded_amounts"),
    *("pages", "requests", "bytes", "seconds"),
)
DEFAULT_OVERLAP: Final = timedelta(minutes=5)
"""How late a row may be committed, after the instant it bears, and still not be missed."""


LOCAL_OVERLAP: Final = timedelta(minutes=65)
"""The same for instants without a zone: they may be of a clock that is set back by an hour in autumn."""
MAX_AHEAD_OF_UTC: Final = timedelta(hours=14)
"""Local time, which an instant without a zone may be."""


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one read covers: from ``start`` (None: everything) to ``until``; then ``bookmark`` holds.

    ``nulls`` is its second part: rows that bear no instant, walked by themselves, since where they stand in
    an order is the server's affair. ``inner`` is the checkpoint of the walk or pull, None at its beginning.

    Attributes:
        bookmark_key: the key of the row that is dated at the bookmark.
        newest: the key of the newest row at the start, until it arrives.
        witness: the key of the row that was dated at the bookmark before, until it arrives.
        before: that bookmark.
        notes: what a user should know, and what does not make the read incomplete.
        problems: what may be missing, although the read itself was proven complete.
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
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class _ChangesIteration(Generic[RowT]):
    """One use of a ``Changes``: its reads, how far it is, and what is wrong with it."""

    def __init__(self, span: Span | None, *, leaves_bad_rows: bool) -> None:
        self._leaves_bad_rows = leaves_bad_rows
        self.reads: list[Pull[RowT] | Pager[RowT]] = []
        self.span = span
        self.checkpoint: Checkpoint | None = None
        self.has_ended = False
        self.problems: list[str] = []
        """Why the read is not proven complete, beyond what the reports say."""
        self.started = time.perf_counter()

    @property
    def report(self) -> PullReport | ListReport:
        """What was received: a ``PullReport`` if all rows were read, else one ``ListReport``."""
        reports = [read.report for read in self.reads]
        pulls = [report for report in reports if isinstance(report, PullReport)]
        walks = [report for report in reports if isinstance(report, ListReport)]
        return pulls[-1] if pulls else _sum_of(walks) if walks else PullReport()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete; then the bookmark must stay."""
        if not self.has_ended:
            return ["the read did not reach its end"]
        return [doubt for read in self.reads for doubt in self._problems_of(read)] + self.problems

    @property
    def bad_rows(self) -> int:
        """Rows that do not decode, or have no key to merge them by, if such are left out."""
        reports = [read.report for read in self.reads]
        without_key = sum(report.rows_without_key for report in reports if isinstance(report, PullReport))
        return sum(report.bad_rows for report in reports) + (without_key if self._leaves_bad_rows else 0)

    def _problems_of(self, read: Pull[RowT] | Pager[RowT]) -> list[str]:
        """Return why one read is not proven complete, apart from rows that may be left out."""
        report = read.report
        if isinstance(report, ListReport) and report.missing == 0 and report.total_count is not None:
            # Rows that changed during the read have left the span.
            report = msgspec.structs.replace(report, total_count_at_start=report.total_count)
        return report.blocking_problems(allow_rows_without_key=self._leaves_bad_rows)


class Changes(Generic[RowT]):
    """A read of what changed, which has not begun: rows by ``async for``, or pages of them by ``pages()``.

    Rows come in the order of the change column, then of the key, up to the newest change that the server
    shows at the start, by its clock and not by this machine's. What changes during the read lies above that
    bound and comes the next time. Rows whose change column is null come each time: no comparison finds them.
    Without a bookmark and a ``since``, all rows come, as a ``Pull``. So they do if the server's newest change
    is older than the bookmark, or the row that was dated at the bookmark is gone or set back: the server may
    have been restored, and rows that went further back would not come otherwise. ``notes`` says so.

    The bookmark does not pass the server's clock (the ``Date`` of a response, or this machine's clock if
    there is none). Rows dated later are yielded each time; if the newest is more than 5 minutes ahead,
    ``problems()`` names it.

    The bookmark moves by ``ack()`` alone, so a crash before it repeats rows, and never skips one; rows at the
    bookmark itself come again too. Merge them by key. Deletions are not seen: see ``reconcile_keys()``.

    Each use begins anew; ``report``, ``checkpoint``, ``bookmark`` and ``bad_rows`` tell of the latest one.

    Args:
        session: sends the requests.
        query: what is asked, without an order; ``by_key``.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        column: wire name of the column that holds the instant of a row's latest change.
        since: where to begin while ``state`` has no bookmark, as a datetime or as text of the wire.
        overlap: seconds or a timedelta by which to begin earlier, for rows that are committed later than the
            instant they bear; by default 5 minutes before a bookmark of ``state`` (65 if its instants have
            no zone: local time is set back by an hour in autumn), none before ``since``.
        state: keeps the bookmark: a ``FileState`` or any object with ``get(key)`` and ``put(key, value)``.
        page_size: rows a request, 1 to 1000.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeError``, leave it out, or leave
            it out and keep it in ``bad_rows``.
        resume: a checkpoint of an earlier read of the same query: its bounds hold on.
        on_progress: called after each batch.

    Raises:
        ConfigurationError: an argument is out of bounds, or the checkpoint belongs to another query.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        *,
        column: str,
        since: datetime | str | None = None,
        overlap: float | timedelta | None = None,
        state: StateBackend | None = None,
        page_size: int = MAX_PAGE_SIZE,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        page_size = check_integer("page_size", page_size, 1, MAX_PAGE_SIZE)
        check_decoding(row_type, on_bad_row)
        if not query.by_key:
            raise ConfigurationError(f"rows of {query.path} have no key to merge changes by; use pull()")
        self.query = query
        self.row_type = row_type
        self._session = with_attempts(session, ATTEMPTS_PER_PAGE)
        self._column = column
        self._since = None if since is None else to_wire("since", since)
        self._overlap = None if overlap is None else to_timedelta(overlap)
        self._page_size = page_size
        self._on_bad_row: OnBadRow = on_bad_row
        self._on_progress = on_progress
        self._store = BookmarkStore(state, query.path, self._fingerprint)
        self._resume = resume
        self._resumed = None if resume is None else self._span_of(resume)
        self._iteration = self._new_iteration()
        if self._resumed is not None:
            self._reading(self._resumed)  # a damaged position is told now, before anything is sent

    def __repr__(self) -> str:
        return f"<Changes {self.query.path} of {type_name(self.row_type)}: {self.report}>"

    @property
    def server(self) -> str:
        """The base_url that is asked."""
        return self._session.config.base_url

    @property
    def report(self) -> PullReport | ListReport:
        """What came: a ``PullReport`` where all rows are read, a ``ListReport`` of those that changed."""
        return self._iteration.report

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where to go on after the rows given; None before the read has begun."""
        return self._iteration.checkpoint

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, where they are collected."""
        return [bad for read in self._iteration.reads for bad in read.bad_rows]

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened that is not a problem, such as that all rows were read again, in sentences."""
        return () if self._iteration.span is None else self._iteration.span.notes

    @property
    def possible_gaps(self) -> tuple[str, ...]:
        """What may be missing although the read itself was proven complete, such as rows dated ahead."""
        return () if self._iteration.span is None else self._iteration.span.problems

    @property
    def bookmark(self) -> str | None:
        """What ``ack()`` keeps, as on the wire; None before that is known.

        It is the newest change at the start, but at most the server's clock. After a read that was not
        proven complete, it is the bookmark before.
        """
        span = self._iteration.span
        if span is None:
            return None
        return (
            span.before
            if self._iteration.has_ended and self._iteration.blocking_problems()
            else span.bookmark
        )

    @property
    def complete(self) -> bool:
        """True when nothing speaks against all that changed up to the bookmark being here."""
        return not self.problems()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete; ``ack()`` refuses while there is a reason."""
        return self._iteration.blocking_problems()

    def problems(self) -> list[str]:
        """All that speaks against this being complete, in sentences; empty when nothing does.

        A count that shrinks is not a problem here: a row that changes during the read leaves the span for
        the next one.
        """
        use = self._iteration
        found = use.blocking_problems()
        if use.has_ended and use.bad_rows:
            found.append(f"{use.bad_rows} rows do not decode and were left out, or have no key")
        return [*found, *self.possible_gaps]

    def __deepcopy__(self, _memo: object) -> Changes[RowT]:
        return copy.copy(self)  # its client, and the reports of its latest use, are shared

    def __aiter__(self) -> Iteration[RowT]:
        """Iterate over every row that changed; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    def __iter__(self) -> NoReturn:
        raise TypeError("Changes are read asynchronously; use 'async for row in changes'")

    async def _chunks(self) -> AsyncGenerator[list[RowT], None]:
        async with Owned(self._pages()) as pages:
            async for page in pages:
                yield page.items

    def pages(self) -> Iteration[Page[RowT]]:
        """Iterate over every row that changed, a page at a time. A page's ``checkpoint`` goes on after it.

        Raises:
            IncompleteError: ranges could not be read; all other rows were given.
            CheckpointError: the bookmark of ``state`` belongs to another query.
            RequestError: the server cannot be read any more; ``checkpoint`` tells where to go on.
        """
        return Iteration(self._page_chunks())

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        async with Owned(self._pages()) as pages:
            async for page in pages:
                yield (page,)

    async def _pages(self) -> AsyncGenerator[Page[RowT], None]:
        use = self._iteration = self._new_iteration()  # ack() is of the latest use
        span: Span | None = self._resumed or await self._frozen()
        while span is not None:
            use.span = span
            async with Owned(self._part(use, span)) as pages:
                async for page in pages:
                    yield page
            span = await self._following(use, use.span)
        use.has_ended = True

    def _new_iteration(self) -> _ChangesIteration[RowT]:
        return _ChangesIteration(self._resumed, leaves_bad_rows=self._on_bad_row != "raise")

    async def _part(self, use: _ChangesIteration[RowT], span: Span) -> AsyncGenerator[Page[RowT], None]:
        """Read one part, and note in ``use`` how far it is."""
        read = self._reading(span)
        number = sum(each.report.pages for each in use.reads)
        use.reads.append(read)
        use.checkpoint = self._bind(span, span.inner)
        try:
            async with Owned(read.pages()) as pages:
                async for page in pages:
                    use.span = span = self._without_arrived(span, page)
                    after = page.checkpoint = self._bind(span, page.checkpoint)
                    page.number += number
                    if isinstance(read, Pager) and self._on_progress is not None:
                        seconds = time.perf_counter() - use.started
                        self._on_progress(to_progress(use.report, seconds=seconds))
                    yield page
                    use.checkpoint = after
        except (RequestError, PaginationError) as error:
            # A range that could not be read is in the pull's own checkpoint alone.
            use.checkpoint = error.checkpoint = self._bind(span, read.checkpoint)
            raise

    def _without_arrived(self, span: Span, page: Page[RowT]) -> Span:
        """Strike off the rows that must arrive and are on this page, as new as they must be."""
        awaited = {"newest": (span.newest, span.until), "witness": (span.witness, span.before)}
        keys = {plain_key(key) for key, _ in awaited.values() if key is not None}
        if not keys:
            return span
        arrived: dict[str, None] = {}
        for index, key in enumerate(self._keys_of(page)):
            if key is None or plain_key(key) not in keys:
                continue
            at = self._instant_of(page.raw_items()[index])
            for name, (wanted, least) in awaited.items():
                is_it = wanted is not None and plain_key(wanted) == plain_key(key)
                # An older one is of a replica that lags behind, or of a server that was set back.
                if is_it and least is not None and at is not None and at >= instant_of(least):
                    arrived[name] = None
        return msgspec.structs.replace(span, **arrived) if arrived else span

    def _keys_of(self, page: Page[RowT]) -> Iterable[Id | None]:
        key_of = key_getter(cast("Any", self.row_type), self.query.key)
        if key_of is not None:
            return map(key_of, page.items)
        return map(key_decoder(self.query.key), map(bytes, page.raw_items()))

    def _instant_of(self, raw: msgspec.Raw) -> datetime | None:
        try:
            found = row_decoder(cast("Any", key_and_instant(self.query.key, self._column)))(
                bytes(raw)
            ).row.instant
            return None if found is None else instant_of(found)
        except (*UNREADABLE, ValueError, TypeError):
            return None

    async def _following(self, use: _ChangesIteration[RowT], span: Span) -> Span | None:
        """Return the next part to read, after having checked the one that was read; None at the end."""
        read = use.reads[-1]
        if isinstance(read, Pager):
            await self._check_count(use, read)
            if not span.nulls:
                return msgspec.structs.replace(span, nulls=True, inner=None)
        await self._check_newest(use, span)
        if span.start is None or span.witness is None or span.before is None:
            return None
        found = await self._row(span.witness)
        if found.at is not None and instant_of(found.at) >= instant_of(span.before):
            return None  # it changed during the read
        note = (
            f"row {span.witness}, dated {span.before} at the last read, is gone or has an earlier date: "
            f"{self.query.path} may have been restored, so all rows were read again"
        )
        return msgspec.structs.replace(
            span, start=None, nulls=False, inner=None, witness=None, notes=(*span.notes, note)
        )

    async def _check_count(self, use: _ChangesIteration[RowT], read: Pager[RowT]) -> None:
        """Ask for the count again if it shrank: rows may have left the span, or were not received."""
        report = read.report
        if report.missing or (report.total_count_at_start or 0) <= report.rows_yielded:
            return
        found = await first_row(self._session, read.query, self._column)
        if found.total is not None and found.total > report.rows_yielded:
            use.problems.append(
                f"the server counts {found.total} changed rows and {report.rows_yielded} were received"
            )

    async def _check_newest(self, use: _ChangesIteration[RowT], span: Span) -> None:
        """The newest row at the start must have arrived, unless it changed or was deleted since."""
        if span.newest is None or span.until is None or use.bad_rows:
            return
        found = await self._row(span.newest)
        if found.at is None or instant_of(found.at) > instant_of(span.until):
            return
        use.problems.append(
            f"row {span.newest}, the newest at the start (dated {span.until}), was not received: "
            f"{self.query.path} does not compare {self._column} as it orders by it, or was set back meanwhile"
        )

    async def collect(self) -> list[RowT]:
        """All rows that changed, in a list. Memory grows with them: about 1 KB an invoice."""
        rows: list[RowT] = []
        async with Owned(self._pages()) as pages:
            async for page in pages:
                rows += page.items
        return rows

    async def ack(self) -> None:
        """Move the bookmark of ``state`` to where this read ended. Call it when the rows are safe.

        Raises:
            IncompleteError: the read did not reach its end, or is not proven complete; see ``problems()``.
            ConfigurationError: there is no ``state``; keep ``bookmark`` yourself.
        """
        if self._store.state is None:
            raise ConfigurationError("ack() needs state=; without it, keep .bookmark and pass it as since=")
        if self.blocking_problems():
            text = f"{self.query.path} was not read completely, so the bookmark stays: "
            raise IncompleteError(
                text + "; ".join(self.blocking_problems()), checkpoint=self.checkpoint, report=self.report
            )
        span = self._iteration.span
        if span is not None and span.bookmark is not None:
            await self._store.put(Bookmark(span.bookmark, span.bookmark_key))

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> Changes[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> Changes[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> Changes[OtherT]: ...
    def decode_as(self, row_type: type[Any]) -> Changes[Any]:
        """The same read with rows of another type: an own Struct, ``dict`` or ``msgspec.Raw``.

        Raises:
            ConfigurationError: no row can be decoded as that.
            CheckpointError: it was resumed where all rows are read, with rows of this type.
        """
        return self._with(row_type=row_type)

    def resume_from(self, checkpoint: Checkpoint | str | bytes) -> Changes[RowT]:
        """The same read of what a checkpoint left.

        Raises:
            CheckpointError: it belongs to another query, or to another row type where all rows are read.
        """
        return self._with(resume=checkpoint)

    def _with(self, **changes: Any) -> Changes[Any]:
        options: dict[str, Any] = {
            "row_type": self.row_type,
            "column": self._column,
            "since": self._since,
            "overlap": self._overlap,
            "state": self._store.state,
            "page_size": self._page_size,
            "on_bad_row": self._on_bad_row,
            "resume": self._resume,
            "on_progress": self._on_progress,
        } | changes
        return Changes(self._session, self.query, **options)

    async def _frozen(self) -> Span:
        """The bounds of this read, by the server's clock."""
        kept = await self._store.get()
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
        bookmark = dated.at
        if bookmark is not None and instant_of(bookmark) > dated.clock.now:
            bookmark = _in_form_of(bookmark, dated.clock.now)
        span = Span(
            start=None,
            # A newest row that does not decode is above that bound, and must be received to be named.
            until=newest.at if newest.is_readable else None,
            bookmark=bookmark,
            bookmark_key=dated.key,
            newest=newest.key,
            before=self._since if kept is None else kept.at,
            problems=problems,
        )
        return await self._from_since(span) if kept is None else await self._from_bookmark(span, kept)

    async def _from_since(self, span: Span) -> Span:
        start = None if self._since is None else subtract(self._since, self._overlap or timedelta(0))
        return msgspec.structs.replace(span, start=start)

    async def _from_bookmark(self, span: Span, kept: Bookmark) -> Span:
        if span.bookmark is None:
            span = msgspec.structs.replace(span, bookmark=kept.at, bookmark_key=kept.key)
            went_back = True
        else:
            went_back = instant_of(span.bookmark) < instant_of(kept.at)
        if went_back and not await self._left_condition(kept):
            note = (
                f"the newest change of {self.query.path} is older than the bookmark {kept.at}: rows were "
                "deleted or the server was restored, so all rows were read again"
            )
            return msgspec.structs.replace(span, notes=(note,))
        usual = LOCAL_OVERLAP if datetime.fromisoformat(kept.at).tzinfo is None else DEFAULT_OVERLAP
        overlap = usual if self._overlap is None else self._overlap
        begin = earliest(kept.at, span.bookmark or kept.at)
        # A server that rounds shows an instant up to one unit too late.
        start = subtract(begin, max(overlap, shown_unit(begin)))
        return msgspec.structs.replace(span, start=start, witness=None if went_back else kept.key)

    async def _left_condition(self, kept: Bookmark) -> bool:
        """Return whether the row dated at the bookmark is still there, but does not fit ``where``."""
        if kept.key is None or not self.query.fields.get("where"):
            return False
        found = await self._row(kept.key)
        return found.at is not None and instant_of(found.at) >= instant_of(kept.at)

    async def _row(self, key: Id) -> FirstRow:
        """The row of a key as it is now, whether it fits the own condition or not."""
        where = {self.query.key: {"_eq": key}}
        fields = self.query.fields | {"where": where, "orderBy": [{self.query.key: "asc"}]}
        query = msgspec.structs.replace(self.query, fields=fields)
        return await first_row(self._session, query, self._column)

    async def _newest(self, until: str | None = None) -> FirstRow:
        """The newest change, or the newest up to an instant."""
        bounds = {"_is_null": False} | ({} if until is None else {"_lte": until})
        query = self._query_of({self._column: bounds}, {self._column: "desc"})
        return await first_row(self._session, query, self._column)

    def _reading(self, span: Span) -> Pull[RowT] | Pager[RowT]:
        if span.start is None:
            return Pull(
                self._session,
                self.query,
                self.row_type,
                page_size=self._page_size,
                on_bad_row=self._on_bad_row,
                resume=span.inner,
                on_progress=self._on_progress,
            )
        if span.nulls:
            query = self._query_of({self._column: {"_is_null": True}})
        else:
            within = changed_within(self._column, span.start, span.until)
            query = self._query_of(within, {self._column: "asc"})
        return Pager(
            self._session,
            query,
            self.row_type,
            page_size=self._page_size,
            on_bad_row=self._on_bad_row,
            resume=span.inner,
        )

    def _query_of(self, condition: dict[str, Any], *order: dict[str, str]) -> Query:
        own = self.query.fields.get("where")
        where = {"_and": [own, condition]} if own else condition
        order_by = [*order, {self.query.key: "asc"}]
        return msgspec.structs.replace(
            self.query, fields=self.query.fields | {"where": where, "orderBy": order_by}
        )

    @cached_property
    def _fingerprint(self) -> str:
        query = self.query
        asked = {"changes": query.fields, "column": self._column, "key": query.key}
        # The bookmark of one server would skip rows of another.
        return fingerprint(query.path, asked | {"server": server_name(self.server)})

    def _bind(self, span: Span, inner: Checkpoint | None) -> Checkpoint:
        position = msgspec.to_builtins(msgspec.structs.replace(span, inner=inner))
        return Checkpoint(endpoint=self.query.path, query=self._fingerprint, position=position)

    def _span_of(self, resume: Checkpoint | str | bytes) -> Span:
        found = resume if isinstance(resume, Checkpoint) else Checkpoint.from_json(resume)
        try:
            return msgspec.convert(found.position_for(self.query.path, self._fingerprint), Span)
        except (msgspec.MsgspecError, RecursionError):
            raise CheckpointError("the checkpoint is damaged; start anew") from None


def _is_certainly_ahead(at: str, clock: ServerClock) -> bool:
    """Return whether an instant is in the future in every time zone that it may be of."""
    grace = MAX_AHEAD_OF_UTC if datetime.fromisoformat(at).tzinfo is None else timedelta(0)
    return instant_of(at) - grace > clock.latest


def _in_form_of(shown: str, moment: datetime) -> str:
    """Return an instant as text, without a zone if the shown one has none."""
    naive = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return naive if datetime.fromisoformat(shown).tzinfo is None else f"{naive}Z"


def changed_within(column: str, start: str, until: str | None) -> dict[str, Any]:
    """The condition of rows that changed from ``start`` to ``until``, both included.

    A server may show fewer digits than it compares, so all that it shows as ``until`` counts as within.
    """
    bounds = {"_gte": start} | ({} if until is None else {"_lte": last_shown_as(until)})
    return {column: bounds}


def _sum_of(walks: Sequence[ListReport]) -> ListReport:
    """One report of walks over parts."""
    counts = [walk.total_count for walk in walks]
    at_start = [walk.total_count_at_start for walk in walks]
    sums = {name: sum(getattr(walk, name) for walk in walks) for name in SUMMED_FIELDS}
    unknown: dict[str, Id | None] = {}
    for walk in walks:
        unknown |= {name: key for name, key in walk.unknown_fields.items() if name not in unknown}
    return msgspec.structs.replace(
        walks[-1],
        **sums,
        unknown_fields=unknown,
        total_count=None if None in counts else sum(filter(None, counts)),
        total_count_at_start=None if None in at_start else sum(filter(None, at_start)),
        deduplicated=all(walk.deduplicated for walk in walks),
        keyset_only=False,
    )
