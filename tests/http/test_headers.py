"""Custom headers of a client and of a view."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, Config
from aiwyn_async.config import Headers
from aiwyn_async.errors import ConfigurationError, InvalidRequestError
from fault_server import READ, FaultServer, http_response, send
from looking_inside import GET, LIST, session_of
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
OK = send(http_response())


async def test_headers_are_sent_with_every_request_and_with_the_exchange(connect: Connect) -> None:
    token = send(http_response(body=b'{"token":"t"}'))
    async with FaultServer([READ, token, READ, OK, READ, OK]) as server:
        client = connect(server.url, api_key="k", headers={"X-Gateway-Key": "abc", "accept-language": "en"})
        await session_of(client).call(LIST)
        await session_of(client).call(GET)
    assert len(server.requests) == 3
    for request in server.requests:
        assert (request.headers["x-gateway-key"], request.headers["accept-language"]) == ("abc", "en")
    assert server.requests[1].headers["authorization"] == "Bearer t"
    assert server.requests[1].headers["content-type"] == "application/json"


async def test_view_adds_headers_and_replaces_those_of_the_same_name(connect: Connect) -> None:
    async with FaultServer([READ, OK, READ, OK]) as server:
        client = connect(server.url, headers={"X-A": "1", "X-B": "1"})
        await session_of(client.with_options(headers={"x-b": "2", "X-C": "2"})).call(LIST)
        await session_of(client).call(LIST)
    sent = [
        {name: request.headers.get(name) for name in ("x-a", "x-b", "x-c")} for request in server.requests
    ]
    assert sent == [{"x-a": "1", "x-b": "2", "x-c": "2"}, {"x-a": "1", "x-b": "1", "x-c": None}]


async def test_user_agent_and_accept_can_be_replaced(connect: Connect) -> None:
    async with FaultServer([READ, OK]) as server:
        client = connect(server.url, headers={"user-agent": "nightly/1", "Accept": "application/vnd.x+json"})
        await session_of(client).call(LIST)
    headers = server.requests[0].headers
    assert (headers["user-agent"], headers["accept"]) == ("nightly/1", "application/vnd.x+json")


REFUSED: list[Any] = [
    *(
        {name: "x"}
        for name in ("Authorization", "content-length", "Host", "Content-Type", "Content-Encoding")
    ),
    *({name: "x"} for name in ("Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade")),
    *({name: "x"} for name in ("Proxy-Authorization", "Proxy-Connection", "Expect")),
    *({name: "x"} for name in ("", "a b", "a:b", "ä", "a\n", "a\r\nb: c", " a", "a\0")),
    *({"X-A": value} for value in ("a\nb", "a\r\nX-B: c", "\0", "ä", "\x7f", 7, None, b"x")),
    {"X-A": "1", "x-a": "2"},
    {7: "x"},
    [("X-A", "1")],
    "X-A: 1",
]


@pytest.mark.parametrize("headers", REFUSED)
def test_invalid_header_is_refused_before_any_request(headers: Any) -> None:
    client = AiwynClient(base_url="https://a.test", token="t")
    with pytest.raises(ConfigurationError, match="headers"):
        AiwynClient(base_url="https://a.test", token="t", headers=headers)
    with pytest.raises(ConfigurationError, match="headers"):
        client.with_options(headers=headers)


@pytest.mark.parametrize("name", ["X-Api-Key", "X-Note"])
def test_header_values_are_not_in_a_repr(name: str) -> None:
    client = AiwynClient(base_url="https://a.test", token="t", headers={name: CANARY})
    assert CANARY not in repr(client.config.headers) + repr(client.config) + repr(client)
    assert name in repr(client.config.headers)


def test_refused_header_value_is_not_in_the_error() -> None:
    client = AiwynClient(base_url="https://a.test", token="t")
    makers: list[Callable[[], AiwynClient]] = [
        lambda: AiwynClient(base_url="https://a.test", token="t", headers={"X-Key": f"{CANARY}\n"}),
        lambda: client.with_options(headers={"X-Key": f"{CANARY}\n"}),
        lambda: AiwynClient(base_url="https://a.test", token="t", headers={"X-Key": CANARY}, retries=-1),
        lambda: client.with_options(headers={"X-Key": CANARY}, retries=-1),
    ]
    for make in makers:
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert CANARY not in str(caught.value)
        formatted = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert CANARY not in "".join(formatted.format())


ECHO = f'{{"message":"bad key {CANARY} in Basic {CANARY}x"}}'.encode()


async def test_credential_header_is_masked_in_a_server_message(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(400, ECHO))]) as server:
        client = connect(server.url, token="t", headers={"X-Api-Key": CANARY})
        with pytest.raises(InvalidRequestError, match=r"bad key \*\*\*") as caught:
            await session_of(client).call(LIST)
    assert_no_secret(caught.value)


def test_profile_may_contain_headers_and_private_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[profiles.default]\nbase_url = "https://a.test"\ntoken = "t"\n'
        '[profiles.default.headers]\nX-Api-Key = "abc"\n'
    )
    monkeypatch.setenv("AIWYN_CONFIG", str(path))
    path.chmod(0o600)
    assert Config.load().headers == {"X-Api-Key": "abc"}
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Config.load()


NAMES = st.text("abcXYZ-_123", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.text(st.characters(codec="ascii"), max_size=12), max_size=4))
def test_headers_are_accepted_unchanged_or_refused(headers: dict[str, str]) -> None:
    try:
        validated = Headers(headers)
    except ConfigurationError:
        return
    assert validated == {name: value.strip() for name, value in headers.items()}
    assert all(value.isprintable() for value in validated.values())
