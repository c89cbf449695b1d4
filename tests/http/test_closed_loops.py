"""Slots acquired in a closed event loop are available in the next one."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async._http.call import Call
from aiwyn_async._http.concurrency import ConcurrencyLimiter
from aiwyn_async._http.messages import Request
from aiwyn_async.testing import FakeClock


def new_call(clock: FakeClock) -> Call:
    return Call(Request(method="POST", path="/x"), clock, deadline=1e9)


def abandon(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Start these in an event loop that is closed while they run, as a crashed notebook cell does."""
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return tasks


async def hold(limiter: ConcurrencyLimiter) -> None:
    loop = asyncio.get_running_loop()
    await limiter.acquire(new_call(FakeClock()))
    try:
        await asyncio.Event().wait()
    finally:
        limiter.release(loop)


async def visit(limiter: ConcurrencyLimiter) -> None:
    async with asyncio.timeout(5):
        await limiter.acquire(new_call(FakeClock()))
    limiter.release()


def test_slots_and_waiters_of_a_closed_loop_are_released(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(2, clock)
    tasks = abandon(*(hold(limiter) for _ in range(5)))
    assert (limiter.in_flight, len(limiter._waiting)) == (2, 3)
    asyncio.run(visit(limiter))
    assert (limiter.in_flight, len(limiter._waiting)) == (0, 0)
    # The garbage collector closes the coroutines later; their slots are released already.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del tasks
        gc.collect()
    assert limiter.in_flight == 0
    asyncio.run(visit(limiter))


def test_slot_released_before_the_next_loop_is_released_once(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(limiter.acquire(new_call(clock)))
    loop.close()
    limiter.release(loop)
    assert limiter.in_flight == 0
    limiter.release(loop)
    assert limiter.in_flight == 0


def test_stopped_loop_retains_its_slots(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(2, clock)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(limiter.acquire(new_call(clock)))
    second.run_until_complete(limiter.acquire(new_call(clock)))
    assert limiter.in_flight == 2
    second.close()
    first.run_until_complete(visit(limiter))
    assert limiter.in_flight == 1
    limiter.release(first)
    assert limiter.in_flight == 0
    first.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=6), st.integers(1, 3))
def test_sequence_of_loops_loses_no_slot(rounds: list[tuple[int, bool]], limit: int) -> None:
    limiter = ConcurrencyLimiter(limit, FakeClock())
    abandoned: list[asyncio.Task[Any]] = []
    for number, collect in rounds:
        abandoned += abandon(*(hold(limiter) for _ in range(number)))
        if collect:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                abandoned.clear()
        asyncio.run(visit(limiter))
        assert (limiter.in_flight, len(limiter._waiting)) == (0, 0)


@pytest.mark.parametrize("end", ["cancelled", "raised"])
def test_asyncio_run_that_ends_during_a_request_loses_no_slot(end: str, clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)

    async def leave_during_request() -> None:
        tasks = [asyncio.create_task(hold(limiter)) for _ in range(3)]
        await asyncio.sleep(0)
        if end == "cancelled":
            tasks[0].cancel()
            await asyncio.sleep(0)
            return
        raise ZeroDivisionError

    run: Callable[[], None] = lambda: asyncio.run(leave_during_request())  # noqa: E731
    if end == "raised":
        with pytest.raises(ZeroDivisionError):
            run()
    else:
        run()
    asyncio.run(visit(limiter))
    assert limiter.in_flight == 0


def test_slots_of_two_open_loops_are_counted_apart(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(2, clock)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for loop in loops:
        loop.run_until_complete(limiter.acquire(new_call(clock)))
    for loop in loops:
        limiter.release(loop)
        loop.close()
    assert limiter.in_flight == 0


def test_slot_assigned_to_a_waiter_of_another_open_loop_is_released_by_it(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    one, other = (asyncio.new_event_loop() for _ in range(2))
    one.run_until_complete(limiter.acquire(new_call(clock)))
    waiters = [loop.create_task(limiter.acquire(new_call(clock))) for loop in (one, other)]
    for loop in (one, other):
        loop.run_until_complete(asyncio.sleep(0))
    limiter.release(one)
    for loop, waiter in zip((one, other), waiters, strict=True):
        loop.run_until_complete(asyncio.wait_for(waiter, 5))
        limiter.release(loop)
    one.close()
    other.close()
    assert limiter.in_flight == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_releases_no_slot_of_the_parents_loops(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(2, clock)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for loop in loops:
        loop.run_until_complete(limiter.acquire(new_call(clock)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other threads run while forking
        child = os.fork()
    if not child:
        in_flight = 0
        with contextlib.suppress(BaseException):
            loops[0].close()
            asyncio.run(limiter.acquire(new_call(clock)))
            in_flight = limiter.in_flight
        os._exit(in_flight)
    for loop in loops:
        loop.close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
