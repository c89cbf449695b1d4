"""Options: where they come from, what is refused, and that each one has its effect."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import pickle
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.config import Config, Secret, SystemClock
from aiwyn_async.errors import (
    ConfigurationError,
    DeadlineExceededError,
    RateLimitError,
    RequestError,
    ResponseTooLargeError,
    ServerError,
    TokenExchangeError,
    TransportError,
    UndocumentedEndpointWarning,
)
from fake_clock import FakeClock
from fault_server import READ, STALL, FaultServer, answer, drip, send
from looking_inside import LIST, WRITE, session_of
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]
URL = "https://api.example.org"
PROFILES = """
[profiles.default]
base_url = "https://default.example.org"
token = "default-token"
retries = 1

[profiles.demo]
base_url = "https://demo.example.org"
api_key = "demo-key"
retries = 7

[profiles.demo.endpoints.clients]
items_key = "customers"
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Config.__struct_fields__:
        monkeypatch.delenv(f"AIWYN_{name.upper()}", raising=False)
    monkeypatch.delenv("AIWYN_PROFILE", raising=False)
    monkeypatch.setenv("AIWYN_CONFIG", str(tmp_path / "config.toml"))


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(PROFILES)
    file.chmod(0o600)
    return file


def load(**options: Any) -> Config:
    return Config.load(**{"base_url": URL, "token": "t", **options})


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://demo.api.aiwyn.ai", "https://demo.api.aiwyn.ai"),
        ("https://demo.api.aiwyn.ai/", "https://demo.api.aiwyn.ai"),
        ("  https://demo.api.aiwyn.ai/root/ ", "https://demo.api.aiwyn.ai/root"),
        ("HTTPS://Demo.API.aiwyn.ai:8443", "HTTPS://Demo.API.aiwyn.ai:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://my_host.internal.", "https://my_host.internal."),
        ("https://[2001:db8::1]:444", "https://[2001:db8::1]:444"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_base_url_that_is_taken(url: str, kept: str) -> None:
    assert load(base_url=url).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.org",
        "//api.example.org",
        "ftp://api.example.org",
        "https://",
        "https:///path",
        "https://user@api.example.org",
        f"https://user:{CANARY}@api.example.org",
        "https://@api.example.org",
        "https://api.example.org?",
        "https://api.example.org/?a=b",
        "https://api.example.org/#a",
        "https://api.example.org/#",
        "https://api.example.org:99999",
        "https://api.example.org:port",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://a..b",
        "https://.a",
        f"https://{'a' * 64}.org",
        "https://a b.org",
        "https://a\nb.org",
        "https://a\\b.org",
        "https://a%41.org",
        "https://b\u00fccher.example",
        "https://127\u30020\u30020\u30021",
        "https://\uff11\uff12\uff17.0.0.1",
        "http://api.example.org",
        "http://localhost.evil.com",
        "http://evil-localhost",
        "http://localhost.",
        "http://127.0.0.1.nip.io",
        "http://127.1",
        "http://0x7f000001",
        "http://2130706433",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::]",
        "http://[::1%25lo]",
        "http://localhost@evil.com",
        "http://127.0.0.1\\@evil.com",
        "http://127\u30020\u30020\u30021",
    ],
)
def test_base_url_that_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        load(base_url=url)
    assert CANARY not in str(caught.value)


def test_plain_http_to_another_host_has_to_be_allowed() -> None:
    assert load(base_url="http://10.0.0.1", allow_insecure_http=True).base_url == "http://10.0.0.1"


# Where options come from


