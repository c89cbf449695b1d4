"""Slots: the limit is never exceeded, cancellation loses none, a burst of 429s cuts the limit once."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async._http import forks
from aiwyn_async._http.call import Call
from aiwyn_async._http.concurrency import ConcurrencyLimiter
from aiwyn_async._http.messages import Request
from aiwyn_async.testing import FakeClock


def new_call(clock: FakeClock) -> Call:
    return Call(Request(method="POST", path="/x"), clock, deadline=1e9)


MOVES = st.lists(
    st.sampled_from(
        [
            "enter",
            "enter",
            "enter ahead",
            "leave",
            "cancel",
            "cancel and leave",
            "throttle",
            "succeed",
            "turn",
        ]
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(MOVES, st.integers(1, 4))
def test_slots_are_neither_exceeded_nor_lost(moves: list[str], max_limit: int) -> None:
    asyncio.run(_play(moves, max_limit))


async def _play(moves: list[str], max_limit: int) -> None:
    clock = FakeClock()
    limiter = ConcurrencyLimiter(max_limit, clock)
    inside: list[asyncio.Event] = []
    tasks: list[asyncio.Task[None]] = []

    async def visit(ahead: bool) -> None:
        limit_at_admission = await limiter.acquire(new_call(clock), priority=ahead)
        assert limit_at_admission == clock.monotonic()
        leaves = asyncio.Event()
        inside.append(leaves)
        try:
            await leaves.wait()
        finally:
            inside.remove(leaves)
            limiter.release()

    for move in moves:
        clock.advance(1)
        match move:
            case "enter" | "enter ahead":
                tasks.append(asyncio.create_task(visit(move == "enter ahead")))
                await asyncio.sleep(0)
            case "leave" if inside:
                inside[0].set()
            case "cancel" if tasks:
                tasks[len(moves) % len(tasks)].cancel()
            case "cancel and leave" if tasks and inside:
                # The next waiter is cancelled in the turn in which it receives the slot.
                inside[0].set()
                await asyncio.sleep(0)
                tasks[-1].cancel()
            case "throttle":
                limiter.throttled(clock.monotonic())
            case "succeed":
                limiter.succeeded()
            case _:
                await asyncio.sleep(0)
        assert 0 <= limiter.in_flight <= max_limit
        assert 1 <= limiter.limit <= max_limit
    await _release_all(tasks, inside)
    assert all(task.cancelled() or task.exception() is None for task in tasks)
    assert limiter.in_flight == 0
    assert not limiter._waiting
    await limiter.acquire(new_call(clock))
    limiter.release()


async def _release_all(tasks: list[asyncio.Task[None]], inside: list[asyncio.Event]) -> None:
    for _ in range(1000):
        if all(task.done() for task in tasks):
            return
        for leaves in inside:
            leaves.set()
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    pytest.fail("a slot is lost")


async def test_cancelled_waiter_passes_its_slot_on(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    await limiter.acquire(new_call(clock))
    waiting = asyncio.create_task(limiter.acquire(new_call(clock)))
    await asyncio.sleep(0)
    # Cancelled, and its slot passed on, before it runs again.
    waiting.cancel()
    limiter.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter.in_flight == 0


async def test_slot_of_a_cancelled_waiter_goes_to_the_next(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    await limiter.acquire(new_call(clock))
    first, second = (asyncio.create_task(limiter.acquire(new_call(clock))) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release()
    first.cancel()
    await asyncio.wait([first])
    for _ in range(3):
        await asyncio.sleep(0)
    second.cancel()  # without effect if it has the slot
    await asyncio.wait([second])
    assert (first.cancelled(), second.cancelled(), limiter.in_flight) == (True, False, 1)


async def test_queue_is_fair_except_for_priority(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    await limiter.acquire(new_call(clock))
    order: list[str] = []

    async def visit(name: str, ahead: bool) -> None:
        await limiter.acquire(new_call(clock), priority=ahead)
        order.append(name)
        limiter.release()

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(visit(name, ahead=False))
        group.create_task(visit("token", ahead=True))
        await asyncio.sleep(0)
        limiter.release()
    assert order == ["token", "a", "b", "c"]


async def test_burst_of_429s_cuts_the_limit_once(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(8, clock)
    admitted = [await limiter.acquire(new_call(clock)) for _ in range(8)]
    clock.advance(1)
    for at in admitted:
        limiter.throttled(at)
    assert limiter.limit == 4
    limiter.throttled(clock.monotonic())
    assert limiter.limit == 4
    clock.advance(1)
    limiter.throttled(clock.monotonic())
    assert limiter.limit == 2


def test_limit_halves_to_one_and_recovers(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(8, clock)
    for _ in range(9):
        clock.advance(1)
        limiter.throttled(clock.monotonic())
    assert limiter.limit == 1
    climbed: list[int] = []
    for _ in range(60):
        limiter.succeeded()
        climbed.append(int(limiter.limit))
    assert climbed == sorted(climbed)
    # About one slot a round: 1 + 2 + ... + 7 successes.
    assert climbed[0] == 2
    assert 24 <= climbed.index(8) <= 36


async def test_pause_is_the_longest_requested(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(8, clock)
    limiter.pause(5)
    limiter.pause(2)
    caller = new_call(clock)
    assert await limiter.acquire(caller) == 5
    assert (caller.phase, clock.sleeps) == ("pause", [5])
    limiter.release()
    await limiter.acquire(caller)
    assert clock.sleeps == [5]


async def test_cancelled_pause_releases_its_slot(clock: FakeClock) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    limiter.pause(5)
    entering = asyncio.create_task(limiter.acquire(new_call(clock)))
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait([entering])
    assert limiter.in_flight == 0


async def test_forked_child_does_not_wait_for_the_parents_requests(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = ConcurrencyLimiter(1, clock)
    await limiter.acquire(new_call(clock))
    parent = forks.generation
    monkeypatch.setattr(forks, "generation", parent + 1)
    await limiter.acquire(new_call(clock))
    assert limiter.in_flight == 1


def test_limiter_repr_shows_its_state(clock: FakeClock) -> None:
    assert repr(ConcurrencyLimiter(3, clock)) == "<ConcurrencyLimiter 0 in flight of 3, 0 waiting>"
