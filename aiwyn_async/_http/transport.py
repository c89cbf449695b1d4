"""aiohttp, and nothing else: one request in; status, headers and bytes, or a failure, out.

What goes wrong comes back as a value. aiohttp's own exceptions hold the Authorization header, and their
tracebacks hold it again, so none of them leaves this module.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import re
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextvars import ContextVar
from http.cookies import BaseCookie, SimpleCookie
from platform import python_version
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import hdrs, http_exceptions
from aiohttp.connector import Connection
from yarl import URL

from aiwyn_async._http import forks
from aiwyn_async._http.charsets import UnknownCharsetError, as_utf8
from aiwyn_async._http.connections import Connector, ProxyConnector
from aiwyn_async._http.messages import Failure, FailureKind, Outcome, Request, Response, Timeouts, is_success
from aiwyn_async._http.redaction import MAX_ERROR_BODY, printable
from aiwyn_async._http.sockets import ThriftySocket, TlsSocket
from aiwyn_async._http.timeouts import Stage, TimeLimit
from aiwyn_async._version import __version__
from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import ClientClosedError, ConfigurationError, LoopMismatchError

__all__ = ["Transport"]

USER_AGENT: Final = f"aiwyn-async/{__version__} aiohttp/{aiohttp.__version__} python/{python_version()}"
MAX_NAME_LENGTH: Final = 8192
"""Characters of a name in a header, as many as aiohttp reads; it is shortened once credentials are masked."""
SMALL_PIECE: Final = 4096
"""Bytes; a body in smaller pieces is joined, since each of them is an object too."""
READABLE_ENCODINGS: Final = {"", "identity", "gzip", "deflate", "br", "zstd"}

PARTIAL_CONTENT: Final = 206
OUT_OF_SOCKETS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OUT_OF_SOCKETS_TEXT: Final = (
    "no file descriptor or memory is left for a connection; raise the limit (ulimit -n) "
    "or lower max_concurrency"
)
# What a server says by an alert that ends the handshake, which TLS 1.3 delivers with the first read only.
_ALERT: Final = re.compile(r"\[SSL: \w*ALERT_(\w+)\]")
_HANDSHAKE_ALERTS: Final = {
    "ACCESS_DENIED",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "DECRYPT_ERROR",
    "HANDSHAKE_FAILURE",
    "INSUFFICIENT_SECURITY",
    "NO_CERTIFICATE",
    "UNKNOWN_CA",
    "UNSUPPORTED_CERTIFICATE",
}

# Most specific first: TLS and DNS failures are connector failures, and those are OS errors, to aiohttp.
_KINDS: Final[Sequence[tuple[type[Exception], FailureKind, str]]] = (
    (aiohttp.ClientSSLError, FailureKind.TLS, "TLS failed"),
    (aiohttp.ServerFingerprintMismatch, FailureKind.TLS, "TLS failed"),
    (aiohttp.ClientConnectorDNSError, FailureKind.DNS, "the host name cannot be resolved"),
    (aiohttp.ClientConnectorError, FailureKind.CONNECT, "cannot connect"),
    (aiohttp.ClientHttpProxyError, FailureKind.CONNECT, "the proxy refuses to connect"),
    (aiohttp.ConnectionTimeoutError, FailureKind.CONNECT_TIMEOUT, "no connection within connect_timeout"),
    (aiohttp.SocketTimeoutError, FailureKind.READ_TIMEOUT, "the server was silent for read_timeout"),
    (aiohttp.ServerDisconnectedError, FailureKind.DISCONNECTED, "the server hung up before it answered"),
    (aiohttp.ClientOSError, FailureKind.DISCONNECTED, "the connection broke"),
    (aiohttp.ClientConnectionResetError, FailureKind.DISCONNECTED, "the connection broke"),
    (aiohttp.ClientPayloadError, FailureKind.TRUNCATED, "the body broke off"),
    (aiohttp.ClientResponseError, FailureKind.PROTOCOL, "the answer is not valid HTTP"),
    (TimeoutError, FailureKind.ATTEMPT_TIMEOUT, "no whole answer within attempt_timeout"),
    (aiohttp.ClientConnectionError, FailureKind.DISCONNECTED, "the connection broke"),
    (aiohttp.ClientError, FailureKind.PROTOCOL, "the answer is not valid HTTP"),
    (OSError, FailureKind.DISCONNECTED, "the connection broke"),
    # Of its own accord aiohttp raises these for what it did not foresee in an answer.
    (Exception, FailureKind.PROTOCOL, "the answer cannot be understood"),
)


class _BrokenResponse(aiohttp.ClientError):
    """A connection that broke before an answer, told by kind and text alone."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__()
        self.kind = kind
        self.text = text


