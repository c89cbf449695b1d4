"""``Pull``, the bulk read."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cached_property, lru_cache
from typing import Any, Final, Generic, Never, TypeVar, overload

import msgspec

from aiwyn_async._core.pull_report import KeyRange, PullReport
from aiwyn_async._core.reports import EarlierProblems
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.page import Checkpoint, Page, Position, fingerprint
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import ReportedRead, type_name
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.full_scan import RESTART, FullScan
from aiwyn_async._pull.key_ranges import KeyFilterIgnored
from aiwyn_async._pull.progress import to_progress
from aiwyn_async._pull.range_reader import RangeReader
from aiwyn_async.errors import AiwynError, CheckpointError, IncompleteError, PaginationError, RequestError

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")
ChunkT = TypeVar("ChunkT")

PULL_OPTIONS: Final = ("page_size", "ranges", "ordered", "strict", "on_bad_row", "resume", "on_progress")


class Pull(ReportedRead[RowT, PullReport]):
    """All rows of a resource, read in bulk.

    If rows can be searched by key, key ranges are read concurrently, each in key order: rows that are
    inserted, changed or deleted during the read shift nothing. Otherwise the list is read by page number
    until two scans have the same keys. ``report`` says which method was used and what is missing. A page that
    fails is requested again at half the size.

    Raises:
        ConfigurationError: an option is out of bounds, or the checkpoint belongs to another query.
    """

    def __init__(
        self, session: Session, query: Query, row_type: type[RowT], options: ReadOptions | None = None
    ) -> None:
        super().__init__(session, query, row_type, options)
        self.on_progress: Callable[[Any], None] | None = self.options.on_progress
        self._report = PullReport()
        self._bad_rows: list[BadRow] = []
        self._position = None if self.options.resume is None else self._position_of(self.options.resume)
        self._start()  # raises before anything is sent if the position is damaged

    def _chunks(self) -> AsyncGenerator[list[RowT], None]:
        return self._iterate(lambda page: page.items)

    def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        return self._iterate(lambda page: (page,))

    async def _iterate(self, chunk_of: Callable[[Page[RowT]], ChunkT]) -> AsyncGenerator[ChunkT, None]:
        with self._session.observe_read(self.query.path) as observation:
            pages = _PullIteration(self, self._start, self._full_scan, self._publish)
            observation.report = pages.report
            async with aclosing(pages):
                while (page := await pages.next_page()) is not None:
                    chunk = chunk_of(page)
                    # The page and its bytes are released before the next one is decoded.
                    del page
                    yield chunk
                    del chunk

    def _start(self) -> RangeReader[RowT] | FullScan[RowT]:
        query = self.query
        partition = None if query.key_range is None else query.pull_fingerprint()
        report = PullReport(resumed=self.is_resumed, partition=partition)
        if not query.by_key or self._position == RESTART:
            if query.by_key:
                report.fallback_reason = "the read that it resumes changed to full scans"
            return self._full_scan(report, KeySet())
        return RangeReader(
            self._session,
            query,
            self.page_type,
            self.options,
            report=report,
            bind=self._bind,
            resume=self._position,
        )

    def _full_scan(self, report: PullReport, yielded: KeySet) -> FullScan[RowT]:
        """Return a reader by page number that skips the rows of these keys."""
        return FullScan(
            self._session,
            msgspec.structs.replace(self.query, by_key=False),
            self.page_type,
            self.options,
            report=report,
            bind=self._bind,
            yielded_keys=yielded,
        )

    async def count(self) -> int:
        """Return the server's count, or the number of keys without one.

        Raises:
            IncompleteError: as ``Pager.count()``.
        """
        return await Pager(self._session, self.query, dict[str, Any]).count()

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> Pull[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> Pull[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> Pull[OtherT]: ...
    def decode_as(self, row_type: type[Any]) -> Pull[Any]:
        """Return the same pull with rows of a Struct, ``dict`` or ``msgspec.Raw``.

        Raises:
            CheckpointError: the pull resumes a pull of another row type; rows of two types must not be
                joined. Call ``pull().decode_as(row_type).resume_from(checkpoint)``.
        """
        pull: Pull[Any] = self._with(row_type=row_type)
        return pull

    def _with(self, row_type: Any = None, **changes: Any) -> Any:
        return super()._with(row_type, **({"on_progress": self.on_progress} | changes))

    def _publish(
        self,
        report: PullReport,
        bad_rows: list[BadRow],
        checkpoint: Checkpoint,
        error: AiwynError | None = None,
    ) -> None:
        """Show the state of an iteration, if it is the latest."""
        if self._report is report:
            self._bad_rows, self._checkpoint = bad_rows, checkpoint
            self._end_with(error)

    def _bind(self, position: Position) -> Checkpoint:
        return Checkpoint(endpoint=self.query.path, query=self._fingerprint, position=position)

    def _position_of(self, checkpoint: Checkpoint) -> Position:
        query = self._fingerprint.partition(".")[0]
        if checkpoint.query != self._fingerprint and checkpoint.query.partition(".")[0] == query:
            raise CheckpointError(
                "the checkpoint was made with another row type; call decode_as(row_type) before "
                "resume_from(checkpoint)"
            )
        position = checkpoint.position_for(self.query.path, self._fingerprint)
        if not self.query.by_key and position != RESTART:
            raise CheckpointError(
                "the checkpoint is of a pull by key ranges, and a full scan would yield its rows again; "
                "resume with the same paging, or start a new read without resume"
            )
        return position

    @cached_property
    def _fingerprint(self) -> str:
        """Of the query, and of the shape of a row: rows of two shapes must not be joined."""
        path, query = self.query.path, self.query.pull_fingerprint()
        row_type: Any = self.row_type
        rows = _shape_fingerprint(path, row_type)
        return f"{fingerprint(path, {'query': query, 'server': self.query.server})}.{rows}"


class _PullIteration(Generic[RowT]):
    """One use of a pull, which shows the latest; concurrent uses share no state."""

    def __init__(
        self,
        pull: Pull[RowT],
        start: Callable[[], RangeReader[RowT] | FullScan[RowT]],
        full_scan: Callable[[PullReport, KeySet], FullScan[RowT]],
        publish: Callable[..., None],
    ) -> None:
        self._pull = pull
        self._full_scan = full_scan
        self._publish_to_pull = publish
        self._reader = start()
        self.report: PullReport = self._reader.report
        self._yielded_before = self.report.rows_yielded
        self._started = time.perf_counter()
        self._checkpoint = self._after = self._reader.checkpoint()
        pull.adopt(self.report, self._reader.bad_rows)
        self._publish()

    async def next_page(self) -> Page[RowT] | None:
        """Return the next page or None; the page before it counts as processed.

        Raises:
            IncompleteError, PaginationError, RequestError: see ``Read.pages()``.
        """
        self._checkpoint = self._after
        self._publish()
        try:
            page = await self._next()
            if page is None:
                self._checkpoint = self._reader.checkpoint()
                self._publish()
                self._check_complete()
                return None
        except (RequestError, PaginationError) as error:
            error.checkpoint = self._checkpoint
            if isinstance(error, PaginationError):
                error.report = self.report
            self._publish(error)
            raise
        self._reader.prefetch()
        self._after = page.checkpoint
        self._notify()
        return page

    async def aclose(self) -> None:
        self.report.seconds = time.perf_counter() - self._started
        await self._reader.aclose()

    async def _next(self) -> Page[RowT] | None:
        try:
            return await self._reader.next_page()
        except KeyFilterIgnored as error:
            self._reader = await self._fall_back(self._reader, str(error))
            self._publish()
            return await self._reader.next_page()

    async def _fall_back(self, reader: RangeReader[RowT] | FullScan[RowT], reason: str) -> FullScan[RowT]:
        """Return a full scan that skips the rows yielded so far.

        Raises:
            PaginationError: the server applied the key filter before, so the rows cannot be trusted; or the
                scan would yield the rows of other partitions.
        """
        await reader.aclose()
        yielded = reader.yielded_keys if isinstance(reader, RangeReader) else None
        report, path = self.report, self._pull.query.path
        if self._pull.query.key_range not in {None, KeyRange(None, None)}:
            raise PaginationError(
                f"{path} cannot be read in partitions: {reason}; use pull(), or plan(paging='page')"
            )
        if yielded is None:
            raise PaginationError(
                f"{path} did not return rows in key order: {reason}; "
                "pass paging='page' to read it by page number"
            )
        report.fallback_reason = reason
        # Everything is read again: what an earlier pull could not read, and what it yielded.
        report.missing, report.earlier_problems, report.unstable_pages = [], EarlierProblems(), 0
        report.rows_yielded -= self._yielded_before
        self._yielded_before = 0
        scan = self._full_scan(report, yielded)
        scan.bad_rows += reader.bad_rows
        return scan

    def _publish(self, error: AiwynError | None = None) -> None:
        self._publish_to_pull(self.report, self._reader.bad_rows, self._checkpoint, error)

    def _check_complete(self) -> None:
        report = self.report
        if report.missing or (self._pull.strict and not report.complete):
            text = f"{self._pull.query.path} was not read completely: {'; '.join(report.problems())}"
            raise IncompleteError(text, checkpoint=self._checkpoint, report=report)

    def _notify(self) -> None:
        report = self.report
        report.seconds = time.perf_counter() - self._started
        if self._pull.on_progress is not None:
            ranges = self._reader.ranges if isinstance(self._reader, RangeReader) else ()
            self._pull.on_progress(
                to_progress(report, seconds=report.seconds, rows_before=self._yielded_before, ranges=ranges)
            )


@lru_cache(maxsize=256)
def _shape_fingerprint(path: str, row_type: Any) -> str:
    """Of the schema of the rows, which takes milliseconds to make."""
    try:
        shape: object = msgspec.json.schema(plain_type(row_type))
    except TypeError:  # a type of the caller that has no schema
        shape = type_name(row_type)
    return fingerprint(path, {"rows": shape})
