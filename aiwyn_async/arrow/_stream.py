# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A read as an Arrow C stream, for pyarrow, polars, DuckDB and others.

Such a reader is synchronous: it waits for each batch in its thread, while the read runs in an event loop of
another thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from aiwyn_async._core.checks import needs_extra
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async.arrow._options import UNCHANGED, ColumnOptions, column_options
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import AiwynError, DecodeError, ExportError, LoopMismatchError

if TYPE_CHECKING:  # a higher floor
    from aiwyn_async._pagination.page import Page
    from aiwyn_async._pagination.read import Read

ResultT = TypeVar("ResultT")

CHECK_INTERVAL: Final = 1.0
"""Seconds between checks that the event loop still runs."""


class ArrowReadable:
    """The Arrow methods of reads."""

    def _arrow_read(self) -> Any:
        """Return the read that a stream reads."""
        return self

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return an Arrow C stream, for ``pyarrow.table(read)``.

        Money is decimal128(38, 9), times are UTC microseconds; naive times are read as UTC. Unless the read
        may block, it must be read in another thread than the event loop's, as by
        ``await asyncio.to_thread(pyarrow.table, read)``; without a running loop, one is started for it. If
        the consumer raises an error of its own, ``error`` has the cause.

        Raises:
            LoopMismatchError: called in a thread that runs an event loop, and the read may not block it.
            ConfigurationError: pyarrow is not installed, or the rows have no columns.
        """
        return ArrowStream(self._arrow_read(), UNCHANGED).__arrow_c_stream__(requested_schema)

    def arrow_stream(
        self,
        *,
        ids: Literal["auto", "text"] = "auto",
        date_columns: Iterable[str] = (),
        round_money: int | None = None,
        extra: Literal["json"] | None = None,
    ) -> ArrowStream:
        """Return the read as an Arrow C stream with chosen columns.

        Args:
            ids: "text" makes every id column text; "auto" makes it integers and refuses text.
            date_columns: wire names of timestamps whose calendar day, as on the wire, becomes a date column.
            round_money: decimal places, 0 to 9, to round amounts to; rounded amounts are counted.
            extra: "json" adds the column ``extra``: the fields that the row type does not declare, as JSON.

        Raises:
            ConfigurationError: an option is invalid, or names a column that it does not apply to.
        """
        read = self._arrow_read()
        options = column_options(
            plain_type(read.row_type),
            ids=ids,
            date_columns=date_columns,
            round_money=round_money,
            extra=extra,
        )
        return ArrowStream(read, options)


class ArrowStream:
    """A read as an Arrow C stream with column options, for pyarrow, polars and DuckDB.

    Args:
        read: each reader reads it from its beginning.
        options: how values become columns.
    """

    def __init__(self, read: Read[Any], options: ColumnOptions) -> None:
        self._read = read
        self._options = options

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Start to read: one record batch per page. See ``Pull.__arrow_c_stream__``.

        The protocol defines ``requested_schema``; pyarrow casts to it if it can.
        """
        _refuse_in_event_loop(self._read)
        with needs_extra("an Arrow stream needs pyarrow", "arrow"):
            import pyarrow as pa  # noqa: PLC0415 (an extra, which may be missing)

            from aiwyn_async.arrow._table import RowSchema  # noqa: PLC0415 (it needs the extra too)
        schema = RowSchema(plain_type(self._read.row_type), self._options)
        batches = _record_batches(self._read, schema)
        reader: Any = pa.RecordBatchReader.from_batches(schema.arrow, batches)
        capsule: object = reader.__arrow_c_stream__(requested_schema)
        return capsule


def running_loop_or_none() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _can_wait(read: Read[Any]) -> bool:
    running = running_loop_or_none()
    return running is None or (read.may_block and running is not read.loop)


def _refuse_in_event_loop(read: Read[Any]) -> None:
    if _can_wait(read):
        return
    raise LoopMismatchError(
        "an Arrow stream waits for its rows, which would block the event loop of this thread; read it in "
        "another thread: await asyncio.to_thread(pyarrow.table, read)"
    )


def _record_batches(read: Read[Any], schema: Any) -> Generator[Any, None, None]:
    """Yield record batches, fetched one by one. Closing the generator ends the read."""
    use = read.undecoded()
    pages = Pages(use.pages())
    rows = table = None
    with _LoopBridge(read) as bridge:
        try:
            while (page := bridge.wait_for(pages.next())) is not None:
                read.follow(use)
                rows = PageRows([page], read.on_bad_row, read.query.key)
                del page
                table = to_table(read, schema, rows)
                use.record(rows.counts, rows.bad_rows)
                check_ids(table.schema, schema.arrow, "arrow_stream()")
                yield from table.to_batches()
        except AiwynError as error:
            use.error = error
            raise
        finally:
            page = rows = table = None  # the frames of an error that is retained must not hold rows
            read.follow(use)
            bridge.close(pages.aclose())


def to_table(read: Read[Any], schema: Any, rows: PageRows) -> Any:
    """Convert rows of a read to a table.

    Raises:
        DecodeError: a row does not decode; credentials in the text are masked.
    """
    try:
        return schema.table(rows)
    except DecodeError as error:
        refused = read.mask(error)
    del rows
    raise refused  # without the frames above, whose locals hold the row


def check_ids(actual: Any, expected: Any, option_of: str) -> None:
    """Refuse a text id in an integer column; ``ids`` of ``option_of`` makes ids text."""
    columns = [field.name for field, other in zip(actual, expected, strict=True) if field != other]
    if columns:
        raise ExportError(
            f"an id in {', '.join(columns)} is text, and a column that has begun with integers cannot "
            f'change its type; pass ids="text" to {option_of}'
        )


class Pages:
    """Pages for another thread; its exceptions end the wait, not the request."""

    def __init__(self, pages: AsyncGenerator[Page[Any], None]) -> None:
        self._pages = pages
        self._one_at_a_time = asyncio.Lock()

    async def next(self) -> Page[Any] | None:
        """Return the next page, or None after the last."""
        async with self._one_at_a_time:
            return await anext(self._pages, None)

    async def aclose(self) -> None:
        """Close the pages; a step that was cancelled ends first."""
        async with self._one_at_a_time:
            await self._pages.aclose()


class _LoopBridge:
    """Runs coroutines in another thread's event loop and waits for them here.

    If the event loop of the read does not run, a new one runs in its own thread until the exit.
    """

    def __init__(self, read: Read[Any]) -> None:
        self._read = read
        self._own: _OwnLoop | None = None
        if read.loop is not None and read.loop.is_running():
            self._loop = read.loop
        else:
            self._own = _OwnLoop()
            self._loop = self._own.loop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.stop()

    def wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return the result of a coroutine, or raise its error.

        Raises:
            LoopMismatchError: this thread runs an event loop, or that of the read has stopped.
        """
        try:
            _refuse_in_event_loop(self._read)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        while True:
            try:
                return future.result(CHECK_INTERVAL)
            except TimeoutError:
                if future.done():
                    return future.result()  # it completed just then, or raised a TimeoutError of its own
                if not self._loop.is_running():
                    future.cancel()
                    raise LoopMismatchError("the event loop of this read has stopped") from None
            except concurrent.futures.CancelledError:
                raise LoopMismatchError("the event loop of this read was stopped") from None
            except LoopMismatchError:
                if self._own is None:
                    raise
                raise LoopMismatchError(
                    "the client is in use on another thread's event loop; create the read there, "
                    "and pass it to this thread"
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
        if _can_wait(self._read):
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
        if threading.current_thread() is not self._thread:  # the garbage collector runs in any thread
            self._thread.join()
