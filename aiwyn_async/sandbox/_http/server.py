"""The server on loopback, its log, and a thread's loop for synchronous code."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

HOST = "127.0.0.1"
"""The only address that the server binds."""

_LOGGER = logging.getLogger("aiwyn_async.sandbox.http")
"""Receives the exceptions of handlers with their tracebacks."""

T = TypeVar("T")


def _is_server_error(record: logging.LogRecord) -> bool:
    # aiohttp also logs malformed requests, which tests send on purpose.
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


_LOGGER.addFilter(_is_server_error)


class Server:
    """Runs an aiohttp application."""

    def __init__(self) -> None:
        self.port: int | None = None
        """The port, or None if the server is not running."""
        self._runner: web.AppRunner | None = None
        self._listener: socket.socket | None = None

    async def start(self, app: web.Application, port: int) -> None:
        """Bind the port, or a free one if it is 0, and serve."""
        # A handler is cancelled when its client disconnects, so that a stalled one ends with its client.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, logger=_LOGGER, shutdown_timeout=0.5
        )
        await self._runner.setup()
        self._listener = socket.create_server((HOST, port))
        await web.SockSite(self._runner, self._listener).start()
        self.port = int(self._listener.getsockname()[1])

    async def stop(self) -> None:
        """Close every connection. May be called twice."""
        if self._listener is not None:
            # A server of Python 3.11 leaves a connection open if it is closed while it accepts it.
            with contextlib.suppress(NotImplementedError):  # Windows, which accepts in another way
                asyncio.get_running_loop().remove_reader(self._listener)
            await asyncio.sleep(0)
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.port = None

    def is_own_host(self, host: str) -> bool:
        """Whether a Host header names this server; others are DNS rebinding."""
        return host.lower().removesuffix(f":{self.port}") in {HOST, "localhost", "[::1]"}


class LoopThread:
    """A running event loop in a thread; it ends with ``close`` or with the process."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and return its result; an interruption cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
