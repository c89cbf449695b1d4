"""Kept-alive connections that are not reused after receiving unrequested bytes.

HTTP/1.1 responses do not identify their request: a surplus response would be read as the next one, and every
later response would be one behind.
"""

from __future__ import annotations

import asyncio
import functools
import select
from collections.abc import Callable, Container
from http.cookies import BaseCookie, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from aiwyn_async._http.sockets import SMALL_READ, adapt_read_size

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.tracing import Trace

READABLE: Final = 1
"""POLLIN of every system that has poll()."""


class _Shared:
    """State shared by the connections of a pool.

    Attributes:
        acquired: the connections with an open request, as stored by aiohttp.
        generation: connections of an earlier generation are not reused.
    """

    __slots__ = ("acquired", "generation")

    def __init__(self, acquired: Container[object]) -> None:
        self.acquired = acquired
        self.generation = 0


class _Protocol(ResponseHandler):
    """A connection that is closed if it receives bytes while no request is open."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shared: _Shared) -> None:
        super().__init__(loop)
        self._acquired = shared.acquired
        self._shared = shared
        self._generation = shared.generation
        self._has_served = False
        self._poll: Callable[[], object] | None = None
        self._was_full = False
        """The last read filled its buffer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        adapt_read_size(transport, 0)

    def data_received(
        self, data: bytes, _receive: Callable[[ResponseHandler, bytes], None] = ResponseHandler.data_received
    ) -> None:
        if self in self._acquired:
            self._has_served = True
        elif self._has_served and data:
            self.abort()
            return
        if (is_full := len(data) >= SMALL_READ) is not self._was_full:
            self._was_full = is_full
            adapt_read_size(self.transport, len(data))
        _receive(self, data)

    def close(self) -> None:
        """Close at once: asyncio would wait until TLS is shut down, even if the event loop ends first."""
        self.abort()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT002 (aiohttp's signature)
        """Resume only if paused: aiohttp calls it for every piece, at 3 us each."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def is_connected(self) -> bool:
        """Return whether the connection can be used. aiohttp asks before it reuses one."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if not self._has_served or self in self._acquired:
            return True
        # Responses received together with the end of the last one are in the buffer.
        if self._buffer or self._generation != self._shared.generation:
            return False
        # Bytes, or the end of the stream, may be waiting in the socket.
        if self._poll is None:
            self._poll = _readable_poller(transport.get_extra_info("socket").fileno())
        return not self._poll()


class NoCookies(aiohttp.DummyCookieJar):
    """Stores no cookie; the default jar takes 1 us per request."""

    _none: Final[BaseCookie[str]] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002 (there are none for any)
        return self._none


class Connector(aiohttp.TCPConnector):
    """A pool of connections that drops those which received a surplus response."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._shared = _Shared(self._acquired)
        make_protocol: Callable[[], ResponseHandler] = functools.partial(
            _Protocol, asyncio.get_running_loop(), self._shared
        )
        setattr(self, "_factory", make_protocol)  # noqa: B010 (aiohttp types it as a partial of its own class)

    def retire(self) -> None:
        """Do not reuse the connections that are open now."""
        self._shared.generation += 1


class ProxyConnector(Connector):
    """A pool of connections through a proxy. Calls ``on_connect`` in the task of a request that has one."""

    def __init__(self, on_connect: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._on_connect = on_connect

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's signature)
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        self._on_connect()
        return connection


def has_surplus_response(response: aiohttp.ClientResponse) -> bool:
    """Return whether another response arrived with one; the length of a protocol is that of its queue."""
    return bool(getattr(response, "_protocol", None))  # a mock of a response has none


def _readable_poller(descriptor: int) -> Callable[[], object]:
    """Return a function whose result is true if a descriptor can be read from at once."""
    if not hasattr(select, "poll"):  # Windows; elsewhere select() refuses descriptors from 1024 on
        return lambda: select.select([descriptor], [], [], 0)[0]
    poller = select.poll()
    poller.register(descriptor, READABLE)
    return functools.partial(poller.poll, 0)
