"""This thread's event loop, and blocking work that a cancellation waits for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
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
    """Run work in a thread of its own; a cancellation is raised after the work ends.

    In a pool with a maximum of threads, exports that hold one each would wait for each other. A task that
    waits for the thread would end before it if the program cancels all tasks, as ``asyncio.run()`` does.
    """
    running_loop()
    future: concurrent.futures.Future[ResultT] = concurrent.futures.Future()
    run = copy_context().run
    threading.Thread(target=run, args=(_complete, future, work), name="aiwyn-worker").start()
    return await shielded(asyncio.wrap_future(future))


def _complete(future: concurrent.futures.Future[ResultT], work: Callable[[], ResultT]) -> None:
    try:
        result = work()
    except StopIteration as stop:  # a future refuses it
        error = RuntimeError("work in a thread raised StopIteration")
        error.__cause__ = stop
        future.set_exception(error)
    except BaseException as error:  # noqa: BLE001 (raised where the work is awaited)
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        del future, work  # the traceback of an error holds this frame


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
