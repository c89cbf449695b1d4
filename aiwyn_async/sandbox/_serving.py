"""A sandbox that runs on its own until it is stopped."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable

from aiwyn_async.sandbox._sandbox import Sandbox


async def serve(
    sandbox: Sandbox, stop: asyncio.Event | None = None, *, ready: Callable[[Sandbox], None] | None = None
) -> None:
    """Run a sandbox until it is stopped.

    Args:
        sandbox: A sandbox that has not been started.
        stop: Set it to stop the sandbox. SIGINT, SIGTERM and SIGHUP also do if the loop supports signal
            handlers, unless SIGHUP is ignored.
        ready: Called once the sandbox is serving.
    """
    stop = stop or asyncio.Event()
    async with sandbox, _handle_signals(stop):
        if ready is not None:
            ready(sandbox)
        await stop.wait()


@contextlib.asynccontextmanager
async def _handle_signals(stop: asyncio.Event) -> AsyncGenerator[None]:
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    stopping = {signal.SIGINT, signal.SIGTERM}
    if (hangup := getattr(signal, "SIGHUP", None)) and signal.getsignal(hangup) is not signal.SIG_IGN:
        stopping.add(hangup)
    for number in stopping:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
