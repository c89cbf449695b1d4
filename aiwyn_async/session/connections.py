"""Kept-alive connections that are reused only if nothing arrived on them unasked.

HTTP/1.1 responses carry no name of their request: a surplus response would be taken for the next one's, and
every later response would be one behind.
"""

from __future__ import annotations

import asyncio
import functools
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.tracing import Trace

__all__ = ["Connector", "has_second_response"]

READABLE: Final = 1
"""POLLIN of every system that has poll()."""


class _Protocol(ResponseHandler):
    """Closes its connection when bytes arrive while no request is open.

    Attributes:
        has_served: a request was open before.
        generation: of the connector when the connection was opened.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.has_served = False
        self.generation = 0
        self._is_idle = False
        self._poll: Callable[[], bool] | None = None

    def begin(self) -> None:
        """A request is about to be sent."""
        self._is_idle = False

    def rest(self) -> None:
        """The connection was released."""
        self._is_idle = self.has_served = True

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._is_idle and data:  # aiohttp resumes its parser with no bytes
            self.abort()
        else:
            super().data_received(data)

    def has_unread_bytes(self) -> bool:
        """Return whether bytes, or the end of the stream, wait where the event loop has not read yet."""
        if self._poll is None:
            assert self.transport is not None  # a connection that is not connected is not reused  # noqa: S101
            self._poll = _poll_of(self.transport.get_extra_info("socket").fileno())
        return self._poll()


class Connector(aiohttp.TCPConnector):
    """A pool of connections, which drops those that a response nobody asked for arrived on."""

    def __init__(self, on_connect: Callable[[], None], **options: Any) -> None:
        """Args: ``on_connect`` is called in the task of each request as soon as it has a connection."""
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._on_connect = on_connect
        self._generation = 0
        make_protocol: Callable[[], ResponseHandler] = functools.partial(
            _Protocol, loop=asyncio.get_running_loop()
        )
        setattr(self, "_factory", make_protocol)  # noqa: B010 (aiohttp types it as a partial of its own class)

    def distrust(self) -> None:
        """Reuse none of the connections that are open now."""
        self._generation += 1

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's signature)
    ) -> Connection:
        """See ``aiohttp.BaseConnector``."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol):  # one of a class that aiohttp makes itself
                break
            if not protocol.has_served:
                protocol.generation = self._generation
            elif (
                protocol.generation != self._generation
                or protocol.should_close
                or protocol.has_unread_bytes()
            ):
                connection.close()
                continue
            protocol.begin()
            connection.add_callback(protocol.rest)
            break
        self._on_connect()
        return connection


def has_second_response(protocol: ResponseHandler | None) -> bool:
    """Return whether another response arrived with the one that was read last."""
    return protocol is not None and len(protocol) > 0


def _poll_of(descriptor: int) -> Callable[[], bool]:
    """Return a function that says whether a descriptor can be read from at once."""
    if not hasattr(select, "poll"):  # Windows; elsewhere select() refuses descriptors from 1024 on
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poller = select.poll()
    poller.register(descriptor, READABLE)
    return lambda: bool(poller.poll(0))
