"""Tokens: extraction from a response, and lifetime."""

from __future__ import annotations

import base64
import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._http.auth import ReadyToken
from aiwyn_async._http.token_responses import lifetime_of, token_in
from aiwyn_async.config import Secret
from secrecy import CANARY

NOW = 1_750_000_000.0


def jwt(claims: Any) -> Secret:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Secret(f"header.{body}.signature")


@pytest.mark.parametrize(
    ("body", "key", "token"),
    [
        ({"token": "a"}, None, "a"),
        ({"jwt": "a"}, None, "a"),
        ({"accessToken": "a"}, None, "a"),
        ({"access_token": "a"}, None, "a"),
        ({"idToken": "a"}, None, "a"),
        ({"id_token": "a"}, None, "a"),
        ({"data": {"token": "a"}}, None, "a"),
        ({"token": None, "data": {"jwt": "a"}}, None, "a"),
        ({"token": "a", "jwt": "b"}, None, "a"),
        ({"token": "a", "jeton": "b"}, "jeton", "b"),
        ({"data": {"jeton": "b"}}, "jeton", "b"),
        ({"token": "a"}, "jeton", None),
        ({"data": {"jeton": "b"}}, "data.jeton", "b"),
        ({"data": {"auth": {"jeton": "b"}}}, "data.auth.jeton", "b"),
        ({"data.jeton": "a", "data": {"jeton": "b"}}, "data.jeton", "a"),
        ({"data": {"jeton": "b"}}, "data.other", None),
        ({"data": ["jeton"]}, "data.jeton.x", None),
        ({"token": "a"}, ".token", None),
        ({"token": "Bearer a"}, None, "a"),
        ({"token": " bearer  a "}, None, "a"),
        ({"data": {"jeton": "BEARER b"}}, "data.jeton", "b"),
        ({"token": "Bearer"}, None, "Bearer"),
        ({"token": "Bearer a b"}, None, None),
        ({"token": ""}, None, None),
        ({"token": "a b"}, None, None),
        ({"token": "ä"}, None, None),
        ({"token": 7}, None, None),
        ({"token": {"token": "a"}}, None, None),
        ({"data": ["token"]}, None, None),
        ([], None, None),
        ("token", None, None),
        (None, None, None),
    ],
)
def test_token_is_read_from_known_keys(body: Any, key: str | None, token: str | None) -> None:
    result = token_in(json.dumps(body).encode(), key).token
    assert result == (None if token is None else Secret(token))


@pytest.mark.parametrize(
    ("reported", "lifetime"),
    [
        (60, 60),
        (1.5, 1.5),
        ("60", 60),
        (0, 0),
        (-1, -1),
        (True, None),
        ("soon", None),
        ("nan", None),
        (None, None),
        ([], None),
        (10**400, None),
    ],
)
def test_reported_lifetime_is_in_seconds(reported: Any, lifetime: float | None) -> None:
    for name in ("expiresIn", "expires_in"):
        assert token_in(json.dumps({"token": "a", name: reported}).encode(), None).lifetime == lifetime


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_token_response_may_be_any_text(body: bytes) -> None:
    result = token_in(body, None)
    assert result.token is None or result.token.reveal()
    assert result.seen.isprintable()
    assert lifetime_of(Secret("opaque"), NOW, None, result.lifetime) is not None


def test_token_response_may_be_deeply_nested() -> None:
    assert token_in(b'{"a":' * 100_000, None).token is None


@pytest.mark.parametrize(
    ("claims", "date_offset", "reported", "lifetime"),
    [
        ({"iat": NOW, "exp": NOW + 3600}, None, None, 3600),
        ({"iat": NOW, "exp": NOW + 3600}, 0, None, 3600),
        # Both timestamps of the server agree; the local clock does not matter.
        ({"iat": NOW + 9e6, "exp": NOW + 9e6 + 3600}, 9e6, None, 3600),
        # The server cached the token half an hour ago.
        ({"iat": NOW - 1800, "exp": NOW + 1800}, 0, None, 1800),
        ({"exp": NOW + 600}, None, None, 600),
        ({"exp": NOW + 600}, 100, None, 500),
        ({"exp": NOW - 1}, None, None, -1),
        # A Date header that is off by a day, in either direction.
        ({"iat": NOW, "exp": NOW + 3600}, 86400, None, 3600),
        ({"iat": NOW, "exp": NOW + 3600}, -86400, None, 3600),
        ({"exp": NOW + 600}, 86400, None, 600),
        ({"exp": NOW + 600}, 86400, 300, 300),
        # A shorter lifetime would renew a valid token with every request.
        ({"iat": NOW, "exp": NOW + 3600}, 3595, None, 3600),
        ({"exp": NOW + 3600}, 3595, None, 3600),
        # The local clock is off by a day; the server's is correct.
        ({"iat": NOW + 86400, "exp": NOW + 90000}, 86400, None, 3600),
        ({"iat": NOW - 86400, "exp": NOW - 82800}, -86400, None, 3600),
        ({"exp": NOW - 82800}, -86400, None, 3600),
        # Expired by both clocks.
        ({"iat": NOW - 7200, "exp": NOW - 3600}, 0, None, -3600),
        ({"exp": NOW - 10}, 5, None, -10),
        ({"iat": NOW, "exp": NOW - 1}, None, None, -1),
        ({"iat": NOW, "exp": NOW + 60}, None, 3600, 60),
        ({}, None, None, 3600),
        ({}, None, 60, 60),
        ({}, None, 0, 0),
        ({"exp": "soon"}, None, None, 3600),
        ([], None, None, 3600),
        (None, None, None, 3600),
    ],
)
def test_token_lifetime_does_not_depend_on_one_clock(
    claims: Any, date_offset: float | None, reported: float | None, lifetime: float
) -> None:
    date = None if date_offset is None else formatdate(NOW + date_offset, usegmt=True)
    assert lifetime_of(jwt(claims), NOW, date, reported) == lifetime


@given(st.floats(60, 90_000), st.floats(-1e6, 1e6), st.booleans(), st.booleans())
def test_valid_token_is_used_despite_clock_skew(
    lifetime: float, skew: float, has_iat: bool, server_is_skewed: bool
) -> None:
    claims = {"exp": NOW + lifetime} | ({"iat": NOW} if has_iat else {})
    here, there = (NOW, NOW + skew) if server_is_skewed else (NOW + skew, NOW)
    left = lifetime_of(jwt(claims), here, formatdate(there, usegmt=True))
    assert left >= min(lifetime, 300) - 1 or abs(skew) <= 300
    assert left > 0 or lifetime <= 301


@pytest.mark.parametrize("token", ["opaque", "a.b", "a.b.c", "..", "a.%%%.c", "a.e30.c", f"a.{'A' * 9}.c"])
def test_token_that_is_not_a_jwt_lasts_the_documented_hour(token: str) -> None:
    assert lifetime_of(Secret(token), NOW, None) == 3600


async def test_ready_token_is_never_renewed() -> None:
    source = ReadyToken(Secret(CANARY))
    assert await source.bearer() == Secret(CANARY)
    assert await source.renewed(Secret(CANARY)) is None
    await source.aclose()


def test_repr_shows_no_token() -> None:
    assert CANARY not in repr(token_in(f'{{"token":"{CANARY}"}}'.encode(), None))
    assert CANARY not in repr(ReadyToken(Secret(CANARY)))
