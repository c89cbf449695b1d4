"""Deadlines in each phase of a call, and their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import DeadlineExceededError, RateLimitError, ServerError
from aiwyn_async.testing import FakeClock
from fault_server import READ, STALL, FaultServer, http_response, send
from looking_inside import LIST, WRITE, assert_nothing_is_held, session_of, until
from secrecy import assert_no_secret

Connect = Callable[..., AiwynClient]

OK = send(http_response())


async def test_deadline_in_the_response_names_the_response(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, deadline=0.06)
        for request, ambiguous in ((LIST, False), (WRITE, True)):
            with pytest.raises(DeadlineExceededError) as caught:
                await session_of(client).call(request)
            assert (caught.value.phase, caught.value.ambiguous) == ("response", ambiguous)
            assert_no_secret(caught.value)
        await assert_nothing_is_held(client)


async def test_deadline_in_the_queue_names_it(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, max_concurrency=1)
        ahead = asyncio.create_task(session_of(client).call(LIST))
        await until(lambda: len(server.requests) > 0)
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(client.with_options(deadline=0.05)).call(WRITE)
        assert (caught.value.phase, caught.value.ambiguous, caught.value.attempts) == ("queue", False, ())
        ahead.cancel()
        await asyncio.wait([ahead])
        await assert_nothing_is_held(client)


async def test_deadline_in_a_pause_is_reported_before_it_is_waited_for(
    connect: Connect, clock: FakeClock
) -> None:
    async with FaultServer([READ, send(http_response(429, headers={"Retry-After": "60"}))]) as server:
        client = connect(server.url, retries=0)
        with pytest.raises(RateLimitError):
            await session_of(client).call(LIST)
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(client.with_options(deadline=10)).call(LIST)
        assert (caught.value.phase, len(server.requests), clock.sleeps) == ("pause", 1, [])
        await assert_nothing_is_held(client)


async def test_deadline_before_a_retry_is_reported_with_the_last_error_as_its_cause(
    connect: Connect, clock: FakeClock
) -> None:
    async with FaultServer([READ, send(http_response(503, headers={"Retry-After": "60"}))]) as server:
        client = connect(server.url, deadline=10)
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(client).call(LIST)
    assert (caught.value.phase, clock.sleeps) == ("retry_wait", [])
    assert isinstance(caught.value.__cause__, ServerError)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["503"]
    assert_no_secret(caught.value)


async def test_deadline_counts_waits_by_the_clock(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(http_response(503, headers={"Retry-After": "4"}))]) as server:
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(connect(server.url, deadline=10, retries=9)).call(LIST)
    assert clock.sleeps == [4, 4]
    assert caught.value.elapsed == pytest.approx(8)


async def test_write_that_may_have_been_applied_is_reported_after_other_errors(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(502))], [READ, send(http_response(429))]) as server:
        with pytest.raises(RateLimitError) as caught:
            await session_of(connect(server.url, retry_writes=True)).call(WRITE)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["502", "429", "429"]
    assert caught.value.ambiguous
