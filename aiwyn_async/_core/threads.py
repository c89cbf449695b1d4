"""This thread's event loop, and blocking work that a cancellation waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiwyn_async.errors import LoopMismatchError

ResultT = TypeVar("ResultT")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the asyncio event loop that runs in this thread.

    Raises:
        LoopMismatchError: none runs, as under trio.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise LoopMismatchError(
            "aiwyn_async needs a running asyncio event loop; under trio, run it in a thread of its own: "
            "await trio.to_thread.run_sync(asyncio.run, main())"
        ) from None


async def in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run work in a thread; a cancellation is raised after the work ends."""
    running_loop()
    import anyio.to_thread  # noqa: PLC0415 (loaded only if needed)

    return await shielded(anyio.to_thread.run_sync(work))


async def shielded(work: Awaitable[ResultT]) -> ResultT:
    """Await work; a cancellation is raised after the work ends.

    A cancel scope of anyio would not do: it does not hold off a cancellation of the task, which Ctrl-C is.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():  # also if it is cancelled again
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # asyncio logs one that nobody retrieves
        raise
