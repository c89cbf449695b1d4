# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""A pull as an Arrow C stream, for pyarrow, polars, DuckDB and others.

Such a reader is synchronous: it waits for each batch in its thread, while the pull runs in an event loop of
another thread.
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
from aiwyn_async.errors import ConfigurationError, DecodeError, ExportError, LoopMismatchError, RequestError

__all__ = ["ArrowStream", "PagedRead", "c_stream", "check_ids"]

ResultT = TypeVar("ResultT")

CHECK_INTERVAL: Final = 1.0
"""Seconds between checks that the event loop still runs."""


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

    def mask(self, error: RequestError) -> RequestError:
        """Mask credentials in an error found in a row; drop its frames."""
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
    """Return an ``arrow_array_stream`` capsule: one record batch per page.

    Money is decimal128, times are UTC.

    Args:
        pull: read from its beginning.
        loop: the event loop of its client; if it does not run, a new one runs in its own thread.
        requested_schema: defined by the protocol; pyarrow casts to it if it can.
        options: how values become columns.

    Raises:
        LoopMismatchError: this thread runs an event loop, which waiting would block.
        ConfigurationError: pyarrow is missing, or the rows have no columns.
    """
    _refuse_in_event_loop()
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
    """A pull as an Arrow C stream with column options, for pyarrow, polars and DuckDB.

    Args:
        pull: each reader reads it from its beginning.
        loop: the event loop of its client.
        options: how values become columns.
    """

    def __init__(
        self, pull: PagedRead, loop: asyncio.AbstractEventLoop | None, options: ColumnOptions
    ) -> None:
        self._pull = pull
        self._loop = loop
        self._options = options

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Start to read the pull. See ``Pull.__arrow_c_stream__``."""
        return c_stream(self._pull, self._loop, requested_schema, self._options)


def _refuse_in_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise LoopMismatchError(
        "an Arrow stream waits for its rows, which would block the event loop of this thread; read it in "
        "another thread: await asyncio.to_thread(pyarrow.table, pull)"
    )


def _record_batches(
    pull: PagedRead, schema: Any, loop: asyncio.AbstractEventLoop | None
) -> Generator[Any, None, None]:
    """Yield record batches, fetched one by one. Closing the generator ends the pull."""
    read = raw_pages(pull)
    pages = _Pages(read.pages())
    with _LoopBridge(loop) as bridge:
        try:
            while (page := bridge.wait_for(pages.next())) is not None:
                pull.adopt(read.report, read.bad_rows)
                rows = PageRows.of([page], pull.on_bad_row)
                del page
                table = _convert(pull, schema, rows)
                rows.counts.add_to(read.report)
                read.bad_rows.extend(rows.bad_rows)
                check_ids(table.schema, schema.arrow)
                yield from table.to_batches()
        finally:
            pull.adopt(read.report, read.bad_rows)
            bridge.close(pages.aclose())


def _convert(pull: PagedRead, schema: Any, rows: PageRows) -> Any:
    try:
        return schema.table(rows)
    except DecodeError as error:
        refused = pull.mask(error)
    raise refused


def check_ids(actual: Any, expected: Any) -> None:
    """Refuse a text id in an integer column.

    Raises:
        ExportError: a column has a text id.
    """
    columns = [field.name for field, other in zip(actual, expected, strict=True) if field != other]
    if columns:
        raise ExportError(
            f"an id in {', '.join(columns)} is text, and a column that has begun with integers cannot "
            'change its type; pass ids="text" to export() or arrow_stream()'
        )


class _Pages:
    """Pages for another thread; its exceptions end the wait, not the request."""

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
    """Runs coroutines in another thread's event loop and waits for them here.

    Args:
        loop: the event loop; if it does not run, a new one runs in its own thread until the exit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._running = loop if loop is not None and loop.is_running() else None
        self._own: _OwnLoop | None = None

    def __enter__(self) -> Self:
        if self._running is None:
            self._own = _OwnLoop()
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.stop()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._own is not None:
            return self._own.loop
        assert self._running is not None  # one of the two is there  # noqa: S101
        return self._running

    def wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return the result of a coroutine, or raise its error.

        Raises:
            LoopMismatchError: this thread runs an event loop, or that of the pull has stopped.
        """
        try:
            _refuse_in_event_loop()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        while True:
            try:
                return future.result(CHECK_INTERVAL)
            except TimeoutError:
                if future.done():
                    raise  # from the coroutine
                if not self._loop.is_running():
                    future.cancel()
                    raise LoopMismatchError("the event loop of this pull has stopped") from None
            except concurrent.futures.CancelledError:
                raise LoopMismatchError("the event loop of this pull was stopped") from None
            except LoopMismatchError:
                if self._own is None:
                    raise
                raise LoopMismatchError(
                    "the client is in use on another thread's event loop; call pull() there, "
                    "and read the result in this thread"
                ) from None
            except BaseException:
                future.cancel()
                raise

    def close(self, closing: Coroutine[Any, Any, None]) -> None:
        """Close the pages and wait for that, unless this thread runs an event loop.

        The garbage collector can drop a reader in any thread.
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
    """An event loop in its own thread."""

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
        """Stop the event loop and wait for its thread."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
