"""stdin and stdout as lines, so that Ctrl-C ends a server that waits for either.

The threads of anyio cannot be abandoned while they read, and Python waits for them at exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final, TypeVar

from aiwyn_async.errors import ConfigurationError

ResultT = TypeVar("ResultT")
_CHUNK: Final = 64 * 1024


async def read_lines(descriptor: int) -> AsyncGenerator[str, None]:
    """Yield the lines of a file descriptor."""
    rest = bytearray()
    while chunk := await _in_daemon_thread(lambda: _read(descriptor)):
        rest += chunk
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


class StdoutLines:
    """Writes to a file descriptor; once its reader has exited, nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_open = True

    async def write(self, text: str) -> None:
        """Write text completely."""
        if self._is_open:
            self._is_open = await _in_daemon_thread(lambda: _write(self._descriptor, text.encode()))

    async def flush(self) -> None:
        """Do nothing: ``write`` does not buffer."""


@contextlib.contextmanager
def protocol_stdout() -> Generator[StdoutLines]:
    """Reserve stdout for the protocol; what else is written to it goes to stderr.

    Raises:
        ConfigurationError: stdin or stdout is closed.
    """
    if sys.stdin is None or sys.stdout is None:
        raise ConfigurationError("stdin or stdout is closed; start the server from an MCP client")
    sys.stdout.flush()
    stdout = sys.stdout.fileno()
    private = os.dup(stdout)
    # Without stderr, it is discarded.
    os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno(), stdout)
    try:
        yield StdoutLines(private)
    finally:
        sys.stdout.flush()
        os.dup2(private, stdout)
        # A thread may still write to ``private``, so it stays open until the process ends.


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:  # such as the end of a terminal
        return b""


def _write(descriptor: int, data: bytes) -> bool:
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        return False
    return True


async def _in_daemon_thread(function: Callable[[], ResultT]) -> ResultT:
    """Call a function in a thread that neither cancellation nor the end of the process waits for."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[ResultT] = loop.create_future()

    def run() -> None:
        value = function()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if result.done() else result.set_result(value))

    threading.Thread(target=run, name="aiwyn-mcp", daemon=True).start()
    return await result
