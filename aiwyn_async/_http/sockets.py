"""Small buffers for small responses, and sockets for TLS.

asyncio reads into 256 KiB, however small the responses are. Unless the process has freed a block of that
size, glibc requests it from the kernel for each read and returns most of it: three system calls per response,
an eighth of the time of a small one.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SMALL_READ: Final = 64 * 1024
"""Bytes that glibc serves from its heap: it requests blocks of 128 KiB and more from the kernel, until one
is freed, and trims the heap when 64 KiB or more are freed."""
LARGE_READ: Final = 256 * 1024


def adapt_read_size(transport: Any, received: int) -> None:
    """Let a transport of asyncio read up to 64 KiB, and more after it received as much.

    uvloop and TLS read in other ways and are not affected.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = LARGE_READ if received >= SMALL_READ else SMALL_READ


class TlsSocket(socket.socket):
    """Reads the last bytes of a peer that closed the connection before a write.

    A TLS 1.3 server rejects a client certificate by an alert sent after the client starts to write. asyncio
    drops a connection at the first failing write, and the alert with it.
    """

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        try:
            return super().send(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            with suppress(OSError):
                if self.recv(1, socket.MSG_PEEK):
                    return memoryview(data).nbytes
            raise
