"""The connections: one request in; status, headers and bytes, or a failure, out.

Failures are returned as values. The exceptions of aiohttp and their tracebacks contain the Authorization
header, so none of them leaves this module.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextvars import ContextVar
from platform import python_version
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from yarl import URL

from aiwyn_async._core.urls import is_plain_path, is_simple_path
from aiwyn_async._http import forks
from aiwyn_async._http.bodies import UnusableBody, buffered_body, read_body, undecodable_body
from aiwyn_async._http.charsets import UnknownCharsetError, as_utf8
from aiwyn_async._http.connections import Connector, NoCookies, ProxyConnector, has_surplus_response
from aiwyn_async._http.failures import attribute_to_proxy, classify_error, is_out_of_sockets
from aiwyn_async._http.limits import SLACK, ThreadCpuTime
from aiwyn_async._http.messages import Failure, FailureKind, Outcome, Request, Response
from aiwyn_async._http.sockets import TlsSocket
from aiwyn_async._http.timeouts import Stage, TimeLimit
from aiwyn_async._version import __version__
from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import ClientClosedError, ConfigurationError, LoopMismatchError

TWO_RESPONSES: Final = "two responses arrived for one request"
USER_AGENT: Final = f"aiwyn-async/{__version__} aiohttp/{aiohttp.__version__} python/{python_version()}"


class _Sending(Stage):
    """One attempt to send a request: its limits, and what aiohttp does not report.

    Attributes:
        opened: the attempt opened a new connection.
        connected: through a proxy: connected, so the request may have been sent.
        has_response: the head of a response was received.
        started: when, by the performance counter.
        sent, cpu: the performance counter and this thread's CPU time when the request was sent.
        cpu_time: measures that CPU time.
        read_timeout: limits silence when connected; before, it is connect_timeout.
    """

    cpu_time: ThreadCpuTime
    read_timeout: float

    opened = False
    connected = False
    has_response = False
    started = 0.0
    sent = cpu = 0.0


_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
_sending: ContextVar[_Sending] = ContextVar("_sending")


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:  # pyright: ignore[reportUnknownParameterType]
    """Create the socket of a new connection; the only public hook that aiohttp calls when it opens one.

    aiohttp may call it in a task of its own, whose copied context holds the same ``_Sending``.
    """
    _sending.get().opened = True
    return socket.socket(*address[:3])


def _open_tls_socket(address: aiohttp.AddrInfoType) -> socket.socket:  # pyright: ignore[reportUnknownParameterType]
    _sending.get().opened = True
    return TlsSocket(*address[:3])


def _note_connected() -> None:
    _sending.get().connected = True


class _ClientResponse(aiohttp.ClientResponse):
    """Starts the limit of silence when a response is awaited.

    That of aiohttp restarts a timer with every piece, which is expensive for small calls.
    """

    # Not a coroutine itself: each small call would pay for one more frame.
    def start(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, connection: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        sending = _sending.get()
        sending.silence, sending.silence_error = sending.read_timeout, aiohttp.SocketTimeoutError
        sending.listen()
        sending.sent = time.perf_counter()
        sending.cpu = sending.cpu_time.begin(sending.sent)
        return super().start(connection)


class _Pool(NamedTuple):
    session: aiohttp.ClientSession
    closer: AsyncGenerator[None, None]
    thread: int
    connector: Connector
    cpu_time: ThreadCpuTime


# Pools that a forked child inherited. Closing them would end the TLS sessions of the parent; dropping them
# would warn.
_inherited: list[dict[asyncio.AbstractEventLoop, _Pool]] = []


class Transport:
    """Connection pools per event loop, closed with the loop or by ``aclose()``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._base = URL(config.base_url, encoded=True)
        self._base_path = self._base.raw_path.rstrip("/")
        self._proxy = None if config.proxy is None else URL(config.proxy)
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._fork = forks.generation
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._pools)} pool(s)"
        return f"<Transport {self._config.base_url} {state}>"

    @property
    def is_open(self) -> bool:
        """Whether a pool may hold connections."""
        return (
            not self._closed
            and self._fork == forks.generation
            and any(not loop.is_closed() and not pool.session.closed for loop, pool in self._pools.items())
        )

    def open_loops(self) -> list[asyncio.AbstractEventLoop]:
        return [loop for loop in self._pools if not loop.is_closed()]

    def check_usable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse a closed client or another thread; drop what a forked child inherited.

        Raises:
            ClientClosedError: after ``aclose()``.
            LoopMismatchError: another thread's event loop uses this client.
        """
        if self._closed:
            raise ClientClosedError("the client is closed; create a new AiwynClient")
        if self._fork != forks.generation:
            _inherited.append(self._pools)
            self._pools, self._fork = {}, forks.generation
        if loop not in self._pools:
            self._pools = {loop: pool for loop, pool in self._pools.items() if not loop.is_closed()}
            thread = threading.get_ident()
            if any(pool.thread != thread for pool in self._pools.values()):
                raise LoopMismatchError(
                    "the client is used by the event loop of another thread; "
                    "create one AiwynClient per thread"
                )

    def retire_connections(self) -> None:
        """Reuse no open connection: one returned a response of another request."""
        for pool in self._pools.values():
            pool.connector.retire()

    async def send(
        self,
        request: Request,
        bearer: Secret | None,
        config: Config,
        limit: TimeLimit,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Send once and read the response to its end, whatever its status; ``config`` has the timeouts.

        Raises:
            ClientClosedError, LoopMismatchError: as ``check_usable()``.
        """
        pool = self._pools.get(limit.loop) or await self._open_pool(limit.loop)
        url = self._url(request)
        # With that of aiohttp, a blocked event loop would look like a server that does not accept.
        sending = _Sending(
            limit, config.attempt_timeout, config.connect_timeout, aiohttp.ConnectionTimeoutError
        )
        sending.cpu_time, sending.read_timeout = pool.cpu_time, config.read_timeout
        _sending.set(sending)
        sending.started = time.perf_counter()
        out_of_sockets = False
        try:
            # The headers are not bound to a name, since a traceback may show locals.
            with sending:
                # The public method wraps this in a context manager, which takes 5 us to create.
                response = await pool.session._request(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                    request.method,
                    url,
                    data=request.body,
                    headers=_headers(request, bearer, headers),
                    timeout=_NO_TIMEOUT,
                    allow_redirects=False,
                )
                received = await _receive(response, sending, self._config.max_response_bytes)
                if isinstance(received, Response):
                    return received
                kind, text = received
        except asyncio.CancelledError as stopped:
            # Without the frames of aiohttp, which hold the headers.
            stopped.__context__ = None
            raise stopped.with_traceback(None) from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError) as error:
            kind, text = classify_error(error)
            if kind.is_timeout:
                text = text.format(getattr(config, kind.value))
            out_of_sockets = is_out_of_sockets(error)
            if self._proxy is not None and not sending.connected and not out_of_sockets:
                kind, text = attribute_to_proxy(self._proxy, error, kind, text)
        return self._failure(sending, kind, text, out_of_sockets=out_of_sockets)

    def _failure(
        self, sending: _Sending, kind: FailureKind, text: str, *, out_of_sockets: bool = False
    ) -> Failure:
        if self._closed:
            raise ClientClosedError("the client was closed while a request was in flight")
        unanswered = not sending.has_response
        is_first = unanswered and sending.opened
        if kind is FailureKind.DISCONNECTED and is_first and self._base.scheme == "http":
            text = f"{text}; if the server expects https, change base_url"
        # Invalid HTTP on a reused connection may be the rest of a surplus response.
        is_cut = kind in {FailureKind.DISCONNECTED, FailureKind.PROTOCOL}
        reused = is_cut and unanswered and not sending.opened
        return Failure(kind, text, time.perf_counter() - sending.started, reused, out_of_sockets)

    async def aclose(self) -> None:
        """Close all connections; closing twice is allowed. Requests in flight fail."""
        self._closed = True
        running = asyncio.get_running_loop()
        pools, self._pools = self._pools, {}
        if self._fork != forks.generation:
            _inherited.append(pools)
            return
        # A loop that is not running closes its pool when it shuts down its async generators.
        self._pools = {loop: pool for loop, pool in pools.items() if not loop.is_running()}
        for loop, pool in pools.items():
            if loop is running:
                await pool.closer.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.session.close(), loop)

    def _url(self, request: Request) -> URL:
        path = request.path
        if not is_simple_path(path):
            if not path.isascii() or not path.isprintable() or " " in path or "#" in path:
                # What follows a line break would be read as headers, and what follows # would not be sent.
                raise ConfigurationError(
                    "a path must be printable ASCII without spaces and #; escape the rest with %"
                )
            if not is_plain_path(path):
                raise ConfigurationError("a path must start with / and have no empty, . or .. segment")
            if "?" in path:
                return URL(self._config.base_url + path, encoded=True)
        return self._base.with_path(self._base_path + path, encoded=True)

    async def _open_pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        self.check_usable(loop)  # again: the client may have been closed while the call waited
        options: dict[str, Any] = {
            "limit": 0,  # the concurrency limiter limits; waiting for a slot must not count as a slow server
            "ssl": self._config.ssl_context or True,
            "socket_factory": _open_tls_socket if self._base.scheme == "https" else _open_socket,
        }
        connector = (
            Connector(**options) if self._proxy is None else ProxyConnector(_note_connected, **options)
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=NoCookies(),
            headers={hdrs.USER_AGENT: USER_AGENT, hdrs.ACCEPT: "application/json"},
            response_class=_ClientResponse,
            proxy=self._config.proxy,
            trust_env=False,
        )
        # aiohttp would resend GET, PUT and DELETE when a connection breaks. Here the retry class of the
        # request decides, and every attempt is counted.
        session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        pool = _Pool(session, _close_with_loop(session), threading.get_ident(), connector, ThreadCpuTime())
        self._pools[loop] = pool
        await anext(pool.closer)
        return pool


