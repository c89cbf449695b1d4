"""A function as ``token=``: when it is called, and what its failures become."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.config import Secret
from aiwyn_async.errors import AuthenticationError, ClientClosedError, ConfigurationError, TokenExchangeError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_server import READ, FaultServer, http_response, send
from looking_inside import GET, LIST, assert_nothing_is_held, session_of, until
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
OK = send(http_response())


def jwt(name: str, **claims: float) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{name}.{body}.signature"


class Provider:
    """Returns its tokens one after the other, and the last one again."""

    def __init__(self, *tokens: Any) -> None:
        self.tokens = list(tokens)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(token, BaseException):
            raise token
        return token

    async def slowly(self) -> Any:
        await asyncio.sleep(0)
        return self()

    def awaitable(self) -> Awaitable[Any]:
        return self.slowly()


FORMS: list[Callable[[Provider], Any]] = [
    lambda provider: provider,
    lambda provider: provider.slowly,
    lambda provider: provider.awaitable,
]


@pytest.fixture(params=FORMS, ids=["sync", "async", "awaitable"])
def form(request: pytest.FixtureRequest) -> Callable[[Provider], Any]:
    made: Callable[[Provider], Any] = request.param
    return made


@pytest.mark.parametrize("token", ["good", "Bearer good", "bearer good\n", Secret("good")])
async def test_its_token_is_sent_and_kept(
    token: Any, form: Callable[[Provider], Any], connect: Connect
) -> None:
    provider = Provider(token)
    async with FaultServer([READ, OK, READ, OK]) as server:
        session = session_of(connect(server.url, token=form(provider)))
        await session.call(LIST)
        await session.call(GET)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer good"] * 2
    assert provider.calls == 1


async def test_it_is_called_again_after_a_401(form: Callable[[Provider], Any], connect: Connect) -> None:
    provider = Provider("old", "new")
    async with FaultServer([READ, send(http_response(401)), READ, OK]) as server:
        await session_of(connect(server.url, token=form(provider))).call(LIST)
    sent = [request.headers["authorization"] for request in server.requests]
    assert (sent, provider.calls) == (["Bearer old", "Bearer new"], 2)


async def test_refused_token_that_it_returns_again_is_not_sent_again(connect: Connect) -> None:
    provider = Provider("only")
    async with FaultServer([READ, send(http_response(401))]) as server:
        with pytest.raises(AuthenticationError):
            await session_of(connect(server.url, token=provider)).call(LIST)
    assert (len(server.requests), provider.calls) == (1, 2)


async def test_it_is_called_once_for_100_tasks(sandbox: Sandbox, connect: Connect) -> None:
    provider = Provider("expired", sandbox.token)
    session = session_of(connect(sandbox.url, token=provider.slowly))
    await asyncio.gather(*(session.call(LIST) for _ in range(100)))
    assert provider.calls == 2


async def test_pull_outlives_a_token_of_an_hour(sandbox: Sandbox, connect: Connect, clock: FakeClock) -> None:
    session = session_of(
        connect(
            sandbox.url,
            token=Provider(
                *(
                    jwt(f"t{hour}", iat=clock.time() + hour * 3600, exp=clock.time() + hour * 3600 + 3600)
                    for hour in range(9)
                )
            ),
        )
    )
    assert session.tokens is not None
    names: list[str] = []
    for _ in range(16):
        names.append((await session.tokens.bearer()).reveal().partition(".")[0])
        await asyncio.sleep(0)
        clock.advance(1800)
    assert names == sorted(names)
    assert len(set(names)) >= 8


async def test_it_is_called_in_the_background_when_the_token_is_about_to_expire(
    connect: Connect, clock: FakeClock
) -> None:
    now = clock.time()
    provider = Provider(jwt("a", iat=now, exp=now + 3600), jwt("b", iat=now + 3400, exp=now + 7000))
    session = session_of(connect("http://127.0.0.1:9", token=provider.slowly))
    assert session.tokens is not None
    await session.tokens.bearer()
    clock.advance(3400)
    assert (await session.tokens.bearer()).reveal().startswith("a.")
    await until(lambda: provider.calls == 2)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await session.tokens.bearer()).reveal().startswith("b.")


@pytest.mark.parametrize("offset", [-86400.0, 86400.0])
async def test_wrong_clock_refuses_no_token_and_asks_for_none_again(
    offset: float, connect: Connect, clock: FakeClock
) -> None:
    issued = clock.time() + offset
    provider = Provider(jwt("a", iat=issued, exp=issued + 3600))
    session = session_of(connect("http://127.0.0.1:9", token=provider))
    assert session.tokens is not None
    for _ in range(20):
        assert (await session.tokens.bearer()).reveal().startswith("a.")
        clock.advance(10)
    assert provider.calls == 1


class LeakyError(Exception):
    pass


async def leaky() -> str:
    secret = CANARY
    raise LeakyError(secret)


def leaky_in_a_thread() -> str:
    secret = CANARY
    raise LeakyError(secret)


async def cancels_itself() -> str:
    raise asyncio.CancelledError


async def never() -> str:
    await asyncio.Event().wait()
    return ""


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (leaky, "raised LeakyError"),
        (leaky_in_a_thread, "raised LeakyError"),
        (cancels_itself, "raised CancelledError"),
        (lambda: None, "returned NoneType"),
        (lambda: 7, "returned int"),
        (lambda: b"token", "returned bytes"),
        (lambda: "", "returned text that is empty"),
        (lambda: "two words", "returned text that is empty or contains spaces"),
        (lambda: "a\r\nX-B: c", "returned text that is empty or contains spaces"),
    ],
)
async def test_its_failure_is_a_typed_error_without_what_it_said(
    function: Any, text: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect("http://127.0.0.1:9", token=function)
    with pytest.raises(TokenExchangeError, match=text) as caught:
        await session_of(client).call(LIST)
    assert caught.value.__cause__ is None
    assert_no_secret(caught.value)
    assert CANARY not in caplog.text
    await assert_nothing_is_held(client)


async def test_it_may_not_take_longer_than_an_exchange(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiwyn_async._http.session.TOKEN_EXCHANGE_TIMEOUT", 0.05)
    client = connect("http://127.0.0.1:9", token=never)
    with pytest.raises(TokenExchangeError, match=r"took longer than 0\.05 s"):
        await session_of(client).call(LIST)


async def test_after_a_failure_it_is_called_again(connect: Connect) -> None:
    provider = Provider(LeakyError(), "good")
    async with FaultServer([READ, OK]) as server:
        session = session_of(connect(server.url, token=provider))
        with pytest.raises(TokenExchangeError):
            await session.call(LIST)
        assert (await session.call(LIST)).status == 200


async def test_one_that_is_not_async_does_not_hold_up_the_others(connect: Connect) -> None:
    entered, leave = threading.Event(), threading.Event()

    def blocking() -> str:
        entered.set()
        leave.wait(10)
        return "good"

    async with FaultServer([READ, OK]) as server:
        task = asyncio.create_task(session_of(connect(server.url, token=blocking)).call(LIST))
        await until(entered.is_set)
        assert not task.done()  # and this loop runs
        leave.set()
        await task


async def test_closing_while_it_is_awaited_says_so(connect: Connect) -> None:
    client = connect("http://127.0.0.1:9", token=never)
    waiting = asyncio.create_task(session_of(client).call(LIST))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await waiting


async def test_one_cancelled_waiter_does_not_cancel_it_for_the_others(
    sandbox: Sandbox, connect: Connect
) -> None:
    go = asyncio.Event()

    async def provide() -> str:
        await go.wait()
        return sandbox.token

    session = session_of(connect(sandbox.url, token=provide))
    leader, other = (asyncio.create_task(session.call(LIST)) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leader.cancel()
    go.set()
    assert (await other).status == 200
    assert leader.cancelled()


def test_api_key_is_not_a_function() -> None:
    with pytest.raises(ConfigurationError, match="api_key must be a str or a Secret"):
        AiwynClient(base_url="https://a.test", api_key=lambda: "k")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match=r"token must be .* a function"):
        AiwynClient(base_url="https://a.test", token=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_no_repr_shows_its_token() -> None:
    client = AiwynClient(base_url="https://a.test", token=lambda: CANARY)
    assert CANARY not in repr(client) + repr(client.config) + repr(session_of(client).tokens)
