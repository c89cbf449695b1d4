"""Servers to which no request can be sent: closed ports, unknown names, certificates that are not valid."""

# pyright: reportUnknownMemberType=false
# (a library of the tests is not typed)

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import cache
from typing import Any

import trustme

from fault_server import READ, STALL, FaultServer, Step, http_response, send

__all__ = ["UNREACHABLE", "Target", "authority", "server_context", "trusting"]

Target = Callable[[], AbstractAsyncContextManager[tuple[str, dict[str, Any]]]]
"""Yields the base_url and the options of a client."""
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
OLD_TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


@cache
def authority() -> trustme.CA:
    """Return the authority that the clients of these servers trust."""
    return trustme.CA()


def server_context(host: str = "localhost", **dates: Any) -> ssl.SSLContext:
    """Return the context of a server with a certificate for this host."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(host, **dates).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return the context of a client that trusts this authority only."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def closed_port() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield f"http://127.0.0.1:{port}", {}


@asynccontextmanager
async def unknown_name() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    yield "https://nope.invalid", {}


@asynccontextmanager
async def full_backlog() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """A port to which connections are neither accepted nor refused."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", {"connect_timeout": 0.06}
        for filler in fillers:
            filler.close()


def _tls(host: str = "localhost", *, trusted: bool = True, **dates: Any) -> Target:
    @asynccontextmanager
    async def target() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        async with FaultServer([READ, send(http_response())], tls=server_context(host, **dates)) as server:
            yield server.url, {"ssl_context": trusting(authority())} if trusted else {}
            assert server.requests == []  # and so no credential was sent

    return target


def _https_url(*script: Step, **options: Any) -> Target:
    @asynccontextmanager
    async def target() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        async with FaultServer(script) as server:
            yield server.url.replace("http", "https"), options

    return target


UNREACHABLE: dict[str, Target] = {
    "connection refused": closed_port,
    "unknown host name": unknown_name,
    "connection never accepted": full_backlog,
    "TLS handshake stalls": _https_url(STALL, connect_timeout=0.06),
    "certificate expired": _tls(not_before=NOW - 2 * DAY, not_after=NOW - DAY),
    "certificate not yet valid": _tls(not_before=NOW + DAY, not_after=NOW + 2 * DAY),
    "certificate of another host": _tls("example.org"),
    "certificate of an unknown authority": _tls(trusted=False),
    "TLS 1.1 or older": _https_url(send(OLD_TLS_ALERT)),
    "plain HTTP at an https URL": _https_url(send(http_response(400))),
}