class _Sending(Stage):
    """One attempt to send a request, where aiohttp hands nothing on: its limits, and what became of it.

    Attributes:
        opened: it had to open a connection of its own.
        connected: behind a proxy: it has a connection, so the request may have been sent.
    """

    opened = False
    connected = False


_sending: ContextVar[_Sending] = ContextVar("_sending")


def _open_socket(address: aiohttp.AddrInfoType) -> ThriftySocket:  # pyright: ignore[reportUnknownParameterType]
    """Make the socket of a new connection: the one public place where aiohttp tells that it opens one.

    aiohttp may do so in a task of its own, which has a copy of the context and in it the same ``_Sending``.
    """
    _sending.get().opened = True
    return ThriftySocket(*address[:3])


def _open_tls_socket(address: aiohttp.AddrInfoType) -> ThriftySocket:  # pyright: ignore[reportUnknownParameterType]
    _sending.get().opened = True
    return TlsSocket(*address[:3])


def _note_connected() -> None:
    _sending.get().connected = True


class _ClientResponse(aiohttp.ClientResponse):
    """What aiohttp waits for, no longer than read_timeout and only once.

    aiohttp's own limit of silence sets a timer anew at every piece that comes, which a small call feels. And
    when a connection breaks, even a fresh one, aiohttp sends GET, PUT and DELETE again by itself, which may
    have arrived. Here the request's retry class decides that, and every time it is sent is counted.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        sending = _sending.get()
        sending.listen()
        try:
            response = await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
            broken = _BrokenResponse(*_kind_and_text(fault))  # which aiohttp does not know, and lets pass
        else:
            # Of two responses on a fresh connection the first one is meant; on others it may be a leftover.
            if sending.opened or not self._protocol:  # its length is that of its queue of responses
                return response
            broken = _BrokenResponse(FailureKind.DISCONNECTED, "two responses arrived for one request")
        raise broken


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookie. Its parent makes a new jar of none for every request, which takes 1 us."""

    _none: Final[BaseCookie[str]] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002 (there are none for any)
        return self._none


class _UnusableBody(NamedTuple):
    """Why the body of an answer cannot be used."""

    kind: FailureKind
    text: str


class _Pool(NamedTuple):
    session: aiohttp.ClientSession
    closer: AsyncGenerator[None, None]
    thread: int
    connector: Connector


# Pools that a forked child inherited. Closing them would end the parent's TLS sessions; dropping them would
# warn; so they stay here.
_inherited: list[dict[asyncio.AbstractEventLoop, _Pool]] = []


