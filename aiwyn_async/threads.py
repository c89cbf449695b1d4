"""Blocking work in a thread, which a cancellation does not leave half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio.to_thread

__all__ = ["in_thread", "to_its_end"]

ResultT = TypeVar("ResultT")


async def in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run work in a thread; a cancellation waits for its end, and goes on then."""
    return await to_its_end(anyio.to_thread.run_sync(work))


async def to_its_end(work: Awaitable[ResultT]) -> ResultT:
    """Await work; a cancellation waits for its end, and goes on then.

    A cancel scope of anyio would not do: it does not hold off a cancellation of the task, which Ctrl-C is.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
