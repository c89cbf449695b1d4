"""Profile files and environment variables with mutations: a configuration or a ConfigurationError."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from aiwyn_async.config import Config
from aiwyn_async.errors import ConfigurationError
from mutated import EXAMPLES, as_bytes, mutated

PROFILE = """[profiles.default]
base_url = "https://default.example.org"
token = "default-token"
retries = 1
read_timeout = 2.5
proxy = "http://127.0.0.1:3128"
gql_prefix = "/gql/v1"
headers = {X-A = "b"}
[profiles.default.endpoints.clients]
items_key = "customers"
page_style = "auto"
"""
VARIABLES = (
    "base_url=https://a.example.org|token=abc|retries=3|read_timeout=2.5|proxy=http://h:1|endpoints={}"
    "|retry_writes=true|gql_prefix=/g|max_response_bytes=5000|token_path=/v1|allow_insecure_http=1"
)


def load() -> None:
    with warnings.catch_warnings(), contextlib.suppress(ConfigurationError):
        warnings.simplefilter("ignore")
        Config.load()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated(PROFILE))
def test_mutated_profile_raises_only_configuration_errors(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(as_bytes(text))
    file.chmod(0o600)
    load()


@pytest.mark.parametrize("opening", ["[", "{a="])
def test_profile_that_is_nested_too_deeply_is_named(tmp_path: Path, opening: str) -> None:
    (tmp_path / "config.toml").write_text(f"a = {opening * 20_000}")
    with pytest.raises(ConfigurationError, match=r"cannot read .*config.toml: it is nested too deeply"):
        Config.load()


@settings(max_examples=EXAMPLES, deadline=None)
@given(mutated(VARIABLES))
def test_mutated_environment_raises_only_configuration_errors(text: str) -> None:
    names = set(Config.__struct_fields__)
    with pytest.MonkeyPatch.context() as environment:
        for part in text.replace("\0", "").split("|"):
            name, _, value = part.partition("=")
            with contextlib.suppress(UnicodeEncodeError):  # the system refuses it
                if name in names:
                    environment.setenv(f"AIWYN_{name.upper()}", value)
        load()


def test_profile_file_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIWYN_CONFIG", "/dev/zero")
    with pytest.raises(ConfigurationError, match="cannot read /dev/zero: it is larger than 1 MiB"):
        Config.load()
