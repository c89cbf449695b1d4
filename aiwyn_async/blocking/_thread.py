"""The event loop of a blocking client, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, ParamSpec, Self, TypeVar

from aiwyn_async._http import forks
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ClientClosedError, ConfigurationError, LoopMismatchError

__all__ = ["LoopThread"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

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
            return _result(self._submit(lambda: function(*args, **kwargs)))
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

    def _submit(self, work: Callable[[], Awaitable[ResultT]]) -> concurrent.futures.Future[ResultT]:
        async def run() -> ResultT:
            return await work()

        # A closed client starts no call: one that starts after the last has ended would never end.
        with self._lock:
            loop = self._running().loop
            return asyncio.run_coroutine_threadsafe(run(), loop)

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


def _result(future: concurrent.futures.Future[ResultT]) -> ResultT:
    """Wait for the result of a call; an exception such as KeyboardInterrupt cancels the call."""
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise ClientClosedError("the client was closed during the call; create a new Aiwyn") from None
    finally:
        future.cancel()  # does nothing to a call that has ended
        del future  # it refers to the error, whose frames include this one


class _Server(threading.Thread):
    """The thread. It has no reference to what uses it."""

    def __init__(self, client: AiwynClient) -> None:
        super().__init__(name="aiwyn", daemon=True)
        self.loop = asyncio.new_event_loop()
        self._client = client
        self._stopping = asyncio.Event()
        self._fork = forks.generation()

    @property
    def is_forked(self) -> bool:
        """Whether this is a copy in a forked process, where the thread does not exist."""
        return self._fork != forks.generation()

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
