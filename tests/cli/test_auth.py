"""``aiwyn auth`` and ``aiwyn config show``: profiles, sources of options, and secrets that stay unseen."""

from __future__ import annotations

import json
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from aiwyn_async import Config, ConfigurationError
from aiwyn_async._cli.profile_file import ProfileFile
from aiwyn_async.sandbox import Sandbox
from command_line import Cli, Done
from terminal import run_on_terminal

KEY = "another-key-of-this-test"


def without_credentials(cli: Cli) -> None:
    del cli.env["AIWYN_API_KEY"], cli.env["AIWYN_BASE_URL"]


def profile_file(cli: Cli) -> Path:
    return cli.folder / ".config/aiwyn/config.toml"


async def run_with_input(cli: Cli, text: str, *arguments: str) -> Done:
    process = await cli.server.start(
        *("-m", "aiwyn_async", *arguments),
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(text.encode())
    assert process.returncode is not None
    return Done(process.returncode, out, err)


async def test_login_stores_a_verified_key_that_commands_use(cli: Cli, box: Sandbox) -> None:
    without_credentials(cli)
    login = ("auth", "login", "--base-url", box.url)
    refused = await run_with_input(cli, "wrong-key\n", *login)
    assert (refused.code, profile_file(cli).exists()) == (3, False)
    assert "wrong-key" not in refused.err

    done = await run_with_input(cli, f"{box.api_key}\n", *login)

    assert (done.code, done.out) == (0, ""), done.err
    assert box.api_key not in done.err
    assert stat.S_IMODE(profile_file(cli).stat().st_mode) == 0o600
    assert stat.S_IMODE(profile_file(cli).parent.stat().st_mode) == 0o700
    assert (await cli.run("count", "invoices")).out == "400\n"
    status = await cli.run("auth", "status")
    assert (status.code, box.api_key in status.out) == (0, False)
    assert f"credential: api_key from profile 'default' of {profile_file(cli)}" in status.out
    assert status.out.endswith("accepted by the server\n")

    assert (await cli.run("auth", "logout")).code == 0
    assert box.api_key not in profile_file(cli).read_text()
    ended = await cli.run("auth", "status")
    assert (ended.code, "run aiwyn auth login" in ended.err) == (2, True)
    assert (await cli.run("auth", "logout")).code == 0


async def test_login_to_another_profile_says_how_to_use_it(cli: Cli, box: Sandbox) -> None:
    without_credentials(cli)
    login = ("auth", "login", "--base-url", box.url, "--profile", "my firm")
    done = await run_with_input(cli, f"{box.api_key}\n", *login)
    assert done.err.endswith("note: set AIWYN_PROFILE='my firm' to use this profile\n")
    cli.env["AIWYN_PROFILE"] = "my firm"
    assert (await cli.run("count", "invoices")).out == "400\n"
    assert "note:" not in (await run_with_input(cli, f"{box.api_key}\n", *login)).err


async def test_login_prompts_without_echo(cli: Cli, box: Sandbox) -> None:
    without_credentials(cli)
    code, shown = await run_on_terminal(cli, "auth", "login", "--base-url", box.url, enter=box.api_key)
    assert code == 0, shown
    assert shown.startswith(f"API key for {box.url}: \n")
    assert box.api_key not in shown
    assert (await cli.run("count", "invoices")).out == "400\n"


async def test_login_without_verification_sends_nothing(cli: Cli, box: Sandbox) -> None:
    without_credentials(cli)
    login = ("auth", "login", "--base-url", box.url, "--no-verify", "--profile", "other one")
    assert (await run_with_input(cli, KEY, *login)).code == 0
    assert box.calls() == 0
    status = await cli.run("auth", "status", "--no-verify", AIWYN_PROFILE="other one")
    assert (status.code, "profile 'other one'" in status.out, box.calls()) == (0, True, 0)
    assert (await cli.run("auth", "status", AIWYN_PROFILE="other one")).code == 3


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", ["--base-url", "https://api.example.com"], "no API key was entered"),
        (" \n", ["--base-url", "https://api.example.com"], "no API key was entered"),
        (f"{KEY} {KEY}\n", ["--base-url", "https://api.example.com"], "contains spaces"),
        (KEY, ["--base-url", "http://api.example.com"], "set AIWYN_ALLOW_INSECURE_HTTP=true"),
        (KEY, [], "no base_url for the profile; pass --base-url or set AIWYN_BASE_URL"),
        (KEY, ["--profile", ""], "profile must not be empty; name one, or leave it out"),
        (KEY, ["--api-key", KEY], "--api-key"),
    ],
)
async def test_login_refuses_before_anything_is_written(
    text: str, arguments: list[str], message: str, cli: Cli
) -> None:
    without_credentials(cli)
    done = await run_with_input(cli, text, "auth", "login", *arguments)
    assert (done.code, message in done.err) == (2, True), done.err
    assert len(done.err.splitlines()) == 1
    assert not profile_file(cli).exists()


