"""Many tasks at once: what they share, and that no way of ending one takes anything from the others."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.auth import ApiKeyExchange
from aiwyn_async.config import Secret
from aiwyn_async.errors import (
    ClientClosedError,
    DeadlineExceededError,
    RateLimitError,
    ServerError,
)
from aiwyn_async.sandbox import Sandbox
from fake_clock import FakeClock
from fault_server import READ, STALL, FaultServer, answer, drip, send
from looking_inside import GET, LIST, WRITE, assert_nothing_is_held, renewal_of, session_of, until
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
OK = send(answer())


async def test_one_429_holds_50_tasks_back_for_its_second(sandbox: Sandbox) -> None:
    """The one test of this suite that waits: only a real clock can show that the server is left in peace."""
    async with AiwynClient(base_url=sandbox.url, token=sandbox.token) as client:
        session = session_of(client)
        sandbox.faults.add("invoices.list", status=429, headers={"Retry-After": "1"})
        first = asyncio.create_task(session.call(LIST))
        await until(lambda: session.limiter.paused_until > 0)
        told_at = time.monotonic()
        others = [asyncio.create_task(session.call(LIST)) for _ in range(49)]
        await asyncio.gather(first, *others)
    arrivals = [request.at - told_at for request in sandbox.requests][1:]
    within = sum(at < 0.99 for at in arrivals)
    print(f"{len(arrivals)} requests after a 429: {within} within its second, first at {min(arrivals):.3f} s")  # noqa: T201
    assert (len(arrivals), within) == (50, 0)


async def test_one_429_holds_50_tasks_back_by_the_clock(
    sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    client = connect(sandbox.url, token=sandbox.token, max_concurrency=1)
    sandbox.faults.add("invoices.list", status=429, headers={"Retry-After": "30"})
    await asyncio.gather(*(session_of(client).call(LIST) for _ in range(50)))
    assert sandbox.calls("invoices.list") == 51
    assert clock.passed >= 30
    assert max(clock.sleeps) == pytest.approx(30)
    await assert_nothing_is_held(client)


async def test_1000_calls_on_a_dead_server_retry_no_more_than_the_quota_lasts(
    sandbox: Sandbox, connect: Connect
) -> None:
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


async def test_no_more_requests_are_in_flight_than_max_concurrency(
    sandbox: Sandbox, connect: Connect
) -> None:
    client = connect(sandbox.url, token=sandbox.token, max_concurrency=3)
    sandbox.latency = 0.005
    await asyncio.gather(*(session_of(client).call(LIST) for _ in range(20)))
    assert session_of(client).limiter.peak_in_flight == 3


# Cancellation


class CancelledAt(Awaitable[Any]):
    """Awaits something, and cancels it at its n-th suspension."""

    def __init__(self, inner: Awaitable[Any], nth: int) -> None:
        self.inner = inner
        self.nth = nth
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.inner.__await__()
        value: Any = None
        while True:
            try:
                waited_for = steps.send(value)
            except StopIteration as done:
                return done.value
            self.suspensions += 1
            if self.suspensions == self.nth:
                if waited_for is not None:
                    # As a task does: what it waits for is cancelled, then the task is told.
                    waited_for._asyncio_future_blocking = False
                    waited_for.cancel()
                try:
                    steps.throw(asyncio.CancelledError())
                except StopIteration as done:
                    return done.value
                raise AssertionError("a cancelled request goes on waiting")
            value = yield waited_for


@pytest.mark.parametrize("kind", ["get", "list", "exchange", "retry", "first", "queued"])
async def test_request_can_be_cancelled_at_every_await(kind: str, sandbox: Sandbox, connect: Connect) -> None:
    cancelled = 0
    went_through = False
    for nth in range(1, 200):
        client = (
            connect(sandbox.url, max_concurrency=1, api_key=sandbox.api_key)
            if kind == "exchange"
            else connect(sandbox.url, max_concurrency=1, token=sandbox.token)
        )
        session = session_of(client)
        if kind in {"get", "list", "retry"}:
            await session.call(LIST)  # on a connection that is kept alive
        if kind == "retry":
            sandbox.faults.add("invoices.list", status=429, headers={"Retry-After": "1"})
        ahead = asyncio.create_task(session.call(LIST)) if kind == "queued" else None
        await asyncio.sleep(0)
        get = client.invoices.get(sandbox_key(sandbox)) if kind == "get" else None
        call = CancelledAt(get or session.call(LIST), nth)
        try:
            await call
        except asyncio.CancelledError as stopped:
            cancelled += 1
            assert_no_token(stopped, client)
        if ahead is not None:
            await ahead
        sandbox.faults.clear()
        if kind == "exchange":
            # The exchange is a task of its own, and outlives one who waits for it.
            await asyncio.wait([renewal_of(session)])
        await assert_nothing_is_held(client)
        assert (await session.call(LIST)).status == 200
        await client.aclose()
        if went_through := call.suspensions < nth:
            break
    print(f"{kind}: cancelled at each of {cancelled} awaits")  # noqa: T201
    # On a connection that is kept alive there is one: the answer, which on loopback comes in one piece.
    assert cancelled >= (1 if kind in {"get", "list"} else 2)
    assert went_through


async def test_exchange_can_be_cancelled_at_every_await_of_its_own(
    sandbox: Sandbox, connect: Connect
) -> None:
    cancelled = 0
    went_through = False
    for nth in range(1, 50):
        client = connect(sandbox.url, api_key=sandbox.api_key)
        tokens = session_of(client).tokens
        assert isinstance(tokens, ApiKeyExchange)
        call = CancelledAt(tokens._exchange(), nth)
        try:
            await call
        except asyncio.CancelledError as stopped:
            cancelled += 1
            assert_no_secret(stopped, sandbox.api_key)
        await assert_nothing_is_held(client)
        assert (await session_of(client).call(LIST)).status == 200
        if went_through := call.suspensions < nth:
            break
    print(f"token exchange: cancelled at each of {cancelled} awaits")  # noqa: T201
    assert cancelled >= 2
    assert went_through


async def test_body_that_arrives_in_pieces_can_be_cancelled_between_any_two(connect: Connect) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"
    cancelled = 0
    async with FaultServer([READ, send(head), drip(b" ", 0.002, times=3), send(b"}")]) as server:
        for nth in range(1, 50):
            client = connect(server.url)
            call = CancelledAt(session_of(client).call(LIST), nth)
            try:
                await call
            except asyncio.CancelledError as stopped:
                cancelled += 1
                assert_no_secret(stopped)
            await assert_nothing_is_held(client)
            await client.aclose()
            if call.suspensions < nth:
                break
    assert cancelled >= 4


def sandbox_key(sandbox: Sandbox) -> int:
    key = sandbox.scalar("SELECT min(id) FROM invoices")
    assert isinstance(key, int)
    return key


def assert_no_token(stopped: BaseException, client: AiwynClient) -> None:
    """Those who print a cancellation with its locals must not print the bearer token."""
    token = client.config.token
    told = "".join(traceback.TracebackException.from_exception(stopped, capture_locals=True).format())
    assert not isinstance(token, Secret) or token.reveal() not in told


async def test_cancelled_call_shows_no_token(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.06):
                await client.invoices.get(1)
        cause = caught.value.__cause__
        assert isinstance(cause, asyncio.CancelledError)
        assert_no_secret(cause)
        await assert_nothing_is_held(client)


async def test_outer_timeout_is_not_taken_for_the_own_deadline(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        session = session_of(connect(server.url, deadline=5))
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await session.call(LIST)
        assert type(caught.value) is TimeoutError
        with pytest.raises(DeadlineExceededError):
            async with asyncio.timeout(5):
                await session_of(connect(server.url, deadline=0.05)).call(LIST)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_token_is_renewed_before_the_requests_that_queue(sandbox: Sandbox, connect: Connect) -> None:
    """All of them would be refused."""
    client = connect(sandbox.url, api_key=sandbox.api_key, max_concurrency=1)
    await client.invoices.list(limit=1)
    sandbox.expire_tokens()
    before = len(sandbox.requests)
    await asyncio.gather(*(client.invoices.list(limit=1).first() for _ in range(5)))
    routes = [request.route for request in sandbox.requests][before:]
    assert routes[:3] == ["invoices.list", "invoices.list", "auth.token"], "the second had the slot already"


async def test_1000_cancelled_waiters_leave_the_queue(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, max_concurrency=1)
        session = session_of(client)
        tasks = [asyncio.create_task(session.call(LIST)) for _ in range(1000)]
        await until(lambda: len(server.requests) > 0)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        await assert_nothing_is_held(client)
        server.play([READ, OK])
        assert (await session.call(LIST)).status == 200


# Deadlines


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
    async with FaultServer([READ, send(answer(429, headers={"Retry-After": "60"}))]) as server:
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
    async with FaultServer([READ, send(answer(503, headers={"Retry-After": "60"}))]) as server:
        client = connect(server.url, deadline=10)
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(client).call(LIST)
    assert (caught.value.phase, clock.sleeps) == ("retry_wait", [])
    assert isinstance(caught.value.__cause__, ServerError)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["503"]
    assert_no_secret(caught.value)


async def test_deadline_counts_waits_by_the_clock(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(answer(503, headers={"Retry-After": "4"}))]) as server:
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(connect(server.url, deadline=10, retries=9)).call(LIST)
    assert clock.sleeps == [4, 4]
    assert caught.value.elapsed == pytest.approx(8)


async def test_write_that_may_have_been_applied_says_so_whatever_came_after(connect: Connect) -> None:
    async with FaultServer([READ, send(answer(502))], [READ, send(answer(429))]) as server:
        with pytest.raises(RateLimitError) as caught:
            await session_of(connect(server.url, retry_writes=True)).call(WRITE)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["502", "429", "429"]
    assert caught.value.ambiguous


# Closing


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
