"""The token exchange under faults: the error, the number of requests, and that the key never shows."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import (
    AiwynError,
    AuthenticationError,
    ClientClosedError,
    DeadlineExceededError,
    TokenExchangeError,
)
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_server import READ, RST, STALL, FaultServer, Step, http_response, send
from looking_inside import GET, LIST, assert_nothing_is_held, renewal_of, session_of, until
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]

ECHOED_AS_KEY = f'{{"{CANARY}":1}}'.encode()
ECHO = f'{{"message":"no {CANARY}"}}'.encode()


def respond(status: int, body: bytes = ECHO, headers: Any = None) -> Sequence[Step]:
    return [READ, send(http_response(status, body, headers))]


@pytest.mark.parametrize(
    ("script", "error", "cause", "requested"),
    [
        (respond(400), AuthenticationError, None, 1),
        (respond(401), AuthenticationError, None, 1),
        (respond(403), AuthenticationError, None, 1),
        (respond(422), AuthenticationError, None, 1),
        (respond(404), TokenExchangeError, "NotFoundError", 1),
        (respond(429), TokenExchangeError, "RateLimitError", 3),
        (respond(500), TokenExchangeError, "ServerError", 3),
        (respond(307, b"", {"Location": "https://evil.test"}), TokenExchangeError, "RedirectRefusedError", 1),
        (respond(200, b"<html>"), TokenExchangeError, "DecodeError", 1),
        (respond(200, b""), TokenExchangeError, "DecodeError", 1),
        (respond(200, b"{}"), TokenExchangeError, None, 1),
        (respond(200, b"[]"), TokenExchangeError, None, 1),
        (respond(200, b'{"token":null}'), TokenExchangeError, None, 1),
        (respond(200, b'{"token":""}'), TokenExchangeError, None, 1),
        (respond(200, b'{"token":"two words"}'), TokenExchangeError, None, 1),
        (respond(200, b'{"token":"a\\u000d\\u000ab: c"}'), TokenExchangeError, None, 1),
        (respond(200, b'{"token":"t","expiresIn":0}'), TokenExchangeError, None, 2),
        (respond(200, b'{"token":"t","expiresIn":-5}'), TokenExchangeError, None, 2),
        ([READ, RST], TokenExchangeError, "TransportError", 3),
        ([READ, STALL], TokenExchangeError, "TransportError", 3),
    ],
)
async def test_exchange_that_fails(
    *,
    script: Sequence[Step],
    error: type[AiwynError],
    cause: str | None,
    requested: int,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FaultServer(script) as server:
        client = connect(server.url, api_key=CANARY, read_timeout=0.06)
        with pytest.raises(error) as caught:
            await session_of(client).call(LIST)
        assert type(caught.value) is error
        assert type(caught.value.__cause__).__name__ == (cause or "NoneType")
        assert server.connections == requested
        assert {(request.method, request.target) for request in server.requests} == {
            ("POST", "/v1/auth/token")
        }
        assert all("authorization" not in request.headers for request in server.requests)
        assert_no_secret(caught.value)
        assert CANARY not in caplog.text
        await assert_nothing_is_held(client)
        server.play(respond(200, b'{"token":"good"}'), respond(200, b"{}"))
        assert (await session_of(client).call(GET)).status == 200
        assert server.requests[-1].headers["authorization"] == "Bearer good"


async def test_each_who_waits_for_a_failed_exchange_raises_an_error_of_his_own(connect: Connect) -> None:
    async with FaultServer(respond(500)) as server:
        session = session_of(connect(server.url, api_key=CANARY, retries=0))
        errors = await asyncio.gather(*(session.call(LIST) for _ in range(20)), return_exceptions=True)
    assert all(type(error) is TokenExchangeError for error in errors)
    assert len({id(error) for error in errors}) == 20
    assert server.connections == 1


async def test_deadline_over_the_exchange_names_the_token(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        view = connect(server.url, api_key=CANARY).with_options(deadline=0.06)
        with pytest.raises(DeadlineExceededError) as caught:
            await session_of(view).call(LIST)
    assert caught.value.phase == "token"
    assert_no_secret(caught.value)


async def test_expired_token_is_exchanged_once_by_100_tasks(sandbox: Sandbox, client: AiwynClient) -> None:
    session = session_of(client)
    await session.call(LIST)
    sandbox.expire_tokens()
    before = sandbox.token_exchanges
    await asyncio.gather(*(session.call(LIST) for _ in range(100)))
    exchanges = sandbox.token_exchanges - before
    print(f"100 tasks with an expired token: {exchanges} exchange")  # noqa: T201
    assert exchanges == 1


async def test_100_tasks_of_a_new_client_exchange_once(sandbox: Sandbox, client: AiwynClient) -> None:
    await asyncio.gather(*(session_of(client).call(LIST) for _ in range(100)))
    assert sandbox.token_exchanges == 1


async def test_second_401_in_a_row_is_final(sandbox: Sandbox, client: AiwynClient) -> None:
    sandbox.faults.add("invoices.list", every=1, status=401)
    with pytest.raises(AuthenticationError) as caught:
        await session_of(client).call(LIST)
    assert (sandbox.calls("invoices.list"), sandbox.token_exchanges) == (2, 2)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["401", "401"]


async def test_leader_of_a_renewal_is_cancelled_and_50_others_get_the_token(
    sandbox: Sandbox, client: AiwynClient
) -> None:
    session = session_of(client)
    stalled = sandbox.faults.add("auth.token", delay=0.05)
    leader = asyncio.create_task(session.call(LIST))
    await until(lambda: stalled.hits > 0)
    others = [asyncio.create_task(session.call(LIST)) for _ in range(50)]
    await asyncio.sleep(0)
    leader.cancel()
    responses = await asyncio.gather(*others)
    assert leader.cancelled()
    print(f"leader cancelled: {len(responses)} of 50 served, {sandbox.token_exchanges} exchange")  # noqa: T201
    assert ({response.status for response in responses}, sandbox.token_exchanges) == ({200}, 1)


async def test_cancelled_renewal_is_repeated_for_those_who_wait(
    sandbox: Sandbox, client: AiwynClient
) -> None:
    session = session_of(client)
    stalled = sandbox.faults.add("auth.token", action="stall")
    calls = [asyncio.create_task(session.call(LIST)) for _ in range(20)]
    await until(lambda: stalled.hits > 0)
    renewal_of(session).cancel()  # as by a caller that cancels all tasks but its own
    responses = await asyncio.gather(*calls)
    assert ({response.status for response in responses}, sandbox.token_exchanges) == ({200}, 1)


async def test_renewal_that_cancels_itself_is_repeated_once(sandbox: Sandbox) -> None:
    calls = 0

    async def cancel_own_task() -> str:
        nonlocal calls
        calls += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return "unreachable"

    async with AiwynClient(base_url=sandbox.url, token=cancel_own_task) as aiwyn:
        with pytest.raises(asyncio.CancelledError):
            await aiwyn.invoices.list().first()
    assert calls == 2


async def test_renewal_with_time_left_is_in_the_background(
    sandbox: Sandbox, client: AiwynClient, clock: FakeClock
) -> None:
    session = session_of(client)
    await session.call(LIST)
    clock.advance(3600 - 200)
    sandbox.faults.add("auth.token", delay=0.05)
    response = await session.call(LIST)
    # It was answered with the old token while the new one was under way.
    assert (response.status, sandbox.token_exchanges) == (200, 1)
    renewal = renewal_of(session)
    assert not renewal.done()
    await renewal
    assert sandbox.token_exchanges == 2


async def test_failed_renewal_in_the_background_is_reported_and_pauses_for_5_seconds(
    sandbox: Sandbox, connect: Connect, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    session = session_of(connect(sandbox.url, api_key=sandbox.api_key, retries=0))
    await session.call(LIST)
    clock.advance(3600 - 200)
    sandbox.faults.add("auth.token", every=1, status=500)

    async def call_and_settle() -> int:
        assert (await session.call(LIST)).status == 200
        await asyncio.wait([renewal_of(session)])
        return sandbox.calls("auth.token")

    assert await call_and_settle() == 2
    assert "token renewal failed" in caplog.text
    assert await call_and_settle() == 2
    clock.advance(4.9)
    assert await call_and_settle() == 2
    clock.advance(0.2)
    assert await call_and_settle() == 3


async def test_with_a_minute_left_everybody_waits_for_the_new_token(
    sandbox: Sandbox, client: AiwynClient, clock: FakeClock
) -> None:
    session = session_of(client)
    await session.call(LIST)
    clock.advance(3600 - 59)
    sandbox.faults.add("auth.token", status=403)
    with pytest.raises(AuthenticationError):
        await session.call(LIST)
    await session.call(LIST)
    assert sandbox.token_exchanges == 2


async def test_closing_while_tasks_wait_for_a_token_shows_them_so(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, api_key=CANARY)
        waiting = [asyncio.create_task(session_of(client).call(LIST)) for _ in range(5)]
        await until(lambda: len(server.requests) > 0)
        await client.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result).__name__ for result in results} == {"ClientClosedError"}
    for result in results:
        assert isinstance(result, AiwynError)
        assert_no_secret(result)


async def test_close_that_is_cancelled_closes_the_connections_too(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, api_key=CANARY)
        waiting = asyncio.create_task(session_of(client).call(LIST))
        await until(lambda: len(server.requests) > 0)
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        closing.cancel()  # while it waits for the end of the token exchange
        assert isinstance((await asyncio.gather(closing, return_exceptions=True))[0], asyncio.CancelledError)
        assert not session_of(client).transport.is_open
        with pytest.raises(ClientClosedError):
            await waiting


@pytest.mark.parametrize("day", [86400.0, -86400.0])
async def test_server_whose_clock_is_a_day_wrong_returns_a_token_once(
    day: float, connect: Connect, clock: FakeClock
) -> None:
    claims = json.dumps({"iat": clock.time(), "exp": clock.time() + 3600}).encode()
    token = f"a.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c"
    dated = {"Date": formatdate(clock.time() + day, usegmt=True)}
    exchanged = send(http_response(200, json.dumps({"token": f"Bearer {token}"}).encode(), dated))
    async with FaultServer([READ, exchanged, *[READ, send(http_response())] * 20]) as server:
        session = session_of(connect(server.url, api_key="k"))
        for _ in range(20):
            await session.call(LIST)
            clock.advance(60)
    assert [request.headers.get("authorization") for request in server.requests[1:]] == [
        f"Bearer {token}"
    ] * 20


async def test_key_of_the_response_that_is_the_api_key_is_masked(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async with FaultServer(respond(200, ECHOED_AS_KEY)) as server:
        with pytest.raises(TokenExchangeError, match=r"keys: \*\*\*") as caught:
            await session_of(connect(server.url, api_key=CANARY)).call(LIST)
    assert_no_secret(caught.value)
    assert CANARY not in caplog.text


async def test_path_of_the_token_can_have_dots(connect: Connect) -> None:
    nested = send(http_response(200, b'{"result":{"auth":{"jeton":"good"}}}'))
    async with FaultServer([READ, nested, READ, send(http_response())]) as server:
        client = connect(server.url, api_key="k", token_response_key="result.auth.jeton")
        await session_of(client).call(LIST)
    assert server.requests[1].headers["authorization"] == "Bearer good"
