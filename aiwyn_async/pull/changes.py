"""What ``changes()`` gives: the rows that changed since a bookmark, which moves only when told to."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Generic, NoReturn, TypeVar, overload

import msgspec

from aiwyn_async.errors import (
    CheckpointError,
    ConfigurationError,
    IncompleteError,
    PaginationError,
    RequestError,
)
from aiwyn_async.models.envelopes import BadRow, OnBadRow
from aiwyn_async.pagination.iteration import Iteration
from aiwyn_async.pagination.page import Checkpoint, Page, fingerprint
from aiwyn_async.pagination.pager import MAX_PAGE_SIZE, Pager, check_decoding, check_whole, name_of
from aiwyn_async.pagination.query import Query
from aiwyn_async.pagination.report import WalkReport
from aiwyn_async.pull.failures import ATTEMPTS_A_PAGE, with_attempts
from aiwyn_async.pull.instants import as_overlap, as_text, earlier, instant_of, last_shown_as, moved_back
from aiwyn_async.pull.progress import Progress, progress_of
from aiwyn_async.pull.pull import Pull
from aiwyn_async.pull.report import PullReport
from aiwyn_async.pull.state import BookmarkShelf, State, server_name
from aiwyn_async.session.session import Session

__all__ = ["Changes", "Span", "changed_within"]

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

SUMMED: Final = (
    *("rows", "distinct", "duplicates", "bad_rows", "repaired_rows"),
    *("pages", "requests", "bytes", "seconds"),
)
USUAL_OVERLAP: Final = timedelta(minutes=5)
"""How late a row may be committed, after the instant it bears, and still not be missed."""


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one read covers: from ``start`` (None: everything) to ``until``; then ``bookmark`` holds.

    ``nulls`` is its second part: rows that bear no instant, walked by themselves, since where they stand in
    an order is the server's affair. ``inner`` is the checkpoint of the walk or pull, None at its beginning.
    """

    start: str | None
    until: str | None
    bookmark: str | None
    nulls: bool = False
    inner: Checkpoint | None = None


