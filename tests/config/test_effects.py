"""Each option has its effect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.config import Config, SystemClock
from aiwyn_async.errors import (
    DeadlineExceededError,
    RateLimitError,
    RequestError,
    ResponseTooLargeError,
    ServerError,
    TokenExchangeError,
    TransportError,
    UndocumentedEndpointWarning,
)
from aiwyn_async.testing import FakeClock
from fault_server import READ, STALL, FaultServer, drip, http_response, send
from looking_inside import LIST, WRITE, session_of
from recording_observer import RecordingObserver
from secrecy import CANARY

Connect = Callable[..., AiwynClient]


async def failed(client: AiwynClient, request: Any = LIST) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await session_of(client).call(request)
    return caught.value


async def test_timeouts_have_their_effect(connect: Connect) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n{"
    async with FaultServer([READ, send(head), drip(b" ", 0.02)]) as dripping:
        error = await failed(connect(dripping.url, attempt_timeout=0.07, retries=0))
        assert isinstance(error, TransportError)
        assert error.kind == "attempt_timeout"
        assert str(error).endswith(": no complete response within attempt_timeout=0.07 s")
        error = await failed(connect(dripping.url, deadline=0.07))
        assert isinstance(error, DeadlineExceededError)
    async with FaultServer([READ, STALL]) as silent:
        error = await failed(connect(silent.url, read_timeout=0.05, retries=0))
        assert isinstance(error, TransportError)
        assert error.kind == "read_timeout"
        assert str(error).endswith(": the server was silent for read_timeout=0.05 s")
        error = await failed(connect(silent.url.replace("http", "https"), connect_timeout=0.05, retries=0))
        assert isinstance(error, TransportError)
        assert error.kind == "connect_timeout"
        assert str(error).endswith(": no connection within connect_timeout=0.05 s")


async def test_retry_options_have_their_effect(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(http_response(503))]) as server:
        assert len((await failed(connect(server.url, retries=4))).attempts) == 5
        assert len((await failed(connect(server.url, retries=0))).attempts) == 1
        assert len((await failed(connect(server.url), WRITE)).attempts) == 1
        assert len((await failed(connect(server.url, retry_writes=True), WRITE)).attempts) == 3
        assert len((await failed(connect(server.url, retry_budget=14))).attempts) == 2
        clock.sleeps.clear()
        await failed(connect(server.url, backoff_base=0))
        assert clock.sleeps == []
        await failed(connect(server.url, retries=8, backoff_base=1000, backoff_cap=0.001))
        assert len(clock.sleeps) == 8
        assert max(clock.sleeps) <= 0.001
        server.play([READ, send(http_response(429))])
        clock.sleeps.clear()
        await failed(connect(server.url, throttled_backoff_base=0))
        assert clock.sleeps == []
        server.play([READ, send(http_response(429, headers={"Retry-After": "3"}))])
        error = await failed(connect(server.url, max_retry_after=2))
        assert isinstance(error, RateLimitError)
        assert (len(error.attempts), error.retry_after) == (1, 3)
        await failed(connect(server.url, max_retry_after=3, backoff_base=0))
        assert max(clock.sleeps) == 3


async def test_limits_have_their_effect(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(200, b"{" + b" " * 2000 + b"}"))]) as server:
        assert isinstance(await failed(connect(server.url, max_response_bytes=1024)), ResponseTooLargeError)
        assert session_of(connect(server.url, max_concurrency=3)).limiter.max_limit == 3


async def test_addresses_have_their_effect(connect: Connect) -> None:
    row = send(http_response(200, b'{"id":1,"data":{"id":1},"jeton":"other"}'))
    async with FaultServer([READ, row]) as server:
        await connect(server.url, gql_prefix="/graph").invoices.get(1)
        assert server.requests[-1].target.startswith("/graph/")
        await connect(server.url, api_prefix="/rest", warn_undocumented=False).event_subscriptions.deactivate(
            1
        )
        assert server.requests[-1].target == "/rest/event-subscriptions/1"
        client = connect(
            server.url,
            api_key=CANARY,
            token_path="/login",
            token_request_key="cle",
            token_response_key="jeton",
        )
        await client.invoices.get(1)
        assert server.requests[-2][:2] == ("POST", "/login")
        assert server.requests[-2].body == f'{{"cle":"{CANARY}"}}'.encode()
        assert server.requests[-1].headers["authorization"] == "Bearer other"
        assert isinstance(
            await failed(connect(server.url, api_key=CANARY, token_response_key="nope")), TokenExchangeError
        )
        await connect(server.url, endpoints={"invoices": {"get_path": "/bill"}}).invoices.get(1)
        assert server.requests[-1].target == "/gql/v1/bill/1"


async def test_inferred_endpoints_are_reported_unless_turned_off(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response())]) as server:
        with pytest.warns(UndocumentedEndpointWarning):
            await connect(server.url).event_subscriptions.deactivate(1)
        await connect(server.url, warn_undocumented=False).event_subscriptions.deactivate(1)


async def test_proxy_receives_requests_for_the_host(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response())]) as proxy:
        client = connect(
            "http://api.example.org", allow_insecure_http=True, proxy=f"http://127.0.0.1:{proxy.port}"
        )
        await session_of(client).call(LIST)
    assert proxy.requests[0].target == "http://api.example.org/gql/v1/invoices"


async def test_clock_option_measures_and_waits(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(http_response(503, headers={"Retry-After": "7"}))]) as server:
        error = await failed(connect(server.url, clock=clock))
    assert isinstance(error, ServerError)
    assert (error.elapsed, clock.sleeps) == (14, [7, 7])


async def test_observer_option_is_called(connect: Connect) -> None:
    observer = RecordingObserver()
    async with FaultServer([READ, send(http_response())]) as server:
        await session_of(connect(server.url, observer=observer)).call(LIST)
    assert observer.kinds() == ["started", "AttemptEnd", "CallEnd"]


async def test_default_clock_is_the_system_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.time() > 1_700_000_000


def test_options_are_all_tested_here() -> None:
    """Every option occurs in a test of this folder."""
    here = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert [
        name for name in Config.__struct_fields__ if f"{name}=" not in here and f'"{name}"' not in here
    ] == []
