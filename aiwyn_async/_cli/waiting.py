"""Messages while a command writes nothing: a silent server and a second scan look like a hang."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiwyn_async._cli import output
from aiwyn_async._cli.output import write_message

__all__ = ["WaitingMessages", "waiting_messages"]

QUIET_SECONDS: Final = 10.0


class WaitingMessages(logging.Handler):
    """Counts the responses that the library logs, and says so after ten seconds without output.

    Args:
        host: the server.
        clock: returns the time in seconds.
        last_output: returns when the command wrote something.
        write: writes a line.
    """

    def __init__(
        self,
        host: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        last_output: Callable[[], float] = output.last_output,
        write: Callable[[str], None] = write_message,
    ) -> None:
        super().__init__(logging.DEBUG)
        self._host = host
        self._clock = clock
        self._last_output = last_output
        self._write = write
        self._started = self._last_message = self._last_response = clock()
        self._responses = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 (the library logs attempts alone)
        """Count a response or a failed attempt."""
        self._responses += 1
        self._last_response = self._clock()

    def check(self) -> None:
        """Write a message if it is due."""
        now = self._clock()
        if now - max(self._last_message, self._last_output()) < QUIET_SECONDS:
            return
        self._last_message = now
        silent = now - self._last_response
        if silent >= QUIET_SECONDS:
            self._write(f"waiting for {self._host}: no response for {silent:.0f} s")
        else:
            responses = "1 response" if self._responses == 1 else f"{self._responses} responses"
            self._write(f"reading {self._host}: {responses} in {now - self._started:.0f} s")


@asynccontextmanager
async def waiting_messages(host: str) -> AsyncGenerator[None, None]:
    """Write messages about a server within a context."""
    messages = WaitingMessages(host)
    logger = logging.getLogger("aiwyn_async")
    logger.addHandler(messages)
    logger.setLevel(logging.DEBUG)
    checking = asyncio.create_task(_check(messages))
    try:
        yield
    finally:
        checking.cancel()
        logger.removeHandler(messages)


async def _check(messages: WaitingMessages) -> None:
    while True:
        await asyncio.sleep(1)
        messages.check()
