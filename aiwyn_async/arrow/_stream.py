# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""A pull as an Arrow C stream, for pyarrow, polars, DuckDB and whatever else reads one.

Such a reader is not asynchronous: it waits for each batch in its own thread, and the pull goes on in an event
loop of another thread meanwhile.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, Final, Protocol, Self, TypeVar

from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async._pagination.page import Page
from aiwyn_async._pagination.query import Query
from aiwyn_async.arrow._options import UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows, raw_pages
from aiwyn_async.errors import ConfigurationError, ExportError, LoopMismatchError

__all__ = ["ArrowStream", "PagedRead", "c_stream"]

ResultT = TypeVar("ResultT")

CHECK_INTERVAL: Final = 1.0
"""Seconds of waiting after which a loop is looked at: one that has ended gives no answer any more."""


class PagedRead(Protocol):
    """What a stream needs of a read."""

    query: Query

    @property
    def report(self) -> Any:
        """The report of the latest use."""
        ...

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, if they are collected."""
        ...

    @property
    def on_bad_row(self) -> OnBadRow:
        """What happens to rows that do not decode."""
        ...

    @property
    def row_type(self) -> Any:
        """A Struct."""
        ...

    def adopt(self, report: Any, bad_rows: list[BadRow]) -> None:
        """Show the report of the stream."""
        ...

    def decode_as(self, row_type: Any, /) -> PagedRead:
        """Return the same read with rows of another type."""
        ...

    def pages(self) -> AsyncGenerator[Page[Any], None]:
        """Iterate over the pages."""
        ...


def c_stream(
    pull: PagedRead,
    loop: asyncio.AbstractEventLoop | None,
    requested_schema: object,
    options: ColumnOptions = UNCHANGED,
) -> object:
    """A capsule named ``arrow_array_stream``: a record batch a page, money decimal128, times UTC.

    Args:
        pull: read from its beginning.
        loop: the event loop that its client is used in; where it does not run, one of its own is run.
        requested_schema: as the protocol has it; pyarrow casts to it where it can.
        options: how values become columns.

    Raises:
        LoopMismatchError: this thread runs an event loop, which waiting would bring to a halt.
        ConfigurationError: pyarrow is missing, or the rows have no columns.
    """
    _refuse_in_a_loop()
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra, which may be missing)

        from aiwyn_async.arrow._table import RowSchema  # noqa: PLC0415 (it needs the extra too)
    except ImportError:
        raise ConfigurationError(
            'an Arrow stream needs pyarrow; run: pip install "aiwyn-async[arrow]"'
        ) from None
    schema = RowSchema(plain_type(pull.row_type), options)
    batches = _record_batches(pull, schema, loop)
    reader: Any = pa.RecordBatchReader.from_batches(schema.arrow, batches)
    capsule: object = reader.__arrow_c_stream__(requested_schema)
    return capsule


class ArrowStream:
    """A pull as an Arrow C stream, with a choice of columns: pyarrow, polars and DuckDB read it.

    Args:
        pull: read from its beginning by each reader.
        loop: the event loop that its client is used in.
        options: how values become columns.
    """

    def __init__(
        self, pull: PagedRead, loop: asyncio.AbstractEventLoop | None, options: ColumnOptions
    ) -> None:
        self._pull = pull
        self._loop = loop
        self._options = options

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Begin to read the pull. See ``Pull.__arrow_c_stream__``."""
        return c_stream(self._pull, self._loop, requested_schema, self._options)


def _refuse_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise LoopMismatchError(
        "an Arrow stream waits for its rows, which would halt the event loop of this thread; read it in "
        "another thread: await asyncio.to_thread(pyarrow.table, pull)"
    )


def _record_batches(
    pull: PagedRead, schema: Any, loop: asyncio.AbstractEventLoop | None
) -> Generator[Any, None, None]:
    """Record batches, fetched one by one. Dropping the generator ends the pull."""
    walk = raw_pages(pull)
    pages = _Pages(walk.pages())
    with _LoopBridge(loop) as waiting:
        try:
            while (page := waiting.wait_for(pages.next())) is not None:
                pull.adopt(walk.report, walk.bad_rows)
                rows = PageRows.of([page], pull.on_bad_row)
                del page
                table = schema.table(rows)
                rows.counts.add_to(walk.report)
                walk.bad_rows.extend(rows.bad_rows)
                _check_ids(table.schema, schema.arrow)
                yield from table.to_batches()
        finally:
            pull.adopt(walk.report, walk.bad_rows)
            waiting.end(pages.aclose())


def _check_ids(found: Any, wanted: Any) -> None:
    """Refuse text in a column whose type is fixed.

    Raises:
        ExportError: it names the columns, and the option to begin with.
    """
    columns = [field.name for field, other in zip(found, wanted, strict=True) if field != other]
    if columns:
        raise ExportError(
            f"an id in {', '.join(columns)} is text, and a stream cannot change the type of a column; "
            'read arrow_stream(ids="text") of the pull instead'
        )


class _Pages:
    """Asked from another thread, where an exception can end the wait for a page but not the page."""

    def __init__(self, pages: AsyncGenerator[Page[Any], None]) -> None:
        self._pages = pages
        self._one_at_a_time = asyncio.Lock()

    async def next(self) -> Page[Any] | None:
        async with self._one_at_a_time:
            return await anext(self._pages, None)

    async def aclose(self) -> None:
        async with self._one_at_a_time:
            await self._pages.aclose()


class _LoopBridge:
    """Waits in this thread for what an event loop of another thread does.

    Args:
        loop: the event loop; where it does not run, one is run in a thread of its own until the exit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._given = loop if loop is not None and loop.is_running() else None
        self._own: _OwnLoop | None = None

    def __enter__(self) -> Self:
        if self._given is None:
            self._own = _OwnLoop()
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.stop()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._own is not None:
            return self._own.loop
        assert self._given is not None  # one of the two is there  # noqa: S101
        return self._given

    def wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Its result, or its error.

        Raises:
            LoopMismatchError: this thread runs an event loop, or that of the pull has ended.
        """
        try:
            _refuse_in_a_loop()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        while True:
            try:
                return future.result(CHECK_INTERVAL)
            except TimeoutError:
                if future.done():
                    raise  # the work's own
                if not self._loop.is_running():
                    future.cancel()
                    raise LoopMismatchError("the event loop of this pull has ended before the pull") from None
            except concurrent.futures.CancelledError:
                raise LoopMismatchError("the event loop of this pull was ended during the pull") from None
            except LoopMismatchError:
                if self._own is None:
                    raise
                raise LoopMismatchError(
                    "the client is in use on another thread's event loop; call pull() there, "
                    "and read what it gives in this thread"
                ) from None
            except BaseException:
                future.cancel()
                raise

    def end(self, closing: Coroutine[Any, Any, None]) -> None:
        """Have what is in flight ended, and wait for it where that is possible.

        A reader can be dropped by the garbage collector in any thread, that of the event loop among them.
        """
        if not self._loop.is_running():
            closing.close()
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.wait_for(closing)
        else:
            asyncio.run_coroutine_threadsafe(closing, self._loop)


class _OwnLoop:
    """An event loop in a thread of its own; what was opened in it is closed with it."""

    def __init__(self) -> None:
        started: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name="aiwyn-arrow-stream", daemon=True
        )
        self._thread.start()
        self.loop = started.result()

    async def _run(self, started: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        self._stopped = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await self._stopped.wait()

    def stop(self) -> None:
        """End it, and wait for that."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
