"""Errors of options name the variable, profile or file to correct."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient, Config, ConfigurationError

URL = "https://api.example.com"


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        (
            "AIWYN_RETRY_WRITES",
            "yes",
            r"^AIWYN_RETRY_WRITES: retry_writes: expected true or false, got str$",
        ),
        ("AIWYN_MAX_CONCURRENCY", "none", r": max_concurrency: expected a whole number, got str$"),
        ("AIWYN_ENDPOINTS", "{}", r"^AIWYN_ENDPOINTS: endpoints: expected a dict, or a table of a profile,"),
        ("AIWYN_RETRIES", "abc", r"^AIWYN_RETRIES: retries: expected a whole number, got str$"),
        ("AIWYN_RETRIES", "-1", r"^AIWYN_RETRIES: retries must be at least 0"),
        ("AIWYN_DEADLINE", "0", r"^AIWYN_DEADLINE: deadline must be a finite number"),
        ("AIWYN_PROXY", "nonsense", r"^AIWYN_PROXY: proxy must be a URL"),
        ("AIWYN_BASE_URL", "nonsense", r"^AIWYN_BASE_URL: base_url must start with https://"),
    ],
)
def test_error_names_the_variable(
    variable: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIWYN_BASE_URL", URL)
    monkeypatch.setenv("AIWYN_API_KEY", "key-of-this-test")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=text):
        Config.load()


def test_error_names_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.default]\nretries = "many"\n[profiles.odd.endpoints.clients]\nkeys = 1\n')
    path.chmod(0o600)
    monkeypatch.setenv("AIWYN_CONFIG", str(path))
    with pytest.raises(
        ConfigurationError, match=rf"^profile 'default' of {path}: retries: expected a whole number"
    ):
        Config.load(base_url=URL, api_key="key-of-this-test")
    with pytest.raises(ConfigurationError, match=rf"^profile 'odd' of {path}: endpoints"):
        Config.load(base_url=URL, api_key="key-of-this-test", profile="odd")


@pytest.mark.parametrize("name", ["api_key", "token"])
def test_error_of_a_credential_names_the_profile(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[profiles.default]\nbase_url = "{URL}"\n{name} = 5\n')
    path.chmod(0o600)
    monkeypatch.setenv("AIWYN_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match=rf"^profile 'default' of {path}: {name} must be a str"):
        Config.load()


def test_error_of_an_argument_names_it_alone() -> None:
    with pytest.raises(ConfigurationError, match=r"^retries must be at least 0"):
        Config.load(base_url=URL, api_key="key-of-this-test", retries=-1)


def test_missing_file_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIWYN_CONFIG", "/nowhere/config.toml")
    with pytest.raises(ConfigurationError, match=r"^no base_url, and /nowhere/config\.toml does not exist"):
        Config.load()


@pytest.mark.parametrize(
    "option", ["deadline", "read_timeout", "retries", "max_response_bytes", "gql_prefix"]
)
def test_none_is_refused_for_options_that_always_have_a_value(option: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{option} must not be None; leave it out for "):
        AiwynClient(base_url=URL, api_key="key-of-this-test", **{option: None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "missing", "message"),
    [
        ("from aiwyn_async.sync import sync", "duckdb", "sync is an extra; run: pip install {}[duckdb]"),
        ("import aiwyn_async.dask", "distributed", "aiwyn_async.dask is an extra; run: pip install {}[dask]"),
        ("import aiwyn_async.dask", "pyarrow", "aiwyn_async.dask is an extra; run: pip install {}[dask]"),
    ],
)
def test_module_without_its_extra_names_the_install_command(
    statement: str, missing: str, message: str
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; {statement}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: " + message.format('"aiwyn-async') + '"'
