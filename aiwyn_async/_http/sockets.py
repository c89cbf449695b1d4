"""Sockets that allocate small buffers for small responses.

asyncio reads into 256 KiB, however small the responses are. Unless the process has freed a block of that
size, glibc requests it from the kernel for each read and returns most of it: three system calls per response,
an eighth of the time of a small one.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ThriftySocket", "TlsSocket"]

SMALL_READ: Final = 64 * 1024
"""Bytes that glibc serves from its heap: it requests blocks of 128 KiB and more from the kernel, until one
is freed, and trims the heap when 64 KiB or more are freed."""


class ThriftySocket(socket.socket):
    """Reads up to 64 KiB, then the requested size after a full buffer.

    uvloop and TLS read in other ways and are not affected.
    """

    _room = SMALL_READ

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """See ``socket.socket.recv()``."""
        received = super().recv(min(bufsize, self._room), flags)
        self._room = bufsize if len(received) >= SMALL_READ else SMALL_READ
        return received


class TlsSocket(ThriftySocket):
    """Reads the last bytes of a peer that closed the connection before a write.

    A TLS 1.3 server rejects a client certificate by an alert sent after the client starts to write. asyncio
    drops a connection at the first failing write, and the alert with it.
    """

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """See ``socket.socket.send()``."""
        try:
            return super().send(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            if not self._has_unread_bytes():
                raise
            return memoryview(data).nbytes

    def _has_unread_bytes(self) -> bool:
        try:
            return bool(super().recv(1, socket.MSG_PEEK))
        except OSError:
            return False