class Transport:
    """Connection pools, one an event loop, each closed with its loop or by ``aclose()``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._base = URL(config.base_url, encoded=True)
        self._base_path = self._base.raw_path.rstrip("/")
        self._proxy = None if config.proxy is None else URL(config.proxy)
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._fork = forks.generation()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._pools)} pool(s)"
        return f"<Transport {self._config.base_url} {state}>"

    @property
    def is_open(self) -> bool:
        """True while a pool may hold connections."""
        return (
            not self._closed
            and self._fork == forks.generation()
            and any(not loop.is_closed() and not pool.session.closed for loop, pool in self._pools.items())
        )

    def check_usable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse a closed client, and one that another thread uses; forget what a forked child inherited.

        Args:
            loop: the running one.

        Raises:
            ClientClosedError: after ``aclose()``.
            LoopMismatchError: another thread's event loop uses this client.
        """
        if self._closed:
            raise ClientClosedError("the client is closed; make a new AiwynClient")
        if self._fork != forks.generation():
            _inherited.append(self._pools)
            self._pools, self._fork = {}, forks.generation()
        if loop not in self._pools:
            self._pools = {loop: pool for loop, pool in self._pools.items() if not loop.is_closed()}
            thread = threading.get_ident()
            if any(pool.thread != thread for pool in self._pools.values()):
                raise LoopMismatchError(
                    "this client is in use on another thread's event loop; make one AiwynClient a thread"
                )

    def distrust_connections(self) -> None:
        """Reuse no connection that is open now: one of them brought a response of another request."""
        for pool in self._pools.values():
            pool.connector.distrust()

    async def send(
        self,
        request: Request,
        bearer: Secret | None,
        timeouts: Timeouts,
        limit: TimeLimit,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Send once and read the response to its end, whatever its status.

        Args:
            request: what to send.
            bearer: the token to send with it.
            timeouts: of this attempt.
            limit: that of the whole call.
            headers: to send beside those of the request.

        Raises:
            ClientClosedError: after ``aclose()``.
            LoopMismatchError: another thread's event loop uses this client.
        """
        pool = self._pools.get(limit.loop) or await self._open_pool(limit.loop)
        url = self._url(request)
        sending = _Sending(limit, timeouts.attempt, timeouts.read, aiohttp.SocketTimeoutError)
        _sending.set(sending)
        started = time.perf_counter()
        answered = out_of_sockets = False
        try:
            # The headers have no name here, since a traceback may show what has one.
            with sending:
                # What is public wraps this in an object of a generic type, which takes 5 us to make.
                response = await pool.session._request(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                    request.method,
                    url,
                    data=request.body,
                    headers=_headers(request, bearer, headers),
                    timeout=_client_timeout(timeouts.connect),
                    allow_redirects=False,
                )
                answered = True
                most = self._config.max_response_bytes
                try:
                    body = _body_at_hand(response, most) or await _body_of(response, most, sending)
                finally:
                    if not response.closed:  # as it is when all of it was read
                        response.release()
                if not isinstance(body, _UnusableBody):
                    try:
                        body = as_utf8(body, response.headers.get(hdrs.CONTENT_TYPE, ""))
                    except (UnknownCharsetError, UnicodeError) as fault:
                        body = _undecodable(response, body, fault)
                if not isinstance(body, _UnusableBody):
                    return Response(response.status, response.headers, body, time.perf_counter() - started)
                kind, text = body
        except asyncio.CancelledError as stopped:
            # aiohttp's frames, which hold the headers, do not travel with it.
            stopped.__context__ = None
            raise stopped.with_traceback(None) from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError) as fault:
            kind, text = _kind_and_text(fault)
            out_of_sockets = _is_out_of_sockets(fault)
            if self._proxy is not None and not sending.connected and not out_of_sockets:
                kind, text = _of_proxy(self._proxy, fault, kind, text)
        if self._closed:
            raise ClientClosedError("the client was closed while a request was in flight")
        if kind is FailureKind.DISCONNECTED and not answered and url.scheme == "http":
            text = f"{text}; if it speaks https there, write so in base_url"
        # What is not HTTP on a kept-alive connection may be the rest of a response that nobody asked for.
        unanswered = kind in {FailureKind.DISCONNECTED, FailureKind.PROTOCOL} and not answered
        reused = unanswered and not sending.opened
        return Failure(kind, text, time.perf_counter() - started, reused, out_of_sockets)

    async def aclose(self) -> None:
        """Close every connection; a second call does nothing. Requests in flight fail."""
        self._closed = True
        running = asyncio.get_running_loop()
        pools, self._pools = self._pools, {}
        if self._fork != forks.generation():
            _inherited.append(pools)
            return
        # A loop that stands still closes its pool itself, when it shuts its async generators down.
        self._pools = {loop: pool for loop, pool in pools.items() if not loop.is_running()}
        for loop, pool in pools.items():
            if loop is running:
                await pool.closer.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.session.close(), loop)

    def _url(self, request: Request) -> URL:
        path = request.path
        if not path.isascii() or not path.isprintable() or " " in path:
            # A line break would end the request line, and what follows would pass for headers.
            raise ConfigurationError("a path must be printable ASCII without spaces; escape the rest with %")
        if "?" in path or "#" in path:
            return URL(self._config.base_url + path, encoded=True)
        return self._base.with_path(self._base_path + path, encoded=True)

    async def _open_pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        self.check_usable(loop)  # again: the client may have been closed while the call waited
        options: dict[str, Any] = {
            "limit": 0,  # the governor limits, so that waiting for a slot is never taken for a slow server
            "ssl": self._config.ssl_context or True,
            "socket_factory": _open_tls_socket if self._base.scheme == "https" else _open_socket,
        }
        connector = (
            Connector(**options) if self._proxy is None else ProxyConnector(_note_connected, **options)
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=_NoCookies(),
            headers={hdrs.USER_AGENT: USER_AGENT, hdrs.ACCEPT: "application/json"},
            response_class=_ClientResponse,
            proxy=self._config.proxy,
            trust_env=False,
        )
        pool = _Pool(session, _close_with_loop(session), threading.get_ident(), connector)
        self._pools[loop] = pool
        await anext(pool.closer)
        return pool


async def _close_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close the session when the event loop shuts its async generators down, as asyncio.run() does.

    So one client serves several asyncio.run() calls and leaves no connection behind in any of them.
    """
    try:
        yield
    finally:
        await session.close()


def _headers(request: Request, bearer: Secret | None, extra: Mapping[str, str] | None) -> dict[str, str]:
    headers: dict[str, str] = dict(extra) if extra else {}
    if request.body is not None:
        headers[hdrs.CONTENT_TYPE] = "application/json"
    if bearer is not None:
        headers[hdrs.AUTHORIZATION] = f"Bearer {bearer.reveal()}"
    return headers


@functools.lru_cache(maxsize=64)
def _client_timeout(connect: float) -> aiohttp.ClientTimeout:
    # aiohttp's connect covers name resolution and every address that is tried, its sock_connect one of them.
    # It would cover the wait for a slot of the pool as well, but the pool has no limit.
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _body_at_hand(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The body of an answer that came with its head, as those of small calls do; None of any other."""
    content = response.content
    if not content.is_eof() or content.total_bytes > most or hdrs.CONTENT_ENCODING in response.headers:
        return None
    is_whole = is_success(response.status) and response.status != PARTIAL_CONTENT
    return content.read_nowait() if is_whole else None


async def _body_of(
    response: aiohttp.ClientResponse, most: int, sending: _Sending
) -> bytes | tuple[bytes, ...] | _UnusableBody:
    """The decoded body, in pieces where it came in some; or why there is none that can be used."""
    encoding = ", ".join(response.headers.getall("Content-Encoding", ())).strip().lower()
    readable = encoding in READABLE_ENCODINGS
    if not is_success(response.status):
        told = await _beginning(response, sending)
        return told if readable else b""
    if not readable:
        return _UnusableBody(
            FailureKind.UNKNOWN_ENCODING,
            f"the answer has a Content-Encoding not asked for: {printable(encoding, limit=MAX_NAME_LENGTH)}",
        )
    if response.status == PARTIAL_CONTENT:
        response.close()
        return _UnusableBody(FailureKind.PROTOCOL, "status 206: only a part of what was asked for, in full")
    # The length that is told is that of the bytes sent, which an encoding may make more of.
    length = None if encoding else response.content_length
    is_too_long = length is not None and length > most
    body = None if is_too_long else await _read_capped(response, most, sending)
    if body is None:
        response.close()
        return _UnusableBody(
            FailureKind.TOO_LARGE, f"the answer is larger than max_response_bytes ({most} bytes)"
        )
    return body


def _undecodable(
    response: aiohttp.ClientResponse, body: bytes | tuple[bytes, ...], fault: LookupError | UnicodeError
) -> bytes | tuple[bytes, ...] | _UnusableBody:
    """Return why a body is not text in its charset; that of an error as well as it can be read."""
    is_unknown = isinstance(fault, UnknownCharsetError)
    if not is_success(response.status):
        return body if is_unknown else as_utf8(body, response.headers.get(hdrs.CONTENT_TYPE, ""), "replace")
    if is_unknown:
        charset = printable(str(fault.args[0]), limit=MAX_NAME_LENGTH)
        return _UnusableBody(
            FailureKind.UNKNOWN_ENCODING, f"the response declares an unknown charset: {charset}"
        )
    return _UnusableBody(
        FailureKind.ENCODING,
        "the body is not valid text in the charset of its Content-Type or byte order mark",
    )


async def _read_capped(
    response: aiohttp.ClientResponse, most: int, sending: _Sending
) -> bytes | tuple[bytes, ...] | None:
    """The decoded body, in pieces unless they are small; or None as soon as it passes ``most`` bytes."""
    chunks: list[bytes] = []
    size = 0
    content = response.content
    while not content.at_eof():
        if content.is_eof():
            chunk = content.read_nowait()
        else:
            sending.listen()
            chunk = await content.readany()
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
    return tuple(chunks) if len(chunks) > 1 and size > len(chunks) * SMALL_PIECE else b"".join(chunks)


async def _beginning(response: aiohttp.ClientResponse, sending: _Sending) -> bytes:
    """What came of the body of an error, 64 KiB at most.

    The status is the answer. A body that breaks off, stalls or does not decode must not hide it.
    """
    chunks: list[bytes] = []
    size = 0
    sending.stop_listening()
    try:
        while not response.content.at_eof():
            with TimeLimit(sending.silence):
                chunk = await response.content.readany()
            chunks.append(chunk)
            size += len(chunk)
            if size >= MAX_ERROR_BODY:
                response.close()
                break
    except (aiohttp.ClientError, OSError):
        response.close()
    return b"".join(chunks)[:MAX_ERROR_BODY]


def _kind_and_text(fault: Exception) -> tuple[FailureKind, str]:
    if isinstance(fault, _BrokenResponse):
        return fault.kind, fault.text
    os_error = getattr(fault, "os_error", None)
    alert = _ALERT.search(str(os_error or fault))
    if alert is not None and alert[1] in _HANDSHAKE_ALERTS:
        return FailureKind.TLS, _alert_text(alert[1])
    if isinstance(os_error, ssl.SSLError) or isinstance(fault, (aiohttp.ClientSSLError, ssl.SSLError)):
        return FailureKind.TLS, _tls_text(fault)
    if isinstance(fault, aiohttp.ClientPayloadError) and isinstance(
        fault.__cause__, http_exceptions.ContentEncodingError
    ):
        return FailureKind.ENCODING, "the body does not decode as its Content-Encoding says"
    if _is_out_of_sockets(fault):
        return FailureKind.CONNECT, OUT_OF_SOCKETS_TEXT
    # The last entry fits every fault.
    kind, text = next(
        (kind, text)
        for cls, kind, text in _KINDS
        if isinstance(fault, cls)  # pyright: ignore[reportUnnecessaryIsInstance]
    )
    if isinstance(fault, aiohttp.ClientConnectorError):
        text = f"{text}: {fault.host}:{fault.port}"
        if fault.os_error.strerror:
            text = f"{text}, {fault.os_error.strerror}"
    elif isinstance(fault, aiohttp.ClientHttpProxyError):
        text = f"{text}: status {fault.status}"
    return kind, text


def _is_out_of_sockets(fault: Exception) -> bool:
    # Later on the same numbers may mean that a request was sent.
    return isinstance(fault, aiohttp.ClientConnectorError) and fault.os_error.errno in OUT_OF_SOCKETS


def _of_proxy(proxy: URL, fault: Exception, kind: FailureKind, text: str) -> tuple[FailureKind, str]:
    """Return kind and text of a failure to connect through a proxy, naming it if it is to blame."""
    named = f"the proxy {proxy.host}:{proxy.port}"
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return kind, text
    if isinstance(fault, aiohttp.ClientConnectorError):
        if (fault.host, fault.port) != (proxy.raw_host, proxy.port):
            return kind, f"{text} (through {named})"
        reason = "its host name cannot be resolved" if kind is FailureKind.DNS else fault.os_error.strerror
        return kind, text if kind is FailureKind.TLS else f"cannot connect to {named}: {reason or 'failed'}"
    if kind is FailureKind.CONNECT_TIMEOUT:
        return kind, f"{text} through {named}"
    # Whatever it sent was no tunnel, so the request itself was not sent.
    return FailureKind.CONNECT, f"{named} closed the connection or did not respond as a proxy does"


def _alert_text(alert: str) -> str:
    if alert in {"CERTIFICATE_REQUIRED", "NO_CERTIFICATE"}:
        return (
            "the server requires a client certificate; pass an ssl_context= "
            "into which load_cert_chain() loaded one"
        )
    reason = alert.lower().replace("_", " ")
    return f"the server refused the TLS handshake ({reason}); does it require another client certificate?"


def _tls_text(fault: Exception) -> str:
    cause = getattr(fault, "certificate_error", None) or getattr(fault, "os_error", None) or fault
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is refused: {cause.verify_message}; "
            "for a private CA pass an ssl_context= that trusts it"
        )
    reason = getattr(cause, "reason", None) or "handshake failed"
    return f"TLS failed: {reason}; does the server speak https at this host and port?"
