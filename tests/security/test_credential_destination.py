"""A credential is sent only to the base_url of its own source: keyword arguments, environment or profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.sandbox import Sandbox
from command_line import Cli
from fault_server import FaultServer

PROD, OTHER = "https://prod.example.org", "https://other.example.org"
KEY: dict[str, Any] = {"api_key": "prod-key"}
TOKEN: dict[str, Any] = {"token": "prod-token"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*Config.__struct_fields__, "profile"):
        monkeypatch.delenv(f"AIWYN_{name.upper()}", raising=False)
    monkeypatch.setenv("AIWYN_CONFIG", str(tmp_path / "config.toml"))


def write_profile(folder: Path, name: str, *, headers: dict[str, str] | None = None, **options: Any) -> None:
    lines = [f"[profiles.{name}]", *(f'{option} = "{value}"' for option, value in options.items())]
    if headers:
        lines += [f"[profiles.{name}.headers]", *(f'{key} = "{value}"' for key, value in headers.items())]
    path = folder / "config.toml"
    path.write_text("\n".join(lines))
    path.chmod(0o600)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the profile "prod", selects it, and sets environment variables."""

    def write(profile: dict[str, Any], environment: dict[str, str]) -> None:
        write_profile(tmp_path, "prod", **profile)
        for name, value in {"profile": "prod", **environment}.items():
            monkeypatch.setenv(f"AIWYN_{name.upper()}", value)

    return write


@pytest.mark.parametrize(
    ("profile", "environment", "keywords", "named"),
    [
        (KEY, {"base_url": OTHER}, {}, ["api_key", "profile 'prod'", "AIWYN_BASE_URL"]),
        (TOKEN, {"base_url": OTHER}, {}, ["token", "profile 'prod'", "AIWYN_BASE_URL"]),
        ({**KEY, "base_url": PROD}, {"base_url": OTHER}, {}, ["profile 'prod'", "remove AIWYN_BASE_URL"]),
        (KEY, {}, {"base_url": OTHER}, ["profile 'prod'", "the argument base_url"]),
        ({**KEY, "base_url": PROD}, {}, {"base_url": OTHER}, ["remove the argument base_url"]),
        ({}, KEY, {"base_url": OTHER}, ["AIWYN_API_KEY", "the argument base_url"]),
        ({}, {**TOKEN, "base_url": PROD}, {"base_url": OTHER}, ["AIWYN_TOKEN", "the argument base_url"]),
        ({"base_url": OTHER}, KEY, {}, ["AIWYN_API_KEY", "profile 'prod'", "set both in one"]),
        ({"base_url": OTHER}, {}, KEY, ["the argument api_key", "profile 'prod'"]),
        ({}, {"base_url": OTHER}, TOKEN, ["the argument token", "AIWYN_BASE_URL"]),
        ({"base_url": OTHER}, {}, {"token": lambda: "t"}, ["the argument token", "profile 'prod'"]),
        (
            {"headers": {"X-Api-Key": "abcdefgh"}, **KEY, "base_url": PROD},
            {},
            {"base_url": OTHER, "token": "t"},
            ["headers", "profile 'prod'", "the argument base_url"],
        ),
    ],
)
def test_credential_of_another_source_than_base_url_is_refused(
    profile: dict[str, Any],
    environment: dict[str, str],
    keywords: dict[str, Any],
    named: list[str],
    configure: Callable[..., None],
) -> None:
    configure(profile, environment)
    with pytest.raises(ConfigurationError, match="only sent to the base_url of its own source; ") as caught:
        AiwynClient(**keywords)
    assert not [text for text in named if text not in str(caught.value)], str(caught.value)
    assert "prod-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "environment", "keywords", "expected"),
    [
        ({**KEY, "base_url": PROD}, {}, {}, Secret("prod-key")),
        ({**KEY, "base_url": PROD}, {"retries": "1"}, {"deadline": 5.0}, Secret("prod-key")),
        # The same server under the same URL.
        ({**KEY, "base_url": PROD}, {"base_url": f" {PROD}/ "}, {}, Secret("prod-key")),
        ({**KEY, "base_url": PROD}, {}, {"base_url": PROD}, Secret("prod-key")),
        # What is not used is not sent.
        ({**KEY, "base_url": OTHER}, {"base_url": PROD, "api_key": "env-key"}, {}, Secret("env-key")),
        (KEY, {"api_key": "env-key"}, {"base_url": PROD, "api_key": "own-key"}, Secret("own-key")),
        ({"headers": {"X-Team": "a"}}, {"base_url": PROD, "api_key": "env-key"}, {}, Secret("env-key")),
        (
            {"headers": {"X-Api-Key": "abcdefgh"}},
            {},
            {"base_url": PROD, "api_key": "own-key", "headers": {}},
            Secret("own-key"),
        ),
    ],
)
def test_credential_and_base_url_of_one_source_are_used(
    profile: dict[str, Any],
    environment: dict[str, str],
    keywords: dict[str, Any],
    expected: Secret,
    configure: Callable[..., None],
) -> None:
    configure(profile, environment)
    config = Config.load(**keywords)
    assert (config.api_key, config.base_url) == (expected, PROD)


async def test_command_with_the_key_of_a_profile_sends_nothing_to_another_host(
    cli: Cli, tmp_path: Path
) -> None:
    write_profile(tmp_path, "prod", **KEY)
    async with FaultServer([]) as other:
        environment = {
            "AIWYN_PROFILE": "prod",
            "AIWYN_CONFIG": str(tmp_path / "config.toml"),
            "AIWYN_BASE_URL": other.url,
            "AIWYN_API_KEY": "",
        }
        done = await cli.run("count", "invoices", **environment)
    assert (done.code, other.connections) == (2, 0)
    assert "api_key is set by profile 'prod'" in done.err


async def test_doctor_names_the_source_of_each_option(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    write_profile(tmp_path, "default", retries="1", base_url=box.url, api_key=box.api_key)
    config = str(tmp_path / "config.toml")
    done = await cli.run("doctor", AIWYN_CONFIG=config, AIWYN_RETRIES="2", AIWYN_MAX_CONCURRENCY="3")
    sources = next(line for line in done.out.splitlines() if "sources:" in line)
    assert "api_key from AIWYN_API_KEY, base_url from AIWYN_BASE_URL" in sources
    assert "retries from AIWYN_RETRIES" in sources
    done = await cli.run("doctor", AIWYN_CONFIG=config, AIWYN_BASE_URL="", AIWYN_API_KEY="")
    assert f"api_key from profile 'default' of {config}, base_url from profile 'default'" in done.out
    assert box.api_key not in done.out


async def test_sandbox_of_a_command_gets_no_header_of_a_profile(cli: Cli, tmp_path: Path) -> None:
    write_profile(tmp_path, "default", headers={"X-Api-Key": "abcdefgh"}, base_url=PROD, **KEY)
    done = await cli.run(
        *("count", "invoices", "--sandbox", "--sandbox-invoices", "5"),
        AIWYN_CONFIG=str(tmp_path / "config.toml"),
        AIWYN_BASE_URL="",
        AIWYN_API_KEY="",
    )
    assert (done.code, done.out) == (0, "5\n"), done.err
