"""Sockets that reserve little memory where little comes.

asyncio reads with room for 256 KiB, however small the answers are. In a process that has freed nothing so
large, glibc takes as much from the kernel for each read and gives nearly all of it back: three calls of the
kernel an answer, which take an eighth of the time of a small one.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ThriftySocket", "TlsSocket"]

SMALL_READ: Final = 64 * 1024
"""Bytes that glibc has at hand: it takes 128 KiB and more from the kernel, as long as nothing that large was
freed, and looks for what to give back when 64 KiB or more are freed."""


class ThriftySocket(socket.socket):
    """Reads with room for 64 KiB, and for as much as is asked for after a read that filled it.

    Event loops that read otherwise, as uvloop and TLS do, do as they would with any socket.
    """

    _room = SMALL_READ

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """See ``socket.socket.recv()``."""
        received = super().recv(min(bufsize, self._room), flags)
        self._room = bufsize if len(received) >= SMALL_READ else SMALL_READ
        return received


class TlsSocket(ThriftySocket):
    """Reads what the peer sent last, although it closed the connection before it could be written to.

    A TLS 1.3 server refuses a client's certificate by an alert that is sent once the client has begun to
    write. asyncio drops a connection at the first write that fails, and the alert with it.
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