def test_keywords_win_over_the_environment_and_that_over_the_profile(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles.exists()
    assert (Config.load().base_url, Config.load().retries) == ("https://default.example.org", 1)
    assert Config.load(profile="demo").retries == 7
    monkeypatch.setenv("AIWYN_PROFILE", "demo")
    monkeypatch.setenv("AIWYN_RETRIES", "5")
    found = Config.load()
    assert (found.base_url, found.retries, found.api_key) == (
        "https://demo.example.org",
        5,
        Secret("demo-key"),
    )
    assert found.endpoints["clients"].items_key == "customers"
    assert Config.load(retries=3).retries == 3
    assert Config.load(profile="default").token == Secret("default-token")


def test_credential_hides_the_other_kind_in_the_layers_below(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles.exists()
    monkeypatch.setenv("AIWYN_BASE_URL", URL)
    monkeypatch.setenv("AIWYN_API_KEY", "environment-key")
    found = Config.load()
    assert (found.api_key, found.token) == (Secret("environment-key"), None)
    found = Config.load(base_url=URL, token="keyword-token")
    assert (found.api_key, found.token) == (None, Secret("keyword-token"))


def test_environment_returns_every_option_of_plain_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIWYN_BASE_URL", URL)
    monkeypatch.setenv("AIWYN_TOKEN", "t")
    monkeypatch.setenv("AIWYN_READ_TIMEOUT", "2.5")
    monkeypatch.setenv("AIWYN_RETRY_WRITES", "true")
    monkeypatch.setenv("AIWYN_WARN_UNDOCUMENTED", "0")
    monkeypatch.setenv("AIWYN_MAX_CONCURRENCY", "")
    found = Config.load()
    assert (found.read_timeout, found.retry_writes, found.warn_undocumented) == (2.5, True, False)
    assert found.max_concurrency == 8
    monkeypatch.setenv("AIWYN_RETRIES", "many")
    with pytest.raises(ConfigurationError, match="retries"):
        Config.load()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_profile_with_a_credential_that_others_can_read_is_refused(profiles: Path, mode: int) -> None:
    profiles.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Config.load()
    profiles.write_text("[profiles.default]\nretries = 1\n")
    assert load().retries == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[profiles", "cannot read"),
        (b"\xff\xfe", "cannot read"),
        (b"profiles = 3", "must be a table"),
        (b"profiles.default = 3", "must be a table"),
        (b"[profiles.default]\nretrys = 3", "unknown option 'retrys'"),
        (b"[profiles.default]\nretries = 'many'", "retries"),
        (b"[profiles.default]\nssl_context = 'x'", "ssl_context"),
        (b"[profiles.default]\nclock = 'x'", "clock"),
        (b"[profiles.default]\nbase_url = 'https://a.test'\ntoken = 3", "token must be"),
    ],
)
def test_profile_file_that_is_wrong(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=complaint):
        Config.load(**({} if b"token" in content else {"base_url": URL, "token": "t"}))


def test_profile_that_is_not_there(profiles: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has default, demo"):
        Config.load(profile="nope")
    profiles.unlink()
    with pytest.raises(ConfigurationError, match="'demo' cannot be read"):
        Config.load(profile="demo")
    assert load().base_url == URL


def test_file_that_nobody_named_may_be_unreadable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AIWYN_CONFIG")
    (tmp_path / "aiwyn").write_text("a file where a directory would be")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load().base_url == URL


def test_user_without_a_home_can_make_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIWYN_CONFIG", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)
    assert load().base_url == URL


# What is refused


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
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        load(**options)


@pytest.mark.parametrize(
    "changes",
    [{"deadline": "soon"}, {"retries": True}, {"retries": 1.0}, {"retry_writes": 1}, {"deadline": 0}],
)
def test_view_is_checked_as_a_client_is(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        msgspec.structs.replace(load(), **changes)


# Secrets


@pytest.mark.parametrize(
    "wrong",
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
def test_no_complaint_shows_a_credential(wrong: dict[str, Any], profiles: Path) -> None:
    profiles.write_text(f'[profiles.default]\ntoken = "{CANARY}"')
    given = {"base_url": URL, "api_key": CANARY, **wrong}
    try:
        Config.load(**given)
    except ConfigurationError as refused:
        complaint = refused
    else:
        pytest.fail("it was taken")
    del given, wrong
    assert_no_secret(complaint)


def test_secret_shows_nowhere() -> None:
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


# Each option has its effect


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
        error = await failed(connect(dripping.url, deadline=0.07))
        assert isinstance(error, DeadlineExceededError)
    async with FaultServer([READ, STALL]) as silent:
        error = await failed(connect(silent.url, read_timeout=0.05, retries=0))
        assert isinstance(error, TransportError)
        assert error.kind == "read_timeout"
        error = await failed(connect(silent.url.replace("http", "https"), connect_timeout=0.05, retries=0))
        assert isinstance(error, TransportError)
        assert error.kind == "connect_timeout"


async def test_retry_options_have_their_effect(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(answer(503))]) as server:
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
        server.play([READ, send(answer(429))])
        clock.sleeps.clear()
        await failed(connect(server.url, throttled_backoff_base=0))
        assert clock.sleeps == []
        server.play([READ, send(answer(429, headers={"Retry-After": "3"}))])
        error = await failed(connect(server.url, max_retry_after=2))
        assert isinstance(error, RateLimitError)
        assert (len(error.attempts), error.retry_after) == (1, 3)
        await failed(connect(server.url, max_retry_after=3, backoff_base=0))
        assert max(clock.sleeps) == 3


async def test_limits_have_their_effect(connect: Connect) -> None:
    async with FaultServer([READ, send(answer(200, b"{" + b" " * 2000 + b"}"))]) as server:
        assert isinstance(await failed(connect(server.url, max_response_bytes=1024)), ResponseTooLargeError)
        assert session_of(connect(server.url, max_concurrency=3)).limiter.max_limit == 3


async def test_addresses_have_their_effect(connect: Connect) -> None:
    row = send(answer(200, b'{"id":1,"data":{"id":1},"jeton":"other"}'))
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
    async with FaultServer([READ, send(answer())]) as server:
        with pytest.warns(UndocumentedEndpointWarning):
            await connect(server.url).event_subscriptions.deactivate(1)
        await connect(server.url, warn_undocumented=False).event_subscriptions.deactivate(1)


async def test_proxy_is_asked_instead_of_the_host(connect: Connect) -> None:
    async with FaultServer([READ, send(answer())]) as proxy:
        client = connect(
            "http://api.example.org", allow_insecure_http=True, proxy=f"http://127.0.0.1:{proxy.port}"
        )
        await session_of(client).call(LIST)
    assert proxy.requests[0].target == "http://api.example.org/gql/v1/invoices"


async def test_clock_shows_the_time(connect: Connect, clock: FakeClock) -> None:
    async with FaultServer([READ, send(answer(503, headers={"Retry-After": "7"}))]) as server:
        error = await failed(connect(server.url, clock=clock))
    assert isinstance(error, ServerError)
    assert (error.elapsed, clock.sleeps) == (14, [7, 7])


async def test_own_clock_is_that_of_the_machine() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.time() > 1_700_000_000


def test_no_option_is_left_out_here() -> None:
    """Every option's name occurs in this file, or in that of TLS contexts."""
    here = Path(__file__).read_text()
    assert [
        name for name in Config.__struct_fields__ if f"{name}=" not in here and f'"{name}"' not in here
    ] == []
