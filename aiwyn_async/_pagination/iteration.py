"""Async iterators that survive a cancelled step."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar
from weakref import ref

from aiwyn_async._core.threads import running_loop
from aiwyn_async.errors import ConfigurationError, LoopMismatchError, PaginationError

ItemT = TypeVar("ItemT")
StepT = TypeVar("StepT")


class Iteration(AsyncGenerator[ItemT, None]):
    """Iterate over items of chunks; a cancelled step can be repeated without loss.

    An async generator that is cancelled is finished, and its next step ends the loop as if all had been read.
    Here each chunk is read in a task of its own, which a cancelled step leaves running for the next step to
    await. After an error every further step raises a ``PaginationError``.

    Args:
        chunks: yields lists of items; closed when the iteration ends or is dropped.
    """

    if TYPE_CHECKING:

        def __anext__(self) -> Coroutine[Any, Any, ItemT]: ...

    else:
        # In the slot is the generator's own ``__anext__``; a method that calls it takes almost as long again.
        __slots__ = ("__anext__", "__weakref__", "_chunks", "_items")

    def __init__(self, chunks: AsyncGenerator[Iterable[ItemT], None]) -> None:
        renew = partial(Iteration._expect_generator, ref(self))  # weak, so that it can be deleted at once
        self._chunks = _Chunks(chunks, renew)
        self._items = _items(self._chunks)
        renew()

    def __aiter__(self) -> Iteration[ItemT]:
        return self

    if not TYPE_CHECKING:  # with NoReturn, list() of it would pass

        def __iter__(self) -> NoReturn:
            raise TypeError("rows and pages are read asynchronously; use 'async for'")

    @staticmethod
    def _expect_generator(this: ref[Iteration[Any]]) -> None:
        """Let the next step create a generator."""
        if (iteration := this()) is not None:
            first_step = partial(Iteration._first_step, this, iteration._chunks)  # noqa: SLF001 (its own)
            iteration.__anext__ = first_step  # type: ignore[method-assign]

    @staticmethod
    def _first_step(this: ref[Iteration[Any]], chunks: _Chunks[Any]) -> Coroutine[Any, Any, Any]:
        items = _items(chunks)
        with suppress(StopIteration):
            # Begun at once: a step cancelled before it begins would end a generator that has not begun.
            _owned_by_us(items.__anext__).send(None)
        if (iteration := this()) is not None:  # ``pages().__anext__()`` drops it before this call
            iteration._items = items  # noqa: SLF001 (its own)
            iteration.__anext__ = items.__anext__  # type: ignore[method-assign]
        return items.__anext__()

    async def next_chunk(self) -> list[ItemT]:
        """Return the items that are read together, such as those of a page; an empty list at the end.

        A cancelled call can be repeated, as any other step.
        """
        chunks = self._chunks
        try:
            while not (items := list(chunks.left)) and await chunks.advance():
                pass
        except BaseException as failure:
            chunks.fail(failure)
            raise
        return items

    def asend(self, _value: None, /) -> Coroutine[Any, Any, ItemT]:
        """Take the next item; nothing can be sent."""
        return self.__anext__()

    async def athrow(self, *error: Any) -> ItemT:
        """Raise an error at the last yielded item."""
        return await self._items.athrow(*error)

    async def aclose(self) -> None:
        """End the iteration and everything in flight."""
        self.__anext__ = self._items.__anext__  # type: ignore[method-assign]
        try:
            if not getattr(self._items, "ag_running", False):  # else another task waits in it, and raises
                await self._items.aclose()
        finally:
            await self._chunks.aclose()

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "an iteration cannot be copied or pickled; resume a new one from its checkpoint"
        )

    def __del__(self) -> None:
        self._chunks.drop()


class LastChunk(list[ItemT]):
    """The last chunk of a source whose end does not wait for anything."""


class Owned(Generic[ItemT]):
    """A context that closes a generator at its end, and no other does."""

    def __init__(self, source: AsyncGenerator[ItemT, None]) -> None:
        self._source = source
        self._has_begun = False

    async def __aenter__(self) -> Owned[ItemT]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._source.aclose()

    def __aiter__(self) -> Owned[ItemT]:
        return self

    def __anext__(self) -> Awaitable[ItemT]:
        if self._has_begun:
            return anext(self._source)
        self._has_begun = True
        return _owned_by_us(self._source.__anext__)


class _Chunks(Generic[ItemT]):
    """The state of an iteration, which outlives the generator that reads it."""

    def __init__(self, source: AsyncGenerator[Iterable[ItemT], None], renew: Callable[[], None]) -> None:
        self.left: Iterator[ItemT] = iter(())
        self.renew = renew
        self.guard: AsyncGenerator[None, None] | None = None
        self._source = source
        self._is_done: asyncio.Event
        self._step: asyncio.Task[Iterable[ItemT] | None] | None = None
        self._failure: BaseException | None = None
        self._is_dropped = self._is_ended = self._is_last = False
        self._closing = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def advance(self) -> bool:
        """Read the next chunk; False at the end."""
        if (failed := self._failure) is not None:
            raise PaginationError(
                f"this iteration failed before its end ({type(failed).__name__}: {failed}); "
                "start a new one, or resume from the checkpoint",
                checkpoint=getattr(failed, "checkpoint", None),
            ) from failed
        if self._is_ended:
            return False
        try:
            step = None if self._is_last else await self._completed_step()
        finally:
            if self._is_dropped:  # before this step
                self.guard = None
        try:
            # The end of the source does not wait, so it cannot be cancelled and needs no task.
            chunk = await anext(self._source, None) if step is None else step.result()
        except BaseException as failure:
            is_closed = isinstance(failure, asyncio.CancelledError) and self._closing.locked()
            self._failure = PaginationError("another task closed this iteration") if is_closed else failure
            await self._end()
            if is_closed:
                raise self._failure from None
            raise
        if chunk is None:
            await self._end()
            return False
        self._is_last = isinstance(chunk, LastChunk)
        self.left = iter(chunk)
        return True

    async def _completed_step(self) -> asyncio.Task[Iterable[ItemT] | None]:
        loop = running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise LoopMismatchError("this iteration belongs to another event loop; start a new one")
        if self._step is None:
            self._step = await self._begin_step(loop)
        step = self._step
        if not step.done():
            await self._is_done.wait()
            if not step.done():  # a task factory may wrap the step
                await asyncio.wait([step])
        self._step = None
        return step

    async def _begin_step(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Iterable[ItemT] | None]:
        if self._closing.locked():  # else the source would raise RuntimeError
            raise PaginationError("another task closed this iteration")
        if self.guard is None:
            self.guard = self._guarding()
            await anext(self.guard)
            next_chunk = _owned_by_us(lambda: anext(self._source, None))
        else:
            next_chunk = anext(self._source, None)
        is_done = self._is_done = asyncio.Event()
        step = _started(_step_of(next_chunk, is_done), loop)
        step.add_done_callback(partial(_retrieve, is_done))
        return step

    def drop(self) -> None:
        """Let the loop close the guard, which closes the rest; its other reference is a generator's."""
        self._is_dropped = True
        self.guard = None

    def fail(self, failure: BaseException) -> None:
        """Store an error, which ends the iteration; a step that is cancelled or in another loop does not."""
        if self._failure is None and not isinstance(failure, (asyncio.CancelledError, LoopMismatchError)):
            self._failure = failure

    async def aclose(self) -> None:
        """Cancel the current step and close the source; concurrent callers wait."""
        self.left = iter(())
        async with self._closing:
            if self._step is not None:
                self._step.cancel()
                if not self._step.done():  # else a cancelled wait would leave the source open
                    await asyncio.wait([self._step])
                self._step = None
            await self._source.aclose()
        await self._end()

    async def _end(self) -> None:
        self._is_ended = True
        if self.guard is not None:
            await self.guard.aclose()

    async def _guarding(self) -> AsyncGenerator[None, None]:
        """The only generator of an iteration that the event loop closes when it ends."""
        try:
            yield
        finally:
            self.guard = None
            if not self._is_ended:
                self.fail(PaginationError("the event loop ended before this iteration"))
                await self.aclose()


