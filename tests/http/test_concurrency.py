"""Concurrent calls share limits, and closing a client ends all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import ClientClosedError, ServerError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_server import READ, STALL, FaultServer, http_response, send
from looking_inside import GET, LIST, WRITE, assert_nothing_is_held, session_of, until
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
OK = send(http_response())


async def test_retry_after_of_one_429_pauses_50_tasks(sandbox: Sandbox) -> None:
    """The only test that waits: a real clock shows that no request is sent during the pause."""
    async with AiwynClient(base_url=sandbox.url, token=sandbox.token) as client:
        session = session_of(client)
        sandbox.faults.add("invoices.list", status=429, headers={"Retry-After": "1"})
        first = asyncio.create_task(session.call(LIST))
        await until(lambda: session.limiter.paused_until > 0)
        sent_at = time.monotonic()
        others = [asyncio.create_task(session.call(LIST)) for _ in range(49)]
        await asyncio.gather(first, *others)
    arrivals = [request.at - sent_at for request in sandbox.requests][1:]
    within = sum(at < 0.99 for at in arrivals)
    print(f"{len(arrivals)} requests after a 429: {within} within its second, first at {min(arrivals):.3f} s")  # noqa: T201
    assert (len(arrivals), within) == (50, 0)


async def test_retry_after_of_one_429_pauses_50_tasks_by_the_clock(
    sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    client = connect(sandbox.url, token=sandbox.token, max_concurrency=1)
    sandbox.faults.add("invoices.list", status=429, headers={"Retry-After": "30"})
    await asyncio.gather(*(session_of(client).call(LIST) for _ in range(50)))
    assert sandbox.calls("invoices.list") == 51
    assert clock.passed >= 30
    assert max(clock.sleeps) == pytest.approx(30)
    await assert_nothing_is_held(client)


async def test_retry_after_of_a_503_delays_its_own_call_only(
    sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    client = connect(sandbox.url, token=sandbox.token)
    sandbox.faults.add("invoices.list", status=503, headers={"Retry-After": "30"})
    await session_of(client).call(LIST)
    assert clock.sleeps == [30]
    assert session_of(client).limiter.paused_until < clock.monotonic() - 30
    await assert_nothing_is_held(client)


async def test_retry_budget_limits_retries_of_1000_calls(sandbox: Sandbox, connect: Connect) -> None:
    client = connect(sandbox.url, token=sandbox.token)
    session = session_of(client)
    sandbox.faults.add("*", every=1, status=503)
    errors = await asyncio.gather(*(session.call(LIST) for _ in range(1000)), return_exceptions=True)
    retries = sandbox.calls("invoices.list") - 1000
    print(f"1000 calls on a dead server: {retries} retries")  # noqa: T201
    assert {type(error) for error in errors} == {ServerError}
    assert retries == 500 // 14 == 35
    last = errors[-1]
    assert isinstance(last, ServerError)
    assert last.retry_budget_exhausted
    assert "retry budget" in str(last)
    assert int(session.limiter.limit) == 1
    sandbox.faults.clear()
    await session.call(LIST)
    await assert_nothing_is_held(client)


async def test_max_concurrency_limits_requests_in_flight(sandbox: Sandbox, connect: Connect) -> None:
    client = connect(sandbox.url, token=sandbox.token, max_concurrency=3)
    sandbox.latency = 0.005
    await asyncio.gather(*(session_of(client).call(LIST) for _ in range(20)))
    assert session_of(client).limiter.peak_in_flight == 3


async def test_closing_ends_requests_in_flight_with_one_error(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, max_concurrency=4)
        requests = (GET, LIST, WRITE, LIST, GET, LIST)
        tasks = [asyncio.create_task(session_of(client).call(request)) for request in requests]
        await until(lambda: len(server.requests) == 4)
        await client.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ClientClosedError] * 6
    assert clock.sleeps == []
    for result in results:
        assert isinstance(result, ClientClosedError)
        assert_no_secret(result)


async def test_closed_client_refuses_and_may_be_closed_again(connect: Connect) -> None:
    async with FaultServer([READ, OK]) as server:
        for credential in ({}, {"api_key": CANARY}):
            client = connect(server.url, **credential)
            await client.aclose()
            await client.aclose()
            with pytest.raises(ClientClosedError):
                await client.invoices.get(1)
    assert server.connections == 0


async def test_token_is_renewed_before_the_requests_that_queue(sandbox: Sandbox, connect: Connect) -> None:
    """All of them would be refused."""
    client = connect(sandbox.url, api_key=sandbox.api_key, max_concurrency=1)
    await client.invoices.list(limit=1)
    sandbox.expire_tokens()
    before = len(sandbox.requests)
    await asyncio.gather(*(client.invoices.list(limit=1).first() for _ in range(5)))
    routes = [request.route for request in sandbox.requests][before:]
    assert routes[:3] == ["invoices.list", "invoices.list", "auth.token"], "the second had the slot already"