async def _close_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close the session with its event loop: asyncio.run() shuts async generators down at its end.

    So one client serves several asyncio.run() calls and leaves no connection behind in any of them.
    """
    try:
        yield
    finally:
        await session.close()


async def _receive(
    response: aiohttp.ClientResponse, sending: _Sending, max_bytes: int
) -> Response | UnusableBody:
    # Of two responses on a new connection the first is meant; on others it may be a leftover.
    if not sending.opened and has_surplus_response(response):
        response.close()
        return UnusableBody(FailureKind.DISCONNECTED, TWO_RESPONSES)
    sending.has_response = True
    body = buffered_body(response, max_bytes) or await read_body(response, max_bytes, sending)
    if not isinstance(body, UnusableBody):
        try:
            body = as_utf8(body, response.headers.get(hdrs.CONTENT_TYPE, ""))
        except (UnknownCharsetError, UnicodeError) as error:
            body = undecodable_body(response, body, error)
    if isinstance(body, UnusableBody):
        return body
    now = time.perf_counter()
    elapsed, latency = now - sending.started, now - sending.sent
    busy = time.thread_time() - sending.cpu if latency > SLACK else 0.0
    return Response(response.status, response.headers, body, elapsed, (), latency, busy)


def _headers(request: Request, bearer: Secret | None, extra: Mapping[str, str] | None) -> dict[str, str]:
    headers: dict[str, str] = dict(extra) if extra else {}
    if request.body is not None:
        headers[hdrs.CONTENT_TYPE] = "application/json"
    if bearer is not None:
        headers[hdrs.AUTHORIZATION] = f"Bearer {bearer.reveal()}"
    return headers
