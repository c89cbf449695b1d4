"""Help, shell completion, and how much a command writes to stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiwyn_async import _cli
from aiwyn_async._version import __version__
from aiwyn_async.sandbox import Sandbox
from command_line import Cli
from terminal import run_on_terminal
from tools.write_help import help_page, help_pages

LOADED = """
import sys
from aiwyn_async._cli import main
try:
    main()
finally:
    names = {"aiohttp", "asyncio", "cyclopts", "msgspec", "rich"}
    print(sorted(names & set(sys.modules)), file=sys.stderr)
"""


async def test_stored_help_is_what_the_application_prints(cli: Cli) -> None:
    page = help_page(_cli.HELP_WIDTH)
    for arguments in ([], ["--help"], ["-h"]):
        done = await cli.run(*arguments)
        assert (done.code, done.out, done.err) == (0, page, ""), "run: python tools/write_help.py"
    for words in help_pages():
        stored = Path(_cli.stored_page(words)).read_text(encoding="utf-8")
        assert stored == help_page(_cli.HELP_WIDTH, words), "run: python tools/write_help.py"
    # With another option or a narrow terminal, the application prints it.
    shown = (await cli.run("--help", "--quiet")).out
    assert [line.rstrip() for line in shown.splitlines()] == page.splitlines()
    narrow = (await cli.run("--help", COLUMNS="60")).out
    assert max(map(len, narrow.splitlines())) == 60
    assert "Write records from a JSONL file." in narrow


@pytest.mark.parametrize("arguments", ["--version", "", *(f"{' '.join(words)} -h" for words in help_pages())])
def test_help_and_version_load_no_dependency(arguments: str) -> None:
    command = [sys.executable, "-c", LOADED, *arguments.split()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert arguments != "--version" or done.stdout == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [["aiwyn"], ["nonsense"], ["../help/aiwyn"], ["auth-login"], ["LIST"]])
async def test_help_of_an_unknown_command_is_that_of_the_application(arguments: list[str], cli: Cli) -> None:
    done = await cli.run(*arguments, "--help")
    assert "Usage: aiwyn COMMAND" in done.out


async def test_help_after_the_values_of_a_command_is_that_of_the_command(cli: Cli) -> None:
    done = await cli.run("list", "invoices", "--help")
    assert (done.code, "Usage: aiwyn list" in done.out) == (0, True)


@pytest.mark.parametrize(
    "command", ["list", "search", "get", "count", "export", "sync", "upsert", "sandbox", "doctor"]
)
def test_help_of_a_command_describes_it(command: str) -> None:
    summary = next(line for line in help_page(200).splitlines() if line.startswith(f"│ {command} "))
    assert summary.strip("│ ").removeprefix(command).strip()


async def test_help_of_a_group_describes_its_commands(cli: Cli) -> None:
    for arguments in (["auth"], ["auth", "--help"], ["--quiet", "auth"]):
        done = await cli.run(*arguments)
        assert (done.code, "Remove the credentials of a profile." in done.out) == (0, True)
    assert "value and its source" in (await cli.run("config")).out


async def test_reader_that_exits_ends_help_quietly(cli: Cli) -> None:
    for arguments in (["--help"], ["export", "--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        process = await cli.start_into(writer, subprocess.PIPE, *arguments)
        os.close(writer)
        _, err = await process.communicate()
        assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_knows_commands_and_flags(shell: str, cli: Cli) -> None:
    done = await cli.run("--install-completion", "--shell", shell, "--output", "completion")
    assert (done.code, done.err) == (0, "")
    script = (cli.folder / "completion").read_text()
    for word in ("search", "columns", "login", "on-bad-row", "quiet"):
        assert word in script
    if shell == "bash":
        complete = (
            f"source {cli.folder / 'completion'}; COMP_WORDS=(aiwyn export --on-bad-row ''); COMP_CWORD=3; "
            '_aiwyn; echo "${COMPREPLY[@]}"'
        )
        shown = subprocess.run(["bash", "-c", complete], check=True, capture_output=True, text=True)
        assert shown.stdout.split() == ["raise", "skip", "collect"]


async def test_quiet_command_writes_only_errors(cli: Cli, box: Sandbox) -> None:
    assert (await cli.run("list", "staff", "--quiet")).err == ""
    assert (await cli.run("--quiet", "export", "invoices", "--to", "x.csv")).err == ""
    code, shown = await run_on_terminal(cli, "export", "invoices", "--to", "y.csv", "--quiet")
    assert (code, shown) == (0, "")
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"count":400', b'"count":500'))
    incomplete = await cli.run("--quiet", "export", "invoices", "--to", "z.csv", "--end-date", "2999-01-01")
    assert (incomplete.code, len(incomplete.err.splitlines())) == (5, 1)
    refused = await cli.run("count", "nothing", "--quiet")
    assert refused.err.startswith("error: unknown resource 'nothing'")


async def test_verbose_command_logs_requests(cli: Cli, box: Sandbox) -> None:
    for arguments in (["count", "clients", "--verbose"], ["--verbose", "count", "clients"]):
        done = await cli.run(*arguments)
        assert done.code == 0
        lines = [line.split()[:4] for line in done.err.splitlines()]
        assert lines == [
            ["debug:", "POST", "/v1/auth/token:", "attempt"],
            ["info:", "POST", "/v1/auth/token:", "200"],
            ["debug:", "POST", "/gql/v1/clients:", "attempt"],
            ["info:", "POST", "/gql/v1/clients:", "200"],
        ]
        assert box.api_key not in done.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["exprot"], 'error: Unknown command "exprot". Did you mean "export"?'),
        (
            ["export", "invoices"],
            'error: Command "export" parameter --to requires an argument (see aiwyn export --help)',
        ),
        (["export", "invoices", "x.csv"], "error: unexpected argument 'x.csv'; --to is missing (see aiwyn"),
        (["upsert", "r.jsonl"], "error: unexpected argument 'r.jsonl'; --file is missing (see aiwyn upsert"),
        (["count", "invoices", "--wher", "{}"], "error: Unknown option: --wher. Did you mean --where?"),
        (["list", "invoices", "--profile", "b"], "error: unknown option '--profile'; set AIWYN_PROFILE"),
        (["--profile=b", "count", "staff"], "error: unknown option '--profile'; set AIWYN_PROFILE"),
        (["get", "staff", "--profile", "b"], "error: unknown option '--profile'; set AIWYN_PROFILE"),
        (
            ["list", "invoices", "--where", "{}"],
            "error: unknown option '--where'; a condition is for search,",
        ),
        (["auth", "login", "key"], "error: unexpected argument 'key' (see aiwyn auth login --help)"),
        (
            ["--limit", "3", "list", "staff"],
            "error: unknown option '--limit' before the command; options follow",
        ),
        (["sync", "invoices", "--to", ""], "error: Invalid value for --to: expected a path, got ''"),
        (["mcp", "--export-folder", ""], "error: Invalid value for --export-folder: expected a path, got ''"),
        (["upsert", "--file", ""], "error: Invalid value for --file: expected a path, got ''"),
        (["count", "invoices", "a\nb\x1b[2J"], "error: unexpected argument"),
        (["get", "invoice"], "error: "),
        (
            ["list", "invoices", "--limit", "many"],
            "error: Invalid value for --limit: expected a whole number",
        ),
    ],
)
async def test_usage_error_is_one_line(arguments: list[str], text: str, cli: Cli) -> None:
    done = await cli.run(*arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1), done.err
    assert done.err.startswith(text)
    assert "\x1b" not in done.err


async def test_delimiter_ends_the_options(cli: Cli) -> None:
    done = await cli.run("get", "invoice", "--", "--quiet")
    assert "/gql/v1/invoice/--quiet" in done.err