async def test_empty_profile_or_server_is_not_the_configured_one(cli: Cli, box: Sandbox) -> None:
    without_credentials(cli)
    assert (await run_with_input(cli, box.api_key, "auth", "login", "--base-url", box.url)).code == 0
    done = await cli.run("auth", "logout", "--profile", "")
    assert (done.code, "profile must not be empty" in done.err) == (2, True), done.err
    calls = len(box.requests)
    done = await run_with_input(cli, "a-key-of-another-server", "auth", "login", "--base-url", "")
    assert (done.code, "no base_url for the profile" in done.err) == (2, True), done.err
    assert len(box.requests) == calls
    assert box.api_key in profile_file(cli).read_text()


PROFILES = """# of the firm
[profiles.default] # the usual one
base_url = "https://old.example.com"  # comment
token = "old-token-of-this-test"
retries = 5

  [profiles.default.endpoints.clients]
  list_path = "/customers"

[profiles."other one"]
api_key = 'x'
"""


def test_profile_file_changes_only_its_options(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PROFILES)
    (tmp_path / "link.toml").symlink_to(path)
    file = ProfileFile(tmp_path / "link.toml", "default", PROFILES)
    file.write({"base_url": "https://new.example.com", "api_key": 'a"\\key'}, remove={"token"})

    text = path.read_text()
    assert (tmp_path / "link.toml").is_symlink()
    assert "# of the firm\n[profiles.default] # the usual one\n" in text
    content = tomllib.loads(text)["profiles"]
    assert content["default"] == {
        "base_url": "https://new.example.com",
        "api_key": 'a"\\key',
        "retries": 5,
        "endpoints": {"clients": {"list_path": "/customers"}},
    }
    assert content["other one"] == {"api_key": "x"}


@pytest.mark.parametrize(
    "text",
    [
        'profiles.default.api_key = "x"\n',
        '[profiles]\ndefault = {api_key = "x"}\n',
        '[profiles.default]\nproxy = """\napi_key = "x"\n"""\n',
        '[profiles.default]\napi_key = """\nx"""\n',
    ],
)
def test_profile_that_cannot_be_changed_by_line_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"edit the file|cannot read"):
        ProfileFile(path, "default", text).write({"api_key": "y"}, remove=())
    assert path.read_text() == text


async def test_config_shows_value_and_source_of_each_option(cli: Cli, box: Sandbox) -> None:
    profile_file(cli).parent.mkdir(parents=True)
    profile_file(cli).write_text(
        '[profiles.default]\nretries = 7\n[profiles.default.headers]\nX-Trace = "secret-of-a-header"\n'
    )
    env = {"AIWYN_DEADLINE": "90", "AIWYN_PROXY": "http://user:pass-word@proxy.example.com:1"}
    done = await cli.run("config", "show", "--json", **env)
    options = json.loads(done.out)
    assert done.code == 0, done.err
    assert list(options) == list(Config.__struct_fields__)
    profile = f"profile 'default' of {profile_file(cli)}"
    assert options["retries"] == {"value": 7, "source": profile}
    assert options["deadline"] == {"value": 90.0, "source": "AIWYN_DEADLINE"}
    assert options["read_timeout"] == {"value": 30.0, "source": "default"}
    assert options["base_url"] == {"value": box.url, "source": "AIWYN_BASE_URL"}
    assert options["headers"] == {"value": {"X-Trace": "********"}, "source": profile}
    assert options["api_key"] == {"value": "********", "source": "AIWYN_API_KEY"}
    assert options["proxy"]["value"] == "http://********@proxy.example.com:1"
    text = await cli.run("config", "show", **env)
    assert [line.split()[0] for line in text.out.splitlines()] == list(options)
    for secret in (box.api_key, "secret-of-a-header", "pass-word"):
        assert secret not in done.out + done.err + text.out + text.err


@pytest.mark.parametrize("command", [("config", "show", "--json"), ("doctor",)])
async def test_unknown_variables_are_named_without_their_values(command: tuple[str, ...], cli: Cli) -> None:
    env = {"AIWYN_RETRYS": "value-of-it", "AIWYN_HEADERS": "value-of-it", "aiwyn_deadline": "value-of-it"}
    done = await cli.run(*command, **env, AIWYN_CONFIG="", AIWYN_LOG="", AIWYN_PROFILE="")
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if "no option" in line] == [
        "note: AIWYN_HEADERS is set, but no option has this name",
        "note: AIWYN_RETRYS is set, but no option has this name; did you mean AIWYN_RETRIES?",
        "note: aiwyn_deadline is set, but no option has this name; did you mean AIWYN_DEADLINE?",
    ]
    assert "value-of-it" not in done.out + done.err


async def test_config_shows_options_that_the_client_refuses(cli: Cli) -> None:
    env = {"AIWYN_RETRIES": "abc", "AIWYN_CONFIG": "/nowhere/config.toml", "AIWYN_PROXY": "http://u:p/w@h:1"}
    done = await cli.run("config", "show", "--json", **env)
    options = json.loads(done.out)
    assert (done.code, options["retries"]["value"]) == (2, "abc")
    assert options["proxy"]["value"] == "http://********@h:1"
    assert "profile file: /nowhere/config.toml, which does not exist" in done.err
    assert "error: AIWYN_RETRIES: retries: expected a whole number, got str" in done.err
