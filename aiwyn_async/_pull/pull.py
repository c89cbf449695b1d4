"""What ``pull()`` gives: every row of a tag, with a report that says what is missing."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import cached_property
from typing import Any, Final, Generic, Literal, Never, NoReturn, TypeVar, overload

import msgspec

from aiwyn_async._core.reports import EarlierProblems, PullReport
from aiwyn_async._decoding.envelope import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.page import Checkpoint, Page, Position, fingerprint
from aiwyn_async._pagination.pager import MAX_PAGE_SIZE, check_decoding, check_integer, type_name
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.full_scan import RESTART, FullScan
from aiwyn_async._pull.progress import Progress, to_progress
from aiwyn_async._pull.range_reader import KeyFilterIgnored, RangeReader
from aiwyn_async.arrow._options import column_options
from aiwyn_async.arrow._stream import ArrowStream
from aiwyn_async.errors import CheckpointError, IncompleteError, PaginationError, RequestError

__all__ = ["Pull"]

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

MAX_RANGES: Final = 64


class Pull(Generic[RowT]):
    """A bulk read that has not begun: rows by ``async for``, or pages of them by ``pages()``.

    Where rows can be searched by their key, ranges of keys are read side by side, each from its lowest key
    up: rows that are inserted, changed or deleted meanwhile shift nothing. Elsewhere the list is read by page
    number until two passes agree. ``report`` tells which way was used, what came, and what did not.

    Each use begins anew; ``report``, ``checkpoint`` and ``bad_rows`` tell of the latest one.

    Args:
        session: sends the requests.
        query: what is asked; ``by_key`` where it may be.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        page_size: rows a request, 1 to 1000; a page that fails is asked for again at half the size.
        ranges: ranges of keys read at once, 1 to 64; by default as many as the client's max_concurrency.
        ordered: give the rows in the order of their keys; later ranges then wait for earlier.
        strict: raise ``IncompleteError`` at the end unless ``report.complete``.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeError``, leave it out, or leave
            it out and keep it in ``bad_rows``.
        resume: a checkpoint of an earlier pull of the same query and row type: only what it left is read.
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
        page_size: int = MAX_PAGE_SIZE,
        ranges: int | None = None,
        ordered: bool = False,
        strict: bool = False,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        page_size = check_integer("page_size", page_size, 1, MAX_PAGE_SIZE)
        if ranges is not None:
            ranges = check_integer("ranges", ranges, 1, MAX_RANGES)
        check_decoding(row_type, on_bad_row)
        self.query = query
        self.row_type = row_type
        self.report = PullReport()
        self.bad_rows: list[BadRow] = []
        self.checkpoint: Checkpoint | None = None
        self.strict = strict
        self._session = session
        self._page_size = page_size
        self._ranges = ranges or min(MAX_RANGES, session.config.max_concurrency)
        self._ordered = ordered
        self.on_bad_row: OnBadRow = on_bad_row
        self.on_progress = on_progress
        self._resume = resume
        self._loop = _running_loop()
        self._position: Position | None = None
        if resume is not None:
            found = resume if isinstance(resume, Checkpoint) else Checkpoint.from_json(resume)
            self._position = self._position_of(found)
        self.begin()  # a damaged position is told now, before anything is sent

    def __repr__(self) -> str:
        return f"<Pull {self.query.path} of {type_name(self.row_type)}: {self.report}>"

    @property
    def is_resumed(self) -> bool:
        """True for a pull of what a checkpoint left."""
        return self._resume is not None

    @property
    def server(self) -> str:
        """The base_url that is asked."""
        return self._session.config.base_url

    def __deepcopy__(self, _memo: object) -> Pull[RowT]:
        return copy.copy(self)  # its client, and the reports of its latest use, are shared

    def __aiter__(self) -> Iteration[RowT]:
        """Iterate over every row; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    def pages(self) -> Iteration[Page[RowT]]:
        """Iterate over every row, a page at a time. A page's ``checkpoint`` goes on after it.

        Raises:
            IncompleteError: ranges could not be read; all other rows were given. Or ``strict``, and something
                speaks against the pull's being complete.
            RequestError: the server cannot be read at all any more; ``checkpoint`` tells where to go on.
        """
        return Iteration(self._page_chunks())

    def __iter__(self) -> NoReturn:
        raise TypeError("a Pull is read asynchronously; use 'async for row in pull'")

    async def _chunks(self) -> AsyncGenerator[list[RowT], None]:
        use = _PullIteration(self)
        try:
            while (batch := await use.next_page()) is not None:
                rows = batch.items
                # The batch and its bytes are released before the next one is decoded.
                del batch
                yield rows
                del rows
        finally:
            await use.aclose()

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        use = _PullIteration(self)
        try:
            while (page := await use.next_page()) is not None:
                yield (page,)
                del page
        finally:
            await use.aclose()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The pull as an Arrow C stream: ``await asyncio.to_thread(pyarrow.table, pull)``, or polars, DuckDB.

        Money is decimal128(38, 9), times are UTC microseconds, a naive time being taken as UTC. The stream is
        read in a thread other than the event loop's; in a script without one, a loop is run for it.

        Raises:
            LoopMismatchError: called in a thread that runs an event loop.
            ConfigurationError: pyarrow is missing, or the rows have no columns.
        """
        from aiwyn_async.arrow._stream import c_stream  # noqa: PLC0415 (it needs an extra)

        return c_stream(self, self._loop, requested_schema)

    def arrow_stream(
        self,
        *,
        ids: Literal["auto", "text"] = "auto",
        date_columns: Iterable[str] = (),
        round_money: int | None = None,
        extra: Literal["json"] | None = None,
    ) -> ArrowStream:
        """The pull as an Arrow C stream with a choice of columns.

        Args:
            ids: "text" makes every column of ids text; "auto" makes it integers, and refuses text.
            date_columns: wire names of columns that hold the calendar day of a timestamp, as on the wire.
            round_money: decimal places, 0 to 9, that amounts are rounded to; rounded amounts are counted.
            extra: "json" adds the column ``extra``: the fields that the row type does not have, as JSON.

        Raises:
            ConfigurationError: an option is wrong, or names a column that it cannot be used for.
        """
        options = column_options(
            plain_type(self.row_type),
            ids=ids,
            date_columns=date_columns,
            round_money=round_money,
            extra=extra,
        )
        return ArrowStream(self, self._loop, options)

    async def collect(self) -> list[RowT]:
        """All rows in a list. Memory grows with them: about 1 KB an invoice."""
        rows: list[RowT] = []
        async with aclosing(self._page_chunks()) as pages:
            async for (page,) in pages:
                rows += page.items
        return rows

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> Pull[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> Pull[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> Pull[OtherT]: ...
    def decode_as(self, row_type: type[Any]) -> Pull[Any]:
        """The same pull with rows of another type: an own Struct, ``dict`` or ``msgspec.Raw``.

        Raises:
            CheckpointError: it was resumed, and rows of two types are not to be joined. A pull of such rows
                goes on by ``pull().decode_as(row_type).resume_from(checkpoint)``.
        """
        return self._with(row_type=row_type)

    def resume_from(self, checkpoint: Checkpoint | str | bytes) -> Pull[RowT]:
        """The same pull of what a checkpoint left.

        Raises:
            CheckpointError: it belongs to another query or row type.
        """
        return self._with(resume=checkpoint)

    def _with(self, **changes: Any) -> Pull[Any]:
        options: dict[str, Any] = {
            "row_type": self.row_type,
            "page_size": self._page_size,
            "ranges": self._ranges,
            "ordered": self._ordered,
            "strict": self.strict,
            "on_bad_row": self.on_bad_row,
            "resume": self._resume,
            "on_progress": self.on_progress,
        } | changes
        return Pull(self._session, self.query, **options)

    def begin(self) -> tuple[RangeReader[RowT] | FullScan[RowT], PullReport]:
        """A new run, and the report that it writes; for ``_Use`` alone."""
        report = PullReport(resumed=self._position is not None)
        if not self.query.by_key or self._position == RESTART:
            return self.full_scan(report, KeySet()), report
        run = RangeReader(
            self._session,
            self.query,
            self.row_type,
            page_size=self._page_size,
            ranges=self._ranges,
            ordered=self._ordered,
            on_bad_row=self.on_bad_row,
            report=report,
            bind=self._bind,
            resume=self._position,
        )
        return run, report

    def full_scan(self, report: PullReport, given: KeySet) -> FullScan[RowT]:
        """A run by page number that does not give the rows of these keys; for ``_Use`` alone."""
        return FullScan(
            self._session,
            msgspec.structs.replace(self.query, by_key=False),
            self.row_type,
            page_size=self._page_size,
            on_bad_row=self.on_bad_row,
            report=report,
            bind=self._bind,
            yielded_keys=given,
        )

    def _bind(self, position: Position) -> Checkpoint:
        return Checkpoint(endpoint=self.query.path, query=self._fingerprint, position=position)

    def _position_of(self, checkpoint: Checkpoint) -> Position:
        asked = self._fingerprint.partition(".")[0]
        if checkpoint.query != self._fingerprint and checkpoint.query.partition(".")[0] == asked:
            raise CheckpointError(
                "this checkpoint was made with rows of another type; give the pull their type first, and "
                "then resume it: pull().decode_as(row_type).resume_from(checkpoint)"
            )
        return checkpoint.position_for(self.query.path, self._fingerprint)

    @cached_property
    def _fingerprint(self) -> str:
        """Of what is asked, and of the shape of a row: rows of two shapes are not to be joined."""
        path, fields, key = self.query.path, self.query.fields, self.query.key
        asked = fingerprint(path, {"pull": fields, "key": key})
        return f"{asked}.{fingerprint(path, {'rows': _shape_of(self.row_type)})}"


class _PullIteration(Generic[RowT]):
    """One use of a pull, which tells of its latest one. Two at a time know nothing of each other."""

    def __init__(self, pull: Pull[RowT]) -> None:
        self._pull = pull
        self._reader, self._report = pull.begin()
        self._yielded_before = self._report.rows_yielded
        self._started = time.perf_counter()
        self._checkpoint = self._after = self._reader.checkpoint()
        pull.report = self._report
        self._publish()

    async def next_page(self) -> Page[RowT] | None:
        """The next page, or None at the end. To ask for it means to be done with the one before.

        Raises:
            IncompleteError, PaginationError, RequestError: as ``Pull.pages()`` tells.
        """
        self._checkpoint = self._after
        self._publish()
        try:
            page = await self._next()
            if page is None:
                self._checkpoint = self._reader.checkpoint()
                self._publish()
                self._end()
                return None
        except (RequestError, PaginationError) as error:
            error.checkpoint = self._checkpoint
            raise
        self._reader.prefetch()
        self._after = page.checkpoint
        self._notify()
        return page

    async def aclose(self) -> None:
        """End what is in flight."""
        self._report.seconds = time.perf_counter() - self._started
        await self._reader.aclose()

    async def _next(self) -> Page[RowT] | None:
        try:
            return await self._reader.next_page()
        except KeyFilterIgnored as refusal:
            self._reader = await self._fall_back(self._reader, str(refusal))
            self._publish()
            return await self._reader.next_page()

    async def _fall_back(self, run: RangeReader[RowT] | FullScan[RowT], why: str) -> FullScan[RowT]:
        """When the server does not take the key filter; rows given by now are not given again.

        Raises:
            PaginationError: it took it up to now, so that what came cannot be trusted any more.
        """
        await run.aclose()
        given = run.yielded_keys if isinstance(run, RangeReader) else None
        report, path = self._report, self._pull.query.path
        if given is None:
            raise PaginationError(
                f"{path} does not keep to the order of keys that this pull stands on: {why}; "
                "pull(paging='page') reads it by page number",
                report=report,
            )
        report.fallback_reason = why
        # All is read anew: what a run before could not read, and what it gave.
        report.missing, report.earlier_problems, report.unstable_pages = [], EarlierProblems(), 0
        report.rows_yielded -= self._yielded_before
        self._yielded_before = 0
        return self._pull.full_scan(report, given)

    def _publish(self) -> None:
        pull = self._pull
        if pull.report is self._report:
            pull.bad_rows, pull.checkpoint = self._reader.bad_rows, self._checkpoint

    def _end(self) -> None:
        report = self._report
        if report.missing or (self._pull.strict and not report.complete):
            text = f"{self._pull.query.path} was not read completely: {'; '.join(report.problems())}"
            raise IncompleteError(text, checkpoint=self._checkpoint, report=report)

    def _notify(self) -> None:
        report = self._report
        report.seconds = time.perf_counter() - self._started
        if self._pull.on_progress is not None:
            ranges = self._reader.ranges if isinstance(self._reader, RangeReader) else ()
            self._pull.on_progress(
                to_progress(report, seconds=report.seconds, rows_before=self._yielded_before, ranges=ranges)
            )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _shape_of(row_type: Any) -> object:
    try:
        return msgspec.json.schema(plain_type(row_type))
    except TypeError:  # a type of the caller's own that has no schema
        return type_name(row_type)
