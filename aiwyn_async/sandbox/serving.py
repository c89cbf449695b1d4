"""A sandbox on its own: it runs until it is told to stop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable

from .server import Sandbox

__all__ = ["serve"]


async def serve(
    sandbox: Sandbox,
    stop: asyncio.Event | None = None,
    *,
    ready: Callable[[Sandbox], None] | None = None,
) -> None:
    """Run a sandbox until it is told to stop.

    Args:
        sandbox: A sandbox that was not started.
        stop: Set it to stop. SIGINT and SIGTERM do so too, where a loop can take signals.
        ready: Called once it serves, to print where.
    """
    stop = stop or asyncio.Event()
    async with sandbox, _signals(stop):
        if ready is not None:
            ready(sandbox)
        await stop.wait()


@contextlib.asynccontextmanager
async def _signals(stop: asyncio.Event) -> AsyncGenerator[None]:
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
