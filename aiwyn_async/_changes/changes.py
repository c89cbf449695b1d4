"""``Changes``: rows changed since a bookmark, which only ``ack()`` moves."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Any, Final, Never, TypeVar, overload

import msgspec

from aiwyn_async._changes.bookmarks import Bookmark, BookmarkStore
from aiwyn_async._changes.bounds import Bounds, Span, changed_within
from aiwyn_async._changes.checks import ChangesIteration, Checks
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._core.urls import server_name
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Owned
from aiwyn_async._pagination.page import Checkpoint, Page, fingerprint
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import Read
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.strategy import parse_position
from aiwyn_async._pull.progress import to_progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async._pull.requests import ATTEMPTS_PER_PAGE, with_attempts
from aiwyn_async.arrow._rows import RowCounts
from aiwyn_async.errors import (
    AiwynError,
    ConfigurationError,
    IncompleteError,
    PaginationError,
    RequestError,
)

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

CHANGES_OPTIONS: Final = ("since", "overlap", "state", "page_size", "on_bad_row", "resume", "on_progress")


class Changes(Read[RowT]):
    """The rows that changed since a bookmark.

    Rows are yielded in the order of their change times, then of their keys, up to the newest change that the
    server shows at the start, by its clock. Rows that change during the read are above that bound and are
    yielded by the next read. Rows without a change time are yielded by every read: no comparison matches
    them. Without a bookmark and ``since``, all rows are read, by a ``Pull``; also if the server's newest
    change is older than the bookmark, or the row dated at the bookmark was deleted or set back: the server
    may have been restored, and ``notes`` says so.

    The bookmark does not pass the server's clock (the ``Date`` of a response, or this machine's clock if
    there is none). Rows dated later are yielded each time; if the newest is more than 5 minutes ahead,
    ``problems()`` names it.

    Only ``ack()`` moves the bookmark, so a crash before it repeats rows and never skips one; rows at the
    bookmark itself are repeated too. Merge rows by key. Deleted rows are not seen: see ``reconcile_keys()``.

    Args:
        session: sends the requests.
        query: without an order; ``by_key``, and with a ``modified_at_field``.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        options: the checked options.

    Raises:
        ConfigurationError: rows have no key, or the checkpoint belongs to another query.
    """

    def __init__(
        self, session: Session, query: Query, row_type: type[RowT], options: ReadOptions | None = None
    ) -> None:
        super().__init__(with_attempts(session, ATTEMPTS_PER_PAGE), query, row_type, options)
        if not query.by_key:
            raise ConfigurationError(f"rows of {query.path} have no key to merge changes by; use pull()")
        options = self.options
        self._store = BookmarkStore(options.state, query.path, self._fingerprint)
        self._bounds = Bounds(self._session, query, options, self._store)
        self._checks = Checks(self._bounds)
        self._resumed: Span | None = None
        if options.resume is not None:
            self._resumed = parse_position(options.resume.position_for(query.path, self._fingerprint), Span)
            self._reading(self._resumed)  # raises before anything is sent if the position is damaged
        self._iteration = self._new_iteration()

    @property
    def report(self) -> PullReport | ListReport:
        """A ``PullReport`` if all rows were read, else a ``ListReport`` of changed rows."""
        return self._iteration.report

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where to resume after the rows yielded so far; None before the first use."""
        return self._iteration.checkpoint

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, if they are collected."""
        return [bad for read in self._iteration.reads for bad in read.bad_rows]

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened that is not a problem, such as that all rows were read again."""
        return () if self._iteration.span is None else self._iteration.span.notes

    @property
    def possible_gaps(self) -> tuple[str, ...]:
        """What a read proven complete may still miss, such as rows dated ahead."""
        return () if self._iteration.span is None else self._iteration.span.problems

    @property
    def bookmark(self) -> str | None:
        """What ``ack()`` stores, as on the wire; None before it is known.

        It is the newest change at the start, but at most the server's clock. After a read that was not
        proven complete, it is the previous bookmark.
        """
        span = self._iteration.span
        if span is None:
            return None
        is_incomplete = self._iteration.has_ended and self._iteration.blocking_problems()
        return span.before if is_incomplete else span.bookmark

    @property
    def complete(self) -> bool:
        """True if all rows changed up to the bookmark were yielded, without a problem."""
        return not self.problems()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete, which makes ``ack()`` refuse."""
        return self._iteration.blocking_problems()

    def problems(self) -> list[str]:
        """Return every reason why the read is not proven complete; empty if there is none.

        A count that shrinks is not a problem here: a row that changes during the read is left to the next.
        """
        iteration = self._iteration
        problems = iteration.blocking_problems()
        if iteration.has_ended and iteration.bad_rows:
            problems.append(f"{iteration.bad_rows} rows do not decode and were left out, or have no key")
        return [*problems, *self.possible_gaps]

    async def count(self) -> int:
        """Return the number of changed rows, by reading their keys.

        Raises:
            IncompleteError: the read is not proven complete.
        """
        read = self._with(row_type=key_only(self.query.key), on_bad_row="skip", resume=None)
        count = 0
        async with Owned(read.pages()) as pages:
            async for page in pages:
                count += len(page)
        if problems := read.blocking_problems():
            text = f"{self.query.path} was not counted completely: {'; '.join(problems)}"
            raise IncompleteError(text, report=read.report)
        return count

    def record(self, counts: RowCounts, bad_rows: list[BadRow]) -> None:
        """Add the counts of a consumer of undecoded pages."""
        self._iteration.reads[-1].record(counts, bad_rows)

    def follow(self, use: Any) -> None:
        """Show the state of a copy as that of the latest use, to which ``ack()`` refers."""
        super().follow(use)
        changes: Changes[RowT] = use
        self._iteration = changes._iteration

    async def _chunks(self) -> AsyncGenerator[list[RowT], None]:
        async with Owned(self._page_chunks()) as pages:
            async for (page,) in pages:
                yield page.items

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        use = self._iteration = self._new_iteration()  # ack() refers to the latest use
        self._end_with(None)
        try:
            span: Span | None = self._resumed or await self._bounds.freeze()
            while span is not None:
                use.span = span
                async with Owned(self._part(use, span)) as pages:
                    async for page in pages:
                        yield (page,)
                span = await self._checks.next_span(use, use.span)
        except AiwynError as error:
            if isinstance(error, (RequestError, PaginationError)):
                error.checkpoint = use.checkpoint  # a check has none, or that of a query of its own
            self._end_with(error)
            raise
        use.has_ended = True

    def _new_iteration(self) -> ChangesIteration[RowT]:
        return ChangesIteration(self._resumed, leaves_bad_rows=self.on_bad_row != "raise")

    async def _part(self, use: ChangesIteration[RowT], span: Span) -> AsyncGenerator[Page[RowT], None]:
        """Read one part, and note in ``use`` how far it is."""
        read = self._reading(span)
        if self.page_type is not self.row_type:
            read = read.undecoded()
        number = sum(each.report.pages for each in use.reads)
        use.reads.append(read)
        use.checkpoint = self._bind(span, span.inner)
        try:
            async with Owned(read.pages()) as pages:
                async for page in pages:
                    use.span = span = self._checks.without_received(span, page, self.page_type)
                    after = page.checkpoint = self._bind(span, page.checkpoint)
                    page.number += number
                    if isinstance(read, Pager) and self.options.on_progress is not None:
                        seconds = time.perf_counter() - use.started
                        self.options.on_progress(to_progress(use.report, seconds=seconds))
                    yield page
                    use.checkpoint = after
        except (RequestError, PaginationError):
            # A range that could not be read is in the pull's own checkpoint alone.
            use.checkpoint = self._bind(span, read.checkpoint)
            raise

    async def ack(self) -> None:
        """Move the bookmark of ``state`` to this read's end; call after storing the rows.

        Raises:
            IncompleteError: the read did not reach its end, or is not proven complete; see ``problems()``.
            ConfigurationError: no ``state`` was passed; store ``bookmark`` yourself.
        """
        if self.options.state is None:
            raise ConfigurationError("ack() needs state=; without it, store .bookmark and pass it as since=")
        if self.blocking_problems():
            text = f"{self.query.path} was not read completely, so the bookmark is not moved: "
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
        """Return the same read with rows of a Struct, ``dict`` or ``msgspec.Raw``.

        Raises:
            ConfigurationError: no row can be decoded as that type.
            CheckpointError: the read resumes a read of all rows with another row type.
        """
        changes: Changes[Any] = self._with(row_type=row_type)
        return changes

    def _reading(self, span: Span) -> Pull[RowT] | Pager[RowT]:
        options = msgspec.structs.replace(self.options, resume=span.inner)
        if span.start is None:
            return Pull(self._session, self.query, self.row_type, options)
        column = self.query.modified_at_field
        if span.nulls:
            query = self._bounds.query_of({column: {"_is_null": True}})
        else:
            within = changed_within(column, span.start, span.until)
            query = self._bounds.query_of(within, {column: "asc"})
        query = msgspec.structs.replace(query, counts_pages=not span.counts_all)
        return Pager(self._session, query, self.row_type, options)

    @cached_property
    def _fingerprint(self) -> str:
        query = self.query
        identity = {"changes": query.fields, "column": query.modified_at_field, "key": query.key}
        # The bookmark of one server would skip rows of another.
        return fingerprint(query.path, identity | {"server": server_name(self.server)})

    def _bind(self, span: Span, inner: Checkpoint | None) -> Checkpoint:
        position = msgspec.to_builtins(msgspec.structs.replace(span, inner=inner))
        return Checkpoint(endpoint=self.query.path, query=self._fingerprint, position=position)
