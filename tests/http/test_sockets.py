"""Receive buffers of a connection: large for large responses, small for small ones."""

# A test of the sockets looks inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http import connections
from aiwyn_async._http.messages import Request
from aiwyn_async._http.session import Session
from aiwyn_async._http.sockets import LARGE_READ, SMALL_READ, adapt_read_size
from fault_server import READ, FaultServer, http_response, send
from looking_inside import session_of


def read_size(session: Session) -> int:
    """Return how many bytes the only open connection reads at once."""
    (pool,) = session.transport._pools.values()
    ((connection,),) = pool.connector._conns.values()
    return int(connection[0].transport.max_size)  # type: ignore[union-attr]


async def test_connection_reads_small_responses_in_small_buffers(connect: Callable[..., AiwynClient]) -> None:
    async with FaultServer([READ, send(http_response(body=b"[]"))]) as server:
        session = session_of(connect(server.url))
        await session.call(Request(method="GET", path="/"))
        assert read_size(session) == SMALL_READ


async def test_connection_reads_large_responses_in_large_buffers(
    connect: Callable[..., AiwynClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(connections, "adapt_read_size", lambda _, received: sizes.append(received))
    body = b"[" + b" " * 10_000_000 + b"]"
    async with FaultServer([READ, send(http_response(body=body))]) as server:
        await session_of(connect(server.url)).call(Request(method="GET", path="/"))
    assert max(sizes) >= SMALL_READ


def test_transport_reads_more_only_after_a_full_buffer() -> None:
    transport = SimpleNamespace(max_size=LARGE_READ)
    sizes: list[int] = []
    for received in (0, SMALL_READ - 1, SMALL_READ, LARGE_READ, 1):
        adapt_read_size(transport, received)
        sizes.append(transport.max_size)
    assert sizes == [SMALL_READ, SMALL_READ, LARGE_READ, LARGE_READ, SMALL_READ]


def test_transport_without_a_read_size_is_left_alone() -> None:
    transport = SimpleNamespace()
    adapt_read_size(transport, LARGE_READ)
    assert vars(transport) == {}


@pytest.mark.parametrize("size", [SMALL_READ - 1, SMALL_READ, 3 * SMALL_READ + 1, 1_000_000])
async def test_body_of_any_size_is_received(size: int, connect: Callable[..., AiwynClient]) -> None:
    body = b"[" + b" " * (size - 2) + b"]"
    async with FaultServer(
        [READ, send(http_response(body=body)), READ, send(http_response(body=b"[]"))]
    ) as server:
        session = session_of(connect(server.url))
        for expected in (body, b"[]"):
            assert (await session.call(Request(method="GET", path="/"))).body == expected
    assert server.connections == 1
