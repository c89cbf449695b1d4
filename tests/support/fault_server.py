"""A server that plays a script per connection: reads, sends and disconnects."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

__all__ = [
    "FIN",
    "READ",
    "RST",
    "STALL",
    "Connection",
    "FaultServer",
    "Received",
    "Step",
    "drip",
    "http_response",
    "send",
]


class Received(NamedTuple):
    """One request as received."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One accepted connection, as the steps of a script see it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: FaultServer
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.server = server


Step = Callable[[Connection], Awaitable[None]]


async def READ(connection: Connection) -> None:  # noqa: N802 (a step of a script reads better in capitals)
    """Read one request, through its Content-Length."""
    head = await connection.reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    fields = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await connection.reader.readexactly(int(headers.get("content-length", "0")))
    connection.server.requests.append(Received(method, target, headers, body))


async def FIN(connection: Connection) -> None:  # noqa: N802
    """Close the connection normally."""
    connection.writer.close()


async def RST(connection: Connection) -> None:  # noqa: N802
    """Reset the connection; data in flight is lost."""
    sock = connection.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


async def STALL(connection: Connection) -> None:  # noqa: N802
    """Send nothing until the client disconnects."""
    while await connection.reader.read(65536):
        pass


def send(data: bytes) -> Step:
    """Send these bytes unchanged."""

    async def step(connection: Connection) -> None:
        connection.server.bytes_sent += len(data)
        connection.writer.write(data)
        await connection.writer.drain()

    return step


def drip(data: bytes, every: float, *, times: int | None = None) -> Step:
    """Send these bytes repeatedly, with a pause between, until the client disconnects."""

    async def step(connection: Connection) -> None:
        sent = 0
        while times is None or sent < times:
            await send(data)(connection)
            sent += 1
            if every:
                try:
                    async with asyncio.timeout(every):
                        await STALL(connection)
                        return
                except TimeoutError:
                    continue

    return step


def http_response(
    status: int = 200,
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    *,
    reason: str = "Reason",
    length: int | None = None,
) -> bytes:
    """Return an HTTP response; ``length`` replaces the value of Content-Length."""
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body) if length is None else length),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


class FaultServer:
    """Plays ``scripts``, one per connection; the last one is repeated.

    The end of a script closes its connection.
    """

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self.scripts: list[Sequence[Step]] = list(scripts)
        self.connections = 0
        self.requests: list[Received] = []
        self.bytes_sent = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._playing: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}"

    def play(self, *scripts: Sequence[Step]) -> None:
        """Play these scripts from the next connection on, and reset the counters."""
        self.scripts = list(scripts)
        self.connections = 0
        self.requests.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._playing:
            task.cancel()
        if self._playing:
            await asyncio.wait(self._playing)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        connection = Connection(reader, writer, self)
        try:
            for step in script:
                await step(connection)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._playing.discard(task)
