"""Time limits behave like asyncio's timeouts, with fewer timers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._http.timeouts import MAX_IDLE_TIMERS, Stage, TimeLimit
from leaping_loop import run_leaping

# Called with seconds and the enclosing limit.
Within = Callable[[float, TimeLimit | None], AbstractAsyncContextManager[TimeLimit | None]]


class SilentError(Exception):
    """No data was received for too long."""


@asynccontextmanager
async def ours(seconds: float, around: TimeLimit | None = None) -> AsyncGenerator[TimeLimit]:  # noqa: ARG001
    with TimeLimit(seconds) as limit:
        yield limit


@asynccontextmanager
async def staged(seconds: float, around: TimeLimit | None = None) -> AsyncGenerator[TimeLimit]:
    if around is None:
        with TimeLimit(seconds) as limit:
            yield limit
    else:
        with Stage(around, seconds, math.inf, SilentError):
            yield around


@asynccontextmanager
async def of_asyncio(seconds: float, around: TimeLimit | None = None) -> AsyncGenerator[None]:  # noqa: ARG001
    async with asyncio.timeout(seconds):
        yield


class Work(NamedTuple):
    """Seconds: its start, outer and inner limit and duration, the work after the inner limit, and its
    cancellation.
    """

    begins_at: float
    outer: float
    inner: float
    duration: float
    then: float
    cancelled_at: float | None


# Limits are integers and durations end in quarters, so no work ends exactly at its limit.
LENGTHS = st.integers(1, 6).map(float)
WORKS = st.lists(
    st.builds(
        Work,
        begins_at=st.integers(0, 8).map(float),
        outer=LENGTHS,
        inner=LENGTHS.map(lambda seconds: seconds + 0.5),
        duration=st.integers(0, 9).map(lambda seconds: seconds + 0.25),
        then=st.integers(0, 4).map(lambda seconds: seconds + 0.75),
        cancelled_at=st.none() | st.integers(0, 15).map(lambda seconds: seconds + 0.125),
    ),
    max_size=12,
)


async def outcomes_of(works: list[Work], within: Within) -> list[tuple[str, float]]:
    loop = asyncio.get_running_loop()

    async def run(work: Work) -> tuple[str, float]:
        await asyncio.sleep(work.begins_at)
        outcome = "done"
        try:
            async with within(work.outer, None) as outer:
                try:
                    async with within(work.inner, outer):
                        await asyncio.sleep(work.duration)
                except TimeoutError:
                    outcome = "inner"
                    await asyncio.sleep(work.then)
        except TimeoutError:
            outcome = "outer"
        except asyncio.CancelledError:
            outcome = "cancelled"
        return outcome, loop.time()

    tasks = [asyncio.create_task(run(work)) for work in works]
    for work, task in zip(works, tasks, strict=True):
        if work.cancelled_at is not None and work.cancelled_at > work.begins_at:
            loop.call_at(work.cancelled_at, task.cancel)
    return [await task for task in tasks]


@pytest.mark.parametrize("within", [ours, staged])
@given(works=WORKS)
def test_time_limits_end_work_as_asyncio_timeouts_do(within: Within, works: list[Work]) -> None:
    results = run_leaping(outcomes_of(works, within))
    assert results == run_leaping(outcomes_of(works, of_asyncio))


@pytest.mark.parametrize("within", [ours, staged, of_asyncio])
def test_cancellation_at_the_time_limit_wins(within: Within) -> None:
    async def main() -> bool:
        async def limited() -> None:
            async with within(3, None) as outer, within(1, outer):
                await asyncio.sleep(9)

        task = asyncio.create_task(limited())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(1, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run_leaping(main())


def test_thousand_sequential_calls_use_one_timer_per_limit() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with mock.patch.object(loop, "call_at", wraps=loop.call_at) as call_at:
            for _ in range(1000):
                with TimeLimit(60), TimeLimit(300):
                    pass
        return call_at.call_count

    assert run_leaping(main()) == 2


def test_thousand_calls_with_distinct_limits_leave_few_timers() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []

        def call_at(*args: Any) -> asyncio.TimerHandle:
            handles.append(real(*args))
            return handles[-1]

        real = loop.call_at
        with mock.patch.object(loop, "call_at", side_effect=call_at):
            for number in range(1000):
                with TimeLimit(60 + number / 1000):
                    pass
        return [handle.when() for handle in handles if not handle.cancelled()]

    assert 0 < len(run_leaping(main())) <= MAX_IDLE_TIMERS


@given(silences=st.lists(st.integers(1, 7), max_size=6), within=st.integers(1, 5), limit=st.integers(1, 20))
def test_silence_is_counted_from_the_last_data(silences: list[int], within: int, limit: int) -> None:
    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        outcome = "done"
        try:
            with TimeLimit(99) as of_all, Stage(of_all, limit + 0.5, within + 0.25, SilentError) as stage:
                for seconds in silences:
                    stage.listen()
                    await asyncio.sleep(seconds)
        except SilentError:
            outcome = "silent"
        except TimeoutError:
            outcome = "late"
        return outcome, loop.time()

    heard = 0
    expected: tuple[str, float] | None = None
    for seconds in silences:
        limits = {"late": limit + 0.5, "silent": heard + within + 0.25}
        first = min(limits, key=lambda each: limits[each])
        if limits[first] < heard + seconds:
            expected = first, limits[first]
            break
        heard += seconds
    assert run_leaping(main()) == (expected or ("done", heard))


def test_expired_limit_is_ignored_when_its_timer_fires() -> None:
    async def main() -> list[str]:
        with TimeLimit(1):
            await asyncio.sleep(0.5)
        await asyncio.sleep(1)
        outcomes: list[str] = []
        try:
            with TimeLimit(1):  # of the same length as an expired one
                await asyncio.sleep(2)
        except TimeoutError:
            outcomes.append(f"at {asyncio.get_running_loop().time()}")
        return outcomes

    assert run_leaping(main()) == ["at 2.5"]


def test_time_limit_requires_a_task() -> None:
    messages: list[str] = []

    def without_a_task() -> None:
        try:
            with TimeLimit(1):
                pass
        except RuntimeError as error:
            messages.append(str(error))

    async def main() -> None:
        asyncio.get_running_loop().call_soon(without_a_task)
        await asyncio.sleep(0)

    run_leaping(main())
    assert messages == ["a time limit needs a task to end"]