class Changes(Generic[RowT]):
    """A read of what changed, which has not begun: rows by ``async for``, or pages of them by ``batches()``.

    Rows come in the order of the change column, then of the key, up to the newest change that the server
    shows at the start, by its clock and not by this machine's. What changes during the read lies above that
    bound and comes the next time. Rows whose change column is null come each time: no comparison finds them.
    Without a bookmark and a ``since``, all rows come, as a ``Pull``.

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
            instant they bear; by default 5 minutes before a bookmark of ``state``, none before ``since``.
        state: keeps the bookmark: a ``FileState`` or any object with ``get(key)`` and ``put(key, value)``.
        page_size: rows a request, 1 to 1000.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeFailed``, leave it out, or leave
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
        state: State | None = None,
        page_size: int = MAX_PAGE_SIZE,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        page_size = check_whole("page_size", page_size, 1, MAX_PAGE_SIZE)
        check_decoding(row_type, on_bad_row)
        if not query.by_key:
            raise ConfigurationError(f"rows of {query.path} have no key to merge changes by; use pull()")
        self.query = query
        self.row_type = row_type
        self.checkpoint: Checkpoint | None = None
        self._session = with_attempts(session, ATTEMPTS_A_PAGE)
        self._column = column
        self._since = None if since is None else as_text("since", since)
        self._overlap = None if overlap is None else as_overlap(overlap)
        self._page_size = page_size
        self._on_bad_row: OnBadRow = on_bad_row
        self._on_progress = on_progress
        self._shelf = BookmarkShelf(state, query.path, self._fingerprint)
        self._resume = resume
        self._resumed = None if resume is None else self._span_of(resume)
        self._span: Span | None = self._resumed
        self._reads: list[Pull[RowT] | Pager[RowT]] = []
        self._has_ended = False
        self._started = 0.0
        if self._resumed is not None:
            self._reading(self._resumed)  # a damaged position is told now, before anything is sent

    def __repr__(self) -> str:
        return f"<Changes {self.query.path} of {name_of(self.row_type)}: {self.report}>"

    @property
    def server(self) -> str:
        """The base_url that is asked."""
        return self._session.config.base_url

    @property
    def report(self) -> PullReport | WalkReport:
        """What came: a ``PullReport`` where all rows are read, a ``WalkReport`` of those that changed."""
        reports = [read.report for read in self._reads]
        walks = [report for report in reports if isinstance(report, WalkReport)]
        return _in_all(walks) if walks else reports[0] if reports else PullReport()

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, where they are collected."""
        return [bad for read in self._reads for bad in read.bad_rows]

    @property
    def bookmark(self) -> str | None:
        """What ``ack()`` keeps, as on the wire: the newest change at the start; None before that is known."""
        return None if self._span is None else self._span.bookmark

    @property
    def complete(self) -> bool:
        """True when nothing speaks against all that changed up to the bookmark being here."""
        return not self.doubts()

    def doubts(self) -> list[str]:
        """All that speaks against this being complete, in sentences; empty when nothing does.

        That the count moves is no doubt here: a row that changes meanwhile leaves the span for the next one.
        """
        report = self.report
        if not self._has_ended:
            return ["the read did not reach its end"]
        if isinstance(report, PullReport):
            return report.doubts()
        return [f"{report.bad_rows} rows do not decode and were left out"] if report.bad_rows else []

    def __aiter__(self) -> Iteration[RowT]:
        """Iterate over every row that changed; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    def __iter__(self) -> NoReturn:
        raise TypeError("Changes are read asynchronously; use 'async for row in changes'")

    async def _chunks(self) -> AsyncGenerator[list[RowT], None]:
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                yield page.items

    def batches(self) -> Iteration[Page[RowT]]:
        """Iterate over every row that changed, a page at a time. A page's ``checkpoint`` goes on after it.

        Raises:
            IncompleteError: ranges could not be read; all other rows were given.
            CheckpointError: the bookmark of ``state`` belongs to another query.
            RequestError: the server cannot be read any more; ``checkpoint`` tells where to go on.
        """
        return Iteration(self._page_chunks())

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                yield (page,)

    async def _pages(self) -> AsyncGenerator[Page[RowT], None]:
        reads: list[Pull[RowT] | Pager[RowT]] = []
        self._has_ended, self._reads, self._span, self.checkpoint = False, reads, self._resumed, None
        self._started = time.perf_counter()
        span = self._resumed or await self._frozen()
        if self._reads is reads:
            self._span = span
        spans = [span]
        if span.start is not None and not span.nulls:
            spans.append(msgspec.structs.replace(span, nulls=True, inner=None))
        for part in spans:
            async with aclosing(self._part(part, reads)) as pages:
                async for page in pages:
                    yield page
        if self._reads is reads:  # else a later use began, and ack() is of that one
            self._has_ended = True

    async def _part(
        self, span: Span, reads: list[Pull[RowT] | Pager[RowT]]
    ) -> AsyncGenerator[Page[RowT], None]:
        read = self._reading(span)
        reads.append(read)
        self._keep(reads, self._bind(span, span.inner))
        number = sum(each.report.pages for each in reads[:-1])
        try:
            async with aclosing(read.batches() if isinstance(read, Pull) else read.pages()) as pages:
                async for page in pages:
                    after = page.checkpoint = self._bind(span, page.checkpoint)
                    page.number += number
                    if isinstance(read, Pager) and self._on_progress is not None:
                        seconds = time.perf_counter() - self._started
                        self._on_progress(progress_of(self.report, seconds=seconds))
                    yield page
                    self._keep(reads, after)
        except (RequestError, PaginationError) as error:
            # A range that could not be read is in the pull's own checkpoint alone.
            error.checkpoint = self._bind(span, read.checkpoint)
            self._keep(reads, error.checkpoint)
            raise

    def _keep(self, reads: list[Pull[RowT] | Pager[RowT]], checkpoint: Checkpoint) -> None:
        """Tell where the latest use goes on, which another one may not be any more."""
        if self._reads is reads:
            self.checkpoint = checkpoint

    async def collect(self) -> list[RowT]:
        """All rows that changed, in a list. Memory grows with them: about 1 KB an invoice."""
        rows: list[RowT] = []
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                rows += page.items
        return rows

    async def ack(self) -> None:
        """Move the bookmark of ``state`` to where this read ended. Call it when the rows are safe.

        Raises:
            IncompleteError: the read did not reach its end, or its passes over the list did not agree.
            ConfigurationError: there is no ``state``; keep ``bookmark`` yourself.
        """
        if self._shelf.state is None:
            raise ConfigurationError("ack() needs state=; without it, keep .bookmark and pass it as since=")
        report = self.report
        if not self._has_ended or (isinstance(report, PullReport) and report.passes_agree is False):
            text = f"{self.query.path} was not read completely, so the bookmark stays: "
            raise IncompleteError(text + "; ".join(self.doubts()), checkpoint=self.checkpoint, report=report)
        if self.bookmark is not None:
            await self._shelf.put(self.bookmark)

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

    def resumed_at(self, checkpoint: Checkpoint | str | bytes) -> Changes[RowT]:
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
            "state": self._shelf.state,
            "page_size": self._page_size,
            "on_bad_row": self._on_bad_row,
            "resume": self._resume,
            "on_progress": self._on_progress,
        } | changes
        return Changes(self._session, self.query, **options)

    async def _frozen(self) -> Span:
        """The bounds of this read, by the server's clock."""
        kept = await self._shelf.get()
        newest = await self._newest()
        begin = self._since if kept is None else kept
        if begin is None:
            return Span(start=None, until=newest, bookmark=newest)
        if kept is not None and newest is not None:
            # Older than the bookmark it is when the newest rows were deleted, or the server restored.
            begin = earlier(kept, newest)
        usual = timedelta(0) if kept is None else USUAL_OVERLAP
        start = moved_back(begin, usual if self._overlap is None else self._overlap)
        return Span(start=start, until=newest, bookmark=newest or kept)

    async def _newest(self) -> str | None:
        """The instant of the newest change, as on the wire; None when no row bears one."""
        has_one = {self._column: {"_is_null": False}}
        query = self._query_of(has_one, {self._column: "desc"})
        rows: Pager[dict[str, Any]] = Pager(self._session, query, dict, page_size=1, limit=1)
        page = await rows
        found = page.items[0].get(self._column) if page.items else None
        if found is None:
            return None
        try:
            instant_of(found)
        except (ValueError, TypeError):
            raise PaginationError(
                f"{self._column} of {self.query.path} holds no ISO 8601 date-time, so it tells no changes"
            ) from None
        return str(found)

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


def changed_within(column: str, start: str, until: str | None) -> dict[str, Any]:
    """The condition of rows that changed from ``start`` to ``until``, both included.

    A server may show fewer digits than it compares, so all that it shows as ``until`` counts as within.
    """
    bounds = {"_gte": start} | ({} if until is None else {"_lte": last_shown_as(until)})
    return {column: bounds}


def _in_all(walks: Sequence[WalkReport]) -> WalkReport:
    """One report of walks over parts."""
    counts = [walk.expected for walk in walks]
    at_start = [walk.expected_at_start for walk in walks]
    sums = {name: sum(getattr(walk, name) for walk in walks) for name in SUMMED}
    return msgspec.structs.replace(
        walks[-1],
        **sums,
        expected=None if None in counts else sum(filter(None, counts)),
        expected_at_start=None if None in at_start else sum(filter(None, at_start)),
        keys_checked=all(walk.keys_checked for walk in walks),
        by_key_alone=False,
    )
