"""Reads whose rows a plain ``for`` yields."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Generic, Never, Self, TypeVar, cast, overload

from aiwyn_async._changes.changes import Changes
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.read import Read
from aiwyn_async.arrow._stream import ArrowReadable
from aiwyn_async.blocking._thread import LoopThread
from aiwyn_async.errors import AiwynError, ConfigurationError

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")
ReportT = TypeVar("ReportT", bound=ListReport | PullReport)


class CallerIterable(Generic[ItemT]):
    """Items of an iterable that only the caller's thread reads, in blocks, as the client needs them.

    The iterable can make calls itself, and can belong to its thread, as a cursor of SQLite does.

    Args:
        items: read from its beginning.
        size: items per block.
    """

    def __init__(self, items: Iterable[ItemT], size: int) -> None:
        self._items = iter(items)
        self._size = size
        self._items_read: list[ItemT] = []
        self._block: Iterator[ItemT] = iter(())
        self._error: Exception | None = None
        self._is_ended = self._was_interrupted = False
        self.is_needed: bool = False
        self._turn: Final = asyncio.Condition()

    @classmethod
    def of(cls, items: Any, size: int) -> tuple[Any, Self | None]:
        """Return what to pass to the client, and its supply; a collection is passed as it is."""
        if _is_in_memory(items):
            return items, None
        supply = cls(items, size)
        return supply, supply

    def fill(self) -> None:
        """Read a block, in the caller's thread, while the client waits for it."""
        already_read, was_interrupted = len(self._items_read), self._was_interrupted
        self._was_interrupted = True
        try:
            self._items_read.extend(islice(self._items, self._size - already_read))
            if was_interrupted and len(self._items_read) == already_read < self._size:
                # A generator that raises has ended, wherever it was.
                self._error = ConfigurationError(
                    "the iterable was interrupted and then ended, so items may be missing; pass a list"
                )
        except Exception as error:  # noqa: BLE001 (the client raises it, after the items before it)
            self._error = error
        self._was_interrupted = False
        self._is_ended = len(self._items_read) < self._size
        self._block, self._items_read = iter(self._items_read), []
        self.is_needed = False

    async def resume(self) -> None:
        """Let the client continue with a block."""
        async with self._turn:
            self._turn.notify_all()

    async def wait_until_needed(self) -> None:
        """Wait until the client waits for a block."""
        async with self._turn:
            await self._turn.wait_for(lambda: self.is_needed)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        for item in self._block:
            return item
        if not self._is_ended:
            async with self._turn:
                self.is_needed = True
                self._turn.notify_all()
                await self._turn.wait_for(lambda: not self.is_needed)
            for item in self._block:
                return item
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


def _is_in_memory(items: object) -> bool:
    return isinstance(items, (Collection, AsyncIterable)) or not isinstance(items, Iterable)


class BlockingIteration(Iterator[ItemT]):
    """Iterates over rows, pages or results, one call of the event loop per page.

    A step that Ctrl-C interrupts can be repeated without loss. Requests in flight end when the iteration is
    dropped, as by ``break``.
    """

    def __init__(
        self, thread: LoopThread, iteration: Iteration[ItemT], supply: CallerIterable[Any] | None = None
    ) -> None:
        self._thread = thread
        self._iteration = iteration
        self._supply = supply
        self._left: deque[ItemT] = deque()
        self._lock = threading.Lock()
        self._one_at_a_time = asyncio.Lock()

    def __next__(self) -> ItemT:
        left = self._left
        while True:
            try:
                # Not popleft(): Ctrl-C is raised after a call, and what the call returned would be lost.
                item = left[0]
                del left[0]
                return item  # noqa: TRY300
            except IndexError:
                pass
            with self._lock:  # several threads may share the rows
                if not self._left and not self._read_chunk():
                    raise StopIteration

    def close(self) -> None:
        """End the iteration and its requests in flight."""
        self._left.clear()
        self._thread.call(self._iteration.aclose)

    def _read_chunk(self) -> bool:
        """Read the next chunk; False at the end."""
        if self._supply is None:
            return self._thread.call(self._fill)
        while (has_items := self._thread.call(self._fill_unless_needed, self._supply)) is None:
            self._supply.fill()
        return has_items

    async def _fill(self) -> bool:
        async with self._one_at_a_time:
            if self._left:  # filled by a call that Ctrl-C left behind
                return True
            chunk = await self._iteration.next_chunk()
            # Here, since Ctrl-C may keep a return value from the thread that waits for it.
            self._left.extend(chunk)
            return bool(chunk)

    async def _fill_unless_needed(self, supply: CallerIterable[Any]) -> bool | None:
        """Read the next chunk; or return None if the client waits for the supply."""
        await supply.resume()
        filling = asyncio.ensure_future(self._fill())
        needed = asyncio.ensure_future(supply.wait_until_needed())
        try:
            await asyncio.wait([filling, needed], return_when=asyncio.FIRST_COMPLETED)
            return filling.result() if filling.done() else None
        finally:
            filling.cancel()  # the step of the iteration continues
            needed.cancel()


