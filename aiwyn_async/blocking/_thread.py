"""The event loop of a blocking client, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, NoReturn, ParamSpec, Self, TypeVar

from aiwyn_async._http import forks
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ClientClosedError, ConfigurationError, LoopMismatchError

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

CANCEL_TIMEOUT: Final = 2.0
"""Seconds that Ctrl-C waits for a cancelled call, such as an export that closes its files."""
EXIT_TIMEOUT: Final = 5.0
"""Seconds that the exit of the interpreter waits for a client that was not closed."""


class LoopThread:
    """Runs the calls of a client in an event loop of its own thread, which the first call starts.

    Everything that uses the client holds this object; when the last of them is dropped, the client is closed.
    """

    def __init__(self, client: AiwynClient) -> None:
        self._client = client
        # Reentrant: a signal handler may make a call at any time.
        self._lock = threading.RLock()
        self._is_closed = False
        self._server: _Server | None = None

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a client, and its reads and writes, cannot be pickled: it holds connections and credentials; "
            "create an Aiwyn in each process"
        )

    def call(
        self, function: Callable[P, Awaitable[ResultT]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Return the result of an async function; Ctrl-C cancels it.

        Raises:
            ClientClosedError: the client is closed, or was closed during the call.
            LoopMismatchError: called in a forked process, or by a callback of the client.
        """
        try:
            return _Call(lambda: function(*args, **kwargs)).result(self._begin)
        except ClientClosedError:
            if _exiting.is_set() and threading.current_thread().daemon:
                threading.Event().wait()  # the exit ends daemon threads, which should print no error
            raise

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop.

        Raises:
            ClientClosedError, LoopMismatchError: as ``call()``.
        """
        return self._running().loop

    def close(self, timeout: float | None = None) -> None:
        """Close the client and end the thread; calls of other threads raise ClientClosedError.

        Args:
            timeout: seconds to wait for it.

        Raises:
            LoopMismatchError: called by a callback of the client.
        """
        server = self._server
        if server is None or server.is_forked:
            self._is_closed = True
            return
        server.check_thread()
        with self._lock:
            self._is_closed = True
        server.stop()
        server.join(timeout)

    def _begin(self, call: _Call[Any]) -> None:
        # A closed client starts no call: one that starts after the last has ended would never end.
        with self._lock:
            call.schedule(self._running().loop)

    def _running(self) -> _Server:
        if self._server is not None:
            self._server.check_thread()  # before the lock, which the parent of a fork may have held
        with self._lock:
            if self._is_closed:
                raise ClientClosedError("the client is closed; create a new Aiwyn")
            if self._server is None:
                self._server = _Server(self._client)
                self._server.start()
                weakref.finalize(self, self._server.stop).atexit = False
                _in_use.add(self)
            return self._server


class _Call(Generic[ResultT]):
    """One call in an event loop, which another thread waits for."""

    def __init__(self, work: Callable[[], Awaitable[ResultT]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[ResultT] | None = None
        self._ended = threading.Event()

    def schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.call_soon_threadsafe(self._start)

    def result(self, begin: Callable[[_Call[ResultT]], None]) -> ResultT:
        """Schedule the call and wait for its result; an exception such as KeyboardInterrupt cancels it."""
        try:
            begin(self)
            self._ended.wait()
        except BaseException:
            self._cancel()
            raise
        task, self._task = self._task, None  # its error has frames that include this one
        assert task is not None  # it has ended  # noqa: S101
        try:
            return task.result()
        except asyncio.CancelledError:
            raise ClientClosedError("the client was closed during the call; create a new Aiwyn") from None
        finally:
            del task

    def _cancel(self) -> None:
        """Cancel the call if it was scheduled, and wait until it has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(lambda: self._task is None or self._task.cancel())
                self._ended.wait(CANCEL_TIMEOUT)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._end)

    async def _run(self) -> ResultT:
        return await self._work()

    def _end(self, task: asyncio.Task[ResultT]) -> None:
        if not task.cancelled():
            task.exception()  # asyncio would report the error of a call that nobody waits for
        self._ended.set()


class _Server(threading.Thread):
    """The thread. It has no reference to what uses it."""

    def __init__(self, client: AiwynClient) -> None:
        super().__init__(name="aiwyn", daemon=True)
        self.loop = asyncio.new_event_loop()
        self._client = client
        self._stopping = asyncio.Event()
        self._fork = forks.generation

    @property
    def is_forked(self) -> bool:
        """Whether this is a copy in a forked process, where the thread does not exist."""
        return self._fork != forks.generation

    def check_thread(self) -> None:
        """Refuse a thread whose call would never return.

        Raises:
            LoopMismatchError: it is this thread, or one of a forked process.
        """
        if self.is_forked:
            raise LoopMismatchError(
                "this client was used before a fork, which does not copy its thread; create an Aiwyn in "
                "each process"
            )
        if threading.current_thread() is self:
            raise LoopMismatchError(
                "a callback of a client cannot call that client, since it would wait for itself; make the "
                "call outside of the callback, or with another Aiwyn"
            )

    def stop(self) -> None:
        """Begin to close the client. Safe in every thread, also in the garbage collector."""
        if not self.is_forked:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._stopping.set)

    def run(self) -> None:
        """Run the event loop until ``stop()``."""
        serving = self.loop.create_task(self._serve())
        while not serving.done():
            # Raised by a callback; the loop delivers them to the call too.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_until_complete(serving)
        # asyncio.run() would start a thread here, which fails at the exit of the interpreter.
        self.loop.close()

    async def _serve(self) -> None:
        await self._stopping.wait()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
        await self.loop.shutdown_asyncgens()
        await self._client.aclose()


_in_use: Final[weakref.WeakSet[LoopThread]] = weakref.WeakSet()
_exiting: Final = threading.Event()


@atexit.register
def _close_all() -> None:
    _exiting.set()
    for each in list(_in_use):
        each.close(EXIT_TIMEOUT)
