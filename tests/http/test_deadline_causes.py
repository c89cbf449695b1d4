"""The errors before a deadline, in its message and attributes."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import (
    DeadlineExceededError,
    RateLimitError,
    ServerError,
    TokenExchangeError,
    TransportError,
)
from aiwyn_async.testing import FakeClock
from fault_server import READ, RST, STALL, FaultServer, http_response, send
from looking_inside import LIST, WRITE, session_of
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
ECHO = f'{{"message":"too many of {CANARY}"}}'.encode()
LIMITED = send(http_response(429, ECHO, {"Retry-After": "60"}))


async def test_deadline_retains_the_last_error_and_its_retry_after(connect: Connect) -> None:
    async with FaultServer([READ, LIMITED]) as server:
        with pytest.raises(DeadlineExceededError, match=r"429.*60 s.*too many of") as caught:
            await session_of(connect(server.url, deadline=5)).call(LIST)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.phase, error.retry_after) == ("retry_wait", 60)
        assert isinstance(error.__cause__, RateLimitError)
        assert (error.__cause__.status, error.__cause__.retry_after) == (429, 60)
    assert len(server.requests) == 1
    assert_no_secret(caught.value)


async def test_deadline_during_a_response_retains_the_error_before_it(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(503, b'{"message":"busy"}'))], [READ, STALL]) as server:
        with pytest.raises(DeadlineExceededError, match="busy") as caught:
            await session_of(connect(server.url, deadline=0.3, backoff_base=0)).call(LIST)
    assert (caught.value.phase, caught.value.retry_after) == ("response", None)
    assert isinstance(caught.value.__cause__, ServerError)


async def test_deadline_during_a_renewal_retains_the_refusal(connect: Connect) -> None:
    async with FaultServer(
        [READ, send(http_response(body=b'{"token":"first"}')), READ, send(http_response(401)), READ, STALL]
    ) as server:
        with pytest.raises(
            DeadlineExceededError, match="waiting for a token; the last attempt failed"
        ) as caught:
            await session_of(connect(server.url, api_key=CANARY, deadline=0.3)).call(LIST)
    assert caught.value.phase == "token"
    assert caught.value.__cause__.status == 401  # type: ignore[union-attr]


async def test_deadline_after_a_broken_connection_retains_its_error(connect: Connect) -> None:
    async with FaultServer([READ, RST], [READ, STALL]) as server:
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(connect(server.url, deadline=0.3, backoff_base=0, retry_writes=True)).call(WRITE)
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.__cause__.kind == "disconnected"
    assert caught.value.ambiguous


async def test_deadline_in_a_pause_of_another_call_names_its_length(
    connect: Connect, clock: FakeClock
) -> None:
    client = connect("http://127.0.0.1:9", deadline=5)
    session_of(client).limiter.pause(30)
    clock.advance(10)
    with pytest.raises(DeadlineExceededError) as caught:
        await session_of(client).call(LIST)
    assert (caught.value.phase, caught.value.retry_after) == ("pause", 20)
    assert caught.value.__cause__ is None


async def test_failed_exchange_retains_the_servers_retry_after(connect: Connect) -> None:
    async with FaultServer([READ, LIMITED]) as server:
        with pytest.raises(TokenExchangeError) as caught:
            await session_of(connect(server.url, api_key=CANARY)).call(LIST)
    assert caught.value.retry_after == 60
    assert isinstance(caught.value.__cause__, DeadlineExceededError)
    assert isinstance(caught.value.__cause__.__cause__, RateLimitError)
    assert_no_secret(caught.value)