class BlockingRead(ArrowReadable, Generic[RowT, ReportT]):
    """A ``Pager``, ``Pull`` or ``Changes`` whose methods block.

    It sends nothing before it is used. Each use starts from the beginning (or from the checkpoint passed as
    ``resume``); the attributes describe the latest use.

    Attributes:
        thread: runs the event loop of the client.
        source: the read itself, which only that event loop may use.
    """

    def __init__(self, thread: LoopThread, read: Read[RowT]) -> None:
        self.thread = thread
        self.source = read

    def __repr__(self) -> str:
        return repr(self.source)

    def _repr_html_(self) -> str:
        source: Any = self.source
        html: str = source._repr_html_()
        return html

    def __iter__(self) -> BlockingIteration[RowT]:
        """Iterate over all rows, fetching pages as needed."""
        return BlockingIteration(self.thread, aiter(self.source))

    def pages(self) -> BlockingIteration[Page[RowT]]:
        """Iterate over the pages; see ``Read.pages()``."""
        return BlockingIteration(self.thread, self.source.pages())

    def collect(self) -> list[RowT]:
        """Return all rows in a list. Memory grows with them: about 1 KB per invoice."""
        return self.thread.call(self.source.collect)

    def first(self) -> RowT | None:
        """Return the first row, or None if there is none."""
        return self.thread.call(self.source.first)

    def count(self) -> int:
        """Return the server's count, or the number of keys without one; changes are counted by key."""
        return self.thread.call(self.source.count)

    @property
    def report(self) -> ReportT:
        """What the latest use did, and whether it is complete."""
        return cast("ReportT", self.source.report)

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, if they are collected."""
        return self.source.bad_rows

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where to resume after the rows yielded so far; None before the first use."""
        return self.source.checkpoint

    @property
    def error(self) -> AiwynError | None:
        """The error that ended the latest use, or None."""
        return self.source.error

    @property
    def row_type(self) -> type[RowT]:
        """The type of the rows: a Struct, ``dict`` or ``msgspec.Raw``."""
        return self.source.row_type

    def _arrow_read(self) -> Read[RowT]:
        """Return the read, for an Arrow reader that waits for the event loop of the client."""
        self.source.loop, self.source.may_block = self.thread.loop(), True
        return self.source

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> BlockingRead[Any, ReportT]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> BlockingRead[dict[str, Any], ReportT]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> BlockingRead[OtherT, ReportT]: ...
    def decode_as(self, row_type: type[Any]) -> BlockingRead[Any, ReportT]:
        """Return the same read with rows of a Struct, ``dict`` or ``msgspec.Raw``; see ``Pager``.

        Raises:
            ConfigurationError: no row can be decoded as that type.
            CheckpointError: the read resumes a pull of another row type.
        """
        read: Any = self.source
        return type(self)(self.thread, read.decode_as(row_type))

    def resume_from(self, checkpoint: Checkpoint | str | bytes) -> Self:
        """Return the same read from a checkpoint on.

        Raises:
            CheckpointError: the checkpoint belongs to another query or row type.
        """
        return type(self)(self.thread, self.source.resume_from(checkpoint))


class BlockingChanges(BlockingRead[RowT, ListReport | PullReport]):
    """A ``Changes`` whose methods block."""

    source: Changes[RowT]

    def __init__(self, thread: LoopThread, read: Changes[RowT]) -> None:
        super().__init__(thread, read)

    @property
    def bookmark(self) -> str | None:
        """What ``ack()`` stores, as on the wire; None before it is known."""
        return self.source.bookmark

    @property
    def complete(self) -> bool:
        """True if all rows changed up to the bookmark were yielded, without a problem."""
        return self.source.complete

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened that is not a problem, such as that all rows were read again."""
        return self.source.notes

    @property
    def possible_gaps(self) -> tuple[str, ...]:
        """What a read proven complete may still miss, such as rows dated ahead."""
        return self.source.possible_gaps

    def problems(self) -> list[str]:
        """Return every reason why the read is not proven complete; empty if there is none."""
        return self.source.problems()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete, which makes ``ack()`` refuse."""
        return self.source.blocking_problems()

    def ack(self) -> None:
        """Move the bookmark of ``state`` to this read's end; call after storing the rows.

        Raises:
            IncompleteError: the read did not reach its end, or is not proven complete; see ``problems()``.
            ConfigurationError: no ``state`` was passed; store ``bookmark`` yourself.
        """
        self.thread.call(self.source.ack)

    @overload
    def decode_as(self, row_type: type[Never]) -> BlockingChanges[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> BlockingChanges[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> BlockingChanges[OtherT]: ...
    def decode_as(  # pyright: ignore[reportIncompatibleMethodOverride] (it takes the same types)
        self, row_type: type[Any]
    ) -> BlockingChanges[Any]:
        """Return the same read with rows of a Struct, ``dict`` or ``msgspec.Raw``; see ``Changes``."""
        return BlockingChanges(self.thread, self.source.decode_as(row_type))
