"""Invalid options are refused, and credentials are never shown."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import pickle
import ssl
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import ConfigurationError
from secrecy import CANARY, assert_no_secret
from settings import URL, load


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": None},
        {"token": None},
        {"api_key": "both"},
        {"retrys": 1},
        {"retries": -1},
        {"retries": 1.5},
        {"retries": "many"},
        {"max_concurrency": 0},
        {"retry_budget": -1},
        {"max_response_bytes": 10},
        {"connect_timeout": 0},
        {"read_timeout": -1},
        {"attempt_timeout": float("inf")},
        {"deadline": float("nan")},
        {"deadline": "soon"},
        {"backoff_base": -0.1},
        {"throttled_backoff_base": float("nan")},
        {"backoff_cap": float("inf")},
        {"max_retry_after": -1},
        {"gql_prefix": "gql"},
        {"gql_prefix": "/gql/"},
        {"api_prefix": "/a b"},
        {"api_prefix": "/a//b"},
        {"api_prefix": "/a\r\nX: 1"},
        {"token_path": "/a?b"},
        {"token_path": "/a#b"},
        {"token_path": "/ä"},
        {"token_request_key": ""},
        {"endpoints": {"clients": {"nope": 1}}},
        {"endpoints": {"clients": {"page_style": "nope"}}},
        {"proxy": "proxy:3128"},
        {"proxy": "socks5://proxy"},
        {"proxy": "http://"},
        {"proxy": "http://proxy:port"},
        {"ssl_context": False},
        {"ssl_context": ssl._create_unverified_context()},
        {"clock": "noon"},
        {"token": "two words"},
        {"token": "line\nbreak"},
        {"token": "ümlaut"},
        {"token": " "},
        {"token": 7},
    ],
    ids=lambda options: " ".join(f"{name}={type(value).__name__}" for name, value in options.items()),
)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        load(**options)


@pytest.mark.parametrize(
    "changes",
    [{"deadline": "soon"}, {"retries": True}, {"retries": 1.0}, {"retry_writes": 1}, {"deadline": 0}],
)
def test_view_is_checked_as_a_client_is(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        msgspec.structs.replace(load(), **changes)


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"nope": 1},
        {"base_url": f"https://user:{CANARY}@a.test"},
        {"token": "t"},
        {"api_key": f"{CANARY} and more"},
        {"api_key": None, "token": f"{CANARY}\n{CANARY}"},
        {"profile": "nope"},
    ],
    ids=str,
)
def test_error_of_an_option_shows_no_credential(options: dict[str, Any], profiles: Path) -> None:
    profiles.write_text(f'[profiles.default]\ntoken = "{CANARY}"')
    arguments = {"base_url": URL, "api_key": CANARY, **options}
    try:
        Config.load(**arguments)
    except ConfigurationError as refused:
        message = refused
    else:
        pytest.fail("it was taken")
    del arguments, options
    assert_no_secret(message)


def test_secret_is_shown_nowhere() -> None:
    secret = Secret(f" {CANARY}\n")
    assert secret.reveal() == CANARY
    assert (secret, hash(secret)) == (Secret(CANARY), hash(Secret(CANARY)))
    assert secret != CANARY
    config = load(token=secret)
    for shown in (repr(secret), str(secret), f"{secret}", repr(config), repr([config]), repr({"a": secret})):
        assert CANARY not in shown
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(config)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_secret_that_cannot_be_sent_is_not_quoted() -> None:
    try:
        Secret(f"{CANARY} {CANARY}")
    except ConfigurationError as refused:
        assert_no_secret(refused)
    else:
        pytest.fail("it was taken")
