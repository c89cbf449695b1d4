"""Options from keywords, environment variables and profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import ConfigurationError
from settings import URL, load


def test_keywords_override_environment_and_profile(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert profiles.exists()
    assert (Config.load().base_url, Config.load().retries) == ("https://default.example.org", 1)
    assert Config.load(profile="demo").retries == 7
    monkeypatch.setenv("AIWYN_PROFILE", "demo")
    monkeypatch.setenv("AIWYN_RETRIES", "5")
    config = Config.load()
    assert (config.base_url, config.retries, config.api_key) == (
        "https://demo.example.org",
        5,
        Secret("demo-key"),
    )
    assert config.endpoints["clients"].items_key == "customers"
    assert Config.load(retries=3).retries == 3
    assert Config.load(profile="default").token == Secret("default-token")


def test_credential_hides_the_other_kind_in_the_layers_below(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles.exists()
    monkeypatch.setenv("AIWYN_BASE_URL", URL)
    monkeypatch.setenv("AIWYN_API_KEY", "environment-key")
    config = Config.load()
    assert (config.api_key, config.token) == (Secret("environment-key"), None)
    config = Config.load(base_url=URL, token="keyword-token")
    assert (config.api_key, config.token) == (None, Secret("keyword-token"))


def test_environment_returns_every_option_of_plain_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIWYN_BASE_URL", URL)
    monkeypatch.setenv("AIWYN_TOKEN", "t")
    monkeypatch.setenv("AIWYN_READ_TIMEOUT", "2.5")
    monkeypatch.setenv("AIWYN_RETRY_WRITES", "true")
    monkeypatch.setenv("AIWYN_WARN_UNDOCUMENTED", "0")
    monkeypatch.setenv("AIWYN_MAX_CONCURRENCY", "")
    config = Config.load()
    assert (config.read_timeout, config.retry_writes, config.warn_undocumented) == (2.5, True, False)
    assert config.max_concurrency is None
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
    ("content", "message"),
    [
        (b"[profiles", "cannot read"),
        (b"\xff\xfe", "cannot read"),
        (b"profiles = 3", "must be a table"),
        (b"profiles.default = 3", "must be a table"),
        (
            b"[profiles.default]\nretrys = 3",
            "profile 'default' of .*: unknown option 'retrys'; did you mean retries",
        ),
        (b"[profiles.default]\nqqq = 3", "unknown option 'qqq'; options are allow_insecure_http"),
        (b"[profiles.default]\nretries = 'many'", "retries"),
        (b"[profiles.default]\nssl_context = 'x'", "ssl_context"),
        (b"[profiles.default]\nclock = 'x'", "clock"),
        (b"[profiles.default]\nbase_url = 'https://a.test'\ntoken = 3", "token must be"),
    ],
)
def test_invalid_profile_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=message):
        Config.load(**({} if b"token" in content else {"base_url": URL, "token": "t"}))


def test_missing_profile_is_refused(profiles: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has default, demo"):
        Config.load(profile="nope")
    with pytest.raises(ConfigurationError, match="profile must not be empty; name one, or leave it out"):
        Config.load(profile="")
    profiles.unlink()
    with pytest.raises(ConfigurationError, match="'demo' cannot be read"):
        Config.load(profile="demo")
    assert load().base_url == URL


def test_default_profile_file_may_be_unreadable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AIWYN_CONFIG")
    (tmp_path / "aiwyn").write_text("a file where a directory would be")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load().base_url == URL


def test_client_does_not_require_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIWYN_CONFIG", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)
    assert load().base_url == URL


def test_whitespace_around_an_environment_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIWYN_BASE_URL", f" {URL}\n")
    monkeypatch.setenv("AIWYN_TOKEN", "\ttoken\r\n")
    monkeypatch.setenv("AIWYN_RETRIES", " 3\n")
    monkeypatch.setenv("AIWYN_READ_TIMEOUT", "2.5 ")
    monkeypatch.setenv("AIWYN_RETRY_WRITES", "true\n")
    monkeypatch.setenv("AIWYN_DEADLINE", " ")  # as unset
    config = Config.load()
    assert (config.token, config.retries, config.read_timeout, config.retry_writes) == (
        Secret("token"),
        3,
        2.5,
        True,
    )
