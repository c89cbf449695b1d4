"""Calls cancelled at any suspension point release what they acquired."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.auth import ApiKeyExchange
from aiwyn_async.config import Secret
from aiwyn_async.errors import DeadlineExceededError
from aiwyn_async.sandbox import Sandbox
from fault_server import READ, STALL, FaultServer, drip, http_response, send
from looking_inside import LIST, assert_nothing_is_held, renewal_of, session_of, until
from secrecy import assert_no_secret

Connect = Callable[..., AiwynClient]

OK = send(http_response())


class CancelledAt(Awaitable[Any]):
    """Awaits an awaitable, and cancels it at its n-th suspension."""

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
                    # As a task does: cancel the awaited future, then raise in the coroutine.
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
            await session.call(LIST)  # opens the connection that is reused
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
            # The exchange is a separate task, which continues if a caller is cancelled.
            await asyncio.wait([renewal_of(session)])
        await assert_nothing_is_held(client)
        assert (await session.call(LIST)).status == 200
        await client.aclose()
        if went_through := call.suspensions < nth:
            break
    print(f"{kind}: cancelled at each of {cancelled} awaits")  # noqa: T201
    # A reused connection has one suspension: the response, received in one piece on loopback.
    assert cancelled >= (1 if kind in {"get", "list"} else 2)
    assert went_through


async def test_exchange_can_be_cancelled_at_every_await(sandbox: Sandbox, connect: Connect) -> None:
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
    """A traceback with locals must not contain the bearer token."""
    token = client.config.token
    text = "".join(traceback.TracebackException.from_exception(stopped, capture_locals=True).format())
    assert not isinstance(token, Secret) or token.reveal() not in text


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


async def test_outer_timeout_is_not_reported_as_a_deadline(connect: Connect) -> None:
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


async def test_thousand_cancelled_waiters_leave_the_queue(connect: Connect) -> None:
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
