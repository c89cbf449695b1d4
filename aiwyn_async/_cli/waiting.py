"""Messages while a command writes nothing: a silent server and a second scan look like a hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiwyn_async._cli import output
from aiwyn_async._cli.output import write_message
from aiwyn_async._core.observer import AttemptEnd, CallEnd, ObservedCall, WaitStart

QUIET_SECONDS: Final = 10.0


class WaitingMessages:
    """Observes a client: counts responses, and says so after ten seconds without output.

    Nothing is written while no call is in flight, as in an MCP server that waits for its client.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        last_output: Callable[[], float] = output.last_output,
        write: Callable[[str], None] = write_message,
    ) -> None:
        self._clock = clock
        self._last_output = last_output
        self._write = write
        self._started = self._last_message = self._last_response = clock()
        self._responses = self._in_flight = 0

    def call_started(self, call: ObservedCall) -> None:  # noqa: ARG002 (an observer's signature)
        """Start to count again after a pause between calls."""
        now = self._clock()
        if not self._in_flight and now - self._last_response >= QUIET_SECONDS:
            self._started = self._last_message = self._last_response = now
            self._responses = 0
        self._in_flight += 1

    def wait_started(self, call: ObservedCall, wait: WaitStart) -> None:
        """Do nothing."""

    def attempt_ended(self, call: ObservedCall, attempt: AttemptEnd) -> None:  # noqa: ARG002 (an observer's signature)
        """Count a response or a failed attempt."""
        self._responses += 1
        self._last_response = self._clock()

    def call_ended(self, call: ObservedCall, end: CallEnd) -> None:  # noqa: ARG002 (an observer's signature)
        self._in_flight -= 1

    def check(self) -> None:
        """Write a message if it is due."""
        now = self._clock()
        if not self._in_flight or now - max(self._last_message, self._last_output()) < QUIET_SECONDS:
            return
        self._last_message = now
        silent = now - self._last_response
        if silent >= QUIET_SECONDS:
            self._write(f"waiting for the server: no response for {silent:.0f} s")
        else:
            responses = "1 response" if self._responses == 1 else f"{self._responses} responses"
            self._write(f"reading: {responses} in {now - self._started:.0f} s")


@asynccontextmanager
async def waiting_messages() -> AsyncGenerator[WaitingMessages, None]:
    """Yield an observer for a client, which writes messages within this context."""
    messages = WaitingMessages()
    checking = asyncio.create_task(_check(messages))
    try:
        yield messages
    finally:
        checking.cancel()


async def _check(messages: WaitingMessages) -> None:
    while True:
        await asyncio.sleep(1)
        messages.check()