async def _items(chunks: _Chunks[ItemT]) -> AsyncGenerator[ItemT, None]:
    item: Any = None
    try:
        yield item  # taken by ``_first_step()``
        while True:
            for item in chunks.left:
                yield item
            # Released before the next chunk is decoded.
            item = None
            if not await chunks.advance():
                return
    except GeneratorExit:
        raise
    except BaseException as failure:
        chunks.fail(failure)
        chunks.renew()
        raise


def _owned_by_us(make_step: Callable[[], StepT]) -> StepT:
    """Make the first step of a generator, which the event loop then does not close.

    A loop that ends closes all generators that it knows at once, and so would close this one a second time
    while its owner closes it, which is an error.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=_leave)
    try:
        return make_step()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _leave(_: AsyncGenerator[Any, Any]) -> None:
    """Drop a generator without closing it: its owner has no loop left to close it in."""


def _retrieve(is_done: asyncio.Event, step: asyncio.Task[Any]) -> None:
    """Keep asyncio from reporting an error of an abandoned iteration; end one that never began."""
    is_done.set()
    if not step.cancelled():
        step.exception()


async def _step_of(awaitable: Any, is_done: asyncio.Event) -> Any:
    """Await, and wake the waiter in the same turn of the loop, not in the one after."""
    try:
        return await awaitable
    finally:
        is_done.set()


def _started(step: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
    """Return a task of a step; from Python 3.12 on, it starts at once."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(step, loop=loop, eager_start=True)
    return loop.create_task(step)
