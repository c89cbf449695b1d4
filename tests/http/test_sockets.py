"""Receive buffers of a socket: large for large responses, small for small ones."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Request
from aiwyn_async._http.sockets import SMALL_READ, ThriftySocket
from fault_server import READ, FaultServer, http_response, send
from looking_inside import session_of

READ_SIZE = 4 * SMALL_READ
"""The size that asyncio requests."""


@pytest.fixture
def pair() -> Iterator[tuple[ThriftySocket, socket.socket]]:
    """The reading and the writing end of a socket pair."""
    near, far = socket.socketpair()
    with ThriftySocket(fileno=near.detach()) as reader, far as writer:
        reader.settimeout(10)
        yield reader, writer


def test_socket_reads_small_responses_in_small_buffers(pair: tuple[ThriftySocket, socket.socket]) -> None:
    reader, writer = pair
    writer.sendall(bytes(SMALL_READ + 10))
    assert [len(reader.recv(READ_SIZE)) for _ in range(2)] == [SMALL_READ, 10]


def test_socket_reads_the_requested_size_after_a_full_buffer(
    pair: tuple[ThriftySocket, socket.socket],
) -> None:
    reader, writer = pair
    writer.sendall(bytes(2 * SMALL_READ + 10))
    assert [len(reader.recv(READ_SIZE)) for _ in range(2)] == [SMALL_READ, SMALL_READ + 10]
    writer.sendall(b"x")
    assert reader.recv(READ_SIZE) == b"x"
    writer.sendall(bytes(SMALL_READ + 10))
    assert len(reader.recv(READ_SIZE)) == SMALL_READ


def test_socket_reads_no_more_than_the_requested_size(pair: tuple[ThriftySocket, socket.socket]) -> None:
    reader, writer = pair
    writer.sendall(b"three")
    assert reader.recv(3) == b"thr"
    assert reader.recv(1, socket.MSG_PEEK) == b"e"
    assert reader.recv(READ_SIZE) == b"ee"


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
