"""How commands end, by a signal or an error, and what they advise then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiwyn_async._cli.translations import to_flags
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late
from command_line import Cli, is_full, wait_until

LOADING = """
import importlib.abc, os, signal, sys


class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            Dropped()


class Dropped:
    def __del__(self):  # Python prints and ignores what this raises
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))


sys.meta_path.insert(0, Interrupting())
from aiwyn_async.__main__ import main
main()
"""

THREAD_WITHOUT_OWNER = """
import os, queue, signal, sys, threading
from aiwyn_async import _cli
from aiwyn_async._cli import app
from aiwyn_async._cli.termination import termination


def run(arguments):
    termination.begin()
    threading.Thread(target=queue.Queue().get).start()
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))  # before anybody can stop the thread


app._run = run
_cli.SECONDS_FOR_THREADS = 0.1
_cli.main()
"""

SIGNAL_BEFORE_A_THREAD_STARTS = """
import asyncio, os, signal, sys
from aiwyn_async import _cli
from aiwyn_async._cli import app
from aiwyn_async._cli.termination import termination
from aiwyn_async._core.threads import in_thread


def interrupt(frame, event, argument):
    if event == "c_call" and argument.__name__ in {"start_new_thread", "start_joinable_thread"}:
        os.kill(os.getpid(), signal.SIGTERM)


def run(arguments):
    termination.begin()
    sys.setprofile(interrupt)
    asyncio.run(in_thread(dict))


app._run = run
_cli.main()
"""

SIGNAL_AT_EXIT = """
import atexit, os, signal
from aiwyn_async._cli import main

atexit.register(os.kill, os.getpid(), signal.SIGTERM)
main()
"""

EXECUTE = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


async def test_export_continues_with_replace_after_sigterm(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    command = ("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--end-date", "2999-01-01")
    stalled = box.faults.add("invoices.list", nth=30, action="stall")
    process = await cli.start(*command, "--replace")
    manifest = tmp_path / ".x.jsonl.partial" / "manifest.json"
    await wait_until(lambda: stalled.hits > 0 and manifest.exists())

    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()

    assert process.returncode == 143, err
    assert err.splitlines() == [b"terminated; any finished parts are saved; pass --resume to continue"]
    assert not (tmp_path / "x.jsonl").exists()
    box.faults.clear()
    before = box.calls("invoices.list")
    done = await cli.run(*command, "--replace")
    assert done.code == 0, done.err
    ids = [json.loads(line)["id"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 400
    assert box.calls("invoices.list") - before < 35


async def test_second_export_to_a_file_names_the_first_alone(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    command = ("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--end-date", "2999-01-01")
    stalled = box.faults.add("invoices.list", nth=30, times=1, action="stall")
    process = await cli.start(*command)
    await wait_until(lambda: stalled.hits > 0 and (tmp_path / ".x.jsonl.partial" / "manifest.json").exists())
    second = await cli.run(*command, "--replace")
    assert (second.code, second.err.endswith("; wait for it, or use another file name\n")) == (1, True), (
        second.err
    )
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 143


async def test_sigterm_ends_command_that_ignores_ctrl_c(cli: Cli, box: Sandbox) -> None:
    """As one that a shell script runs in the background does."""
    box.faults.add("invoices.search", action="stall")
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {EXECUTE}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", code, "-m", "aiwyn_async", "count", "invoices", "--where", "{}"),
        cwd=cli.folder,
        env=cli.env,
        stderr=subprocess.PIPE,
    )
    await wait_until(lambda: box.calls("invoices.search") > 0)
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert (process.returncode, err) == (143, b"terminated\n")


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (signal.SIGINT, 130, b"interrupted\n"),
        (signal.SIGTERM, 143, b"terminated\n"),
        (signal.SIGHUP, 129, b"hung up\n"),
    ],
)
@pytest.mark.parametrize("command", [("list", "invoices"), ("export", "invoices", "--to", "-", "--quiet")])
async def test_signal_ends_command_that_waits_for_the_reader_of_its_rows(
    command: tuple[str, ...], number: signal.Signals, code: int, text: bytes, cli: Cli
) -> None:
    reader, writer = os.pipe()
    process = await cli.start_into(writer, subprocess.PIPE, *command, TMPDIR=str(cli.folder))
    await wait_until(lambda: is_full(writer))
    process.send_signal(number)
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    os.close(writer)
    os.close(reader)
    assert (process.returncode, err) == (code, text)
    assert not list(cli.folder.glob("aiwyn*"))


@pytest.mark.parametrize("target", ["-", "x.csv"])
async def test_closed_terminal_ends_export_without_temporary_files(
    target: str, cli: Cli, box: Sandbox
) -> None:
    stalled = box.faults.add("invoices.search", nth=3, action="stall")
    terminal, its_end = os.openpty()
    code = f"import fcntl, os, termios; os.setsid(); fcntl.ioctl(2, termios.TIOCSCTTY, 0); {EXECUTE}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", code, "-m", "aiwyn_async", "export", "invoices", "--to", target, "--page-size", "10"),
        cwd=cli.folder,
        env=cli.env | {"TMPDIR": str(cli.folder), "TERM": "xterm"},
        stdout=subprocess.PIPE if target == "-" else its_end,
        stderr=its_end,
    )
    os.close(its_end)
    await wait_until(lambda: stalled.hits > 0)
    os.close(terminal)
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert (process.returncode, out or b"") == (129, b"")
    assert not list(cli.folder.glob("aiwyn*"))


async def test_command_under_nohup_outlives_its_terminal(cli: Cli, box: Sandbox) -> None:
    slow = box.faults.add("invoices.search", nth=3, delay=0.5)
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {EXECUTE}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", code, "-m", "aiwyn_async", "export", "invoices", "--to", "x.csv", "--page-size", "10"),
        cwd=cli.folder,
        env=cli.env,
    )
    await wait_until(lambda: slow.hits > 0)
    process.send_signal(signal.SIGHUP)
    assert await process.wait() == 0
    assert (cli.folder / "x.csv").exists()


async def test_sync_continues_after_sigterm(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=20, action="stall")
    process = await cli.start("sync", "invoices", "--to", "x.duckdb", "--page-size", "10")
    await wait_until(lambda: box.calls("invoices.search") >= 20)
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 143, err
    assert err.splitlines()[-1].startswith(b"terminated; received rows are saved; run the command again")
    box.faults.clear()
    done = await cli.run("sync", "invoices", "--to", "x.duckdb", "--page-size", "10")
    assert done.code == 0, done.err


def test_signal_during_the_start_of_a_thread_ends_the_command() -> None:
    command = [sys.executable, "-c", THREAD_WITHOUT_OWNER, "SIGTERM"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.count("\n")) == (143, 1), done.stderr


@pytest.mark.parametrize(
    ("program", "argument"), [(SIGNAL_BEFORE_A_THREAD_STARTS, "list"), (SIGNAL_AT_EXIT, "--version")]
)
def test_signal_outside_of_the_event_loop_ends_in_one_line(program: str, argument: str) -> None:
    command = [sys.executable, "-c", program, argument]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (143, "terminated\n")


@pytest.mark.parametrize(
    ("module", "name", "code", "text"),
    [
        *(
            (module, "SIGINT", 130, "interrupted\n")
            for module in ("cyclopts", "aiohttp", "aiwyn_async._cli.app")
        ),
        ("aiohttp", "SIGTERM", 143, "terminated\n"),
        ("aiohttp", "SIGHUP", 129, "hung up\n"),
    ],
)
def test_signal_during_import_ends_in_one_line(
    module: str, name: str, code: int, text: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADING, module, name],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (code, text)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 1, "No space left on device"),
        (["export", "invoices", "--to", "x.csv", "--where", "\udcff"], 2, "--where"),
        (["export", "invoices", "--to", "\udcff/x.csv"], 1, "does not exist; create it"),
        (["get", "invoice", "\udcff"], 2, "key"),
    ],
)
async def test_unusual_arguments_and_full_stdout_end_in_one_line(
    arguments: list[str], code: int, text: str, cli: Cli
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await cli.start_into(full, subprocess.PIPE, *arguments)
    os.close(full)
    _, err = await process.communicate()
    assert process.returncode == code, err
    assert text in err.decode()
    assert b"Traceback" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
async def test_result_names_a_path_that_is_not_utf8(suffix: str, cli: Cli, tmp_path: Path) -> None:
    path = f"\udcff{suffix}"
    done = await cli.run("export", "invoices", "--to", path, "--limit", "2", "--json")
    assert (done.code, json.loads(done.out)["path"]) == (0, path), done.err
    assert (tmp_path / path).exists()


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb"])
async def test_path_that_is_not_utf8_is_refused_if_the_format_needs_it(
    suffix: str, cli: Cli, box: Sandbox
) -> None:
    done = await cli.run("export", "invoices", "--to", f"\udcff{suffix}", "--json")
    assert (done.code, json.loads(done.out)["path"]) == (2, None)
    assert f"is not UTF-8, which {suffix} files need" in done.err
    assert box.calls() == 0


async def test_invalid_flag_ends_json_result_too(cli: Cli) -> None:
    done = await cli.run("export", "invoices", "--to", "x.csv", "--json", "--limit", "many")
    assert (done.code, json.loads(done.out)["complete"]) == (2, False)
    assert json.loads(done.out)["error"] == done.err.removeprefix("error: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["export", "invoices", "--to", "x.csv", "--force", "--resume"], "--force and --resume exclude"),
        (["export", "invoices", "--to", "x.csv", "--replace", "--resume"], "--resume and --replace exclude"),
        (
            ["export", "invoices", "--to", "s3://bucket/x.csv"],
            "s3://bucket/x.csv is a URL, and only datasets",
        ),
        (
            ["sync", "invoices", "--to", "s3://bucket/x.duckdb"],
            "s3://bucket/x.duckdb is a URL, and only datasets",
        ),
        # An unset variable of a shell; below the root, all resources would be written.
        (["export", "invoices", "--to", ""], "'' is not a path"),
        (["export", "all", "--to", ""], "'' is not a path"),
        (["export", "all", "--to", "", "--format", "csv"], "'' is not a path"),
        (["sync", "invoices", "--to", ""], "expected a path, got ''"),
        (["sync", "all", "--to", ""], "expected a path, got ''"),
        (["export", "invoices", "--to", "x.csv", "--on-bad-row", "ignore"], "--on-bad-row"),
        (["export", "invoices", "--to", "x.csv", "--ids", "number"], "--ids"),
        (["export", "invoices", "--to", "x.csv", "--round-money", "9.5"], "--round-money"),
        (["export", "invoices", "--to", "x.csv", "--date-columns", "a,,b"], "--date-columns needs names"),
        (["export", "invoices", "--to", "x.csv", "--columns", "id,"], "--columns needs names"),
        (["export", "invoices", "--to", "x.csv", "--columns", "id,odd"], "error: --columns: 'odd' is not a"),
        (
            ["export", "invoices", "--to", "x.csv", "--compression", "gzip"],
            "error: --compression is for .parquet",
        ),
        (["export", "invoices", "--to", "x.parquet", "--compression", "brotli"], "--compression"),
        (["export", "invoices", "--to", "x.parquet", "--row-group-rows", "0"], "--row-group-rows must be"),
        (["export", "invoices", "--to", "x.csv", "--limit", "1.5"], "expected a whole number, got '1.5'"),
        (["export", "invoices", "--to", "x.csv", "--page-size", "99.6"], "expected a whole number"),
        (["sandbox", "--latency", "-1"], "latency"),
        (["sandbox", "--invoices", "1.5"], "expected a whole number"),
        (["count", "contacts", "--where", "{}"], "contacts have no documented search endpoint"),
        (["count", "projects", "--where", "{}"], "projects have no documented search endpoint"),
        (
            ["export", "payments", "--to", "x.csv", "--limit", "5", "--where", "{}"],
            "payments have no documented search endpoint",
        ),
    ],
)
async def test_invalid_arguments_are_refused_before_any_request(
    arguments: list[str], text: str, cli: Cli, box: Sandbox
) -> None:
    done = await cli.run(*arguments)
    assert done.code == 2, done.err
    assert text in done.err
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    assert box.calls() == 0


async def test_network_failure_names_how_to_continue(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    command = ("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--end-date", "2999-01-01")
    failed = await cli.run(*command)
    assert failed.code == 1
    assert failed.err.endswith("; finished parts are saved; pass --resume to continue\n")
    again = await cli.run(*command, "--replace")
    assert again.err.endswith("; finished parts are saved; run the command again to continue\n")
    refused = await cli.run(*command)
    assert "pass --resume to continue it or --force to discard it" in refused.err


async def test_damaged_parts_are_not_called_saved(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    command = ("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--end-date", "2999-01-01")
    await cli.run(*command)
    parts = cli.folder / ".x.jsonl.partial" / "parts"
    parts.write_bytes(parts.read_bytes()[:-1])
    resumed = await cli.run(*command, "--resume")
    assert resumed.code == 1
    assert resumed.err.endswith("parts is missing or damaged; pass --force to start again\n")


async def test_failed_run_prints_json_without_path(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", times=999, status=500)
    for command in (("export", "invoices", "--to", "x.csv"), ("sync", "invoices", "--to", "x.duckdb")):
        done = await cli.run(*command, "--json", AIWYN_RETRIES="0")
        assert done.code != 0
        result = json.loads(done.out)
        assert (result["path"], result["complete"]) == (None, False)
        assert done.err.splitlines()[-1] == f"error: {result['error']}"


async def test_failed_token_exchange_is_reported_once(cli: Cli) -> None:
    done = await cli.run("count", "invoices", AIWYN_BASE_URL="http://127.0.0.1:9")
    assert (done.code, len(done.err.splitlines())) == (7, 1), done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x exists; pass force=True to replace it", "x exists; pass --force to replace it"),
        ('pass on_bad_row="skip" or "collect" to go on', "pass --on-bad-row skip or collect to go on"),
        ("on_bad_row='skip' or 'collect' goes on", "--on-bad-row skip or collect goes on"),
        ('pass ids="text", or extra="json"', "pass --ids text, or --extra-column"),
        ("pass round_money=9 or full=True", "pass --round-money 9 or --full"),
        ('date_columns=("issueDate", "dueDate")', "--date-columns issueDate,dueDate"),
        ("page_size must be between 1 and 1000", "--page-size must be between 1 and 1000"),
        ("columns must be a list", "--columns must be a list"),
        ("rows without a type have no columns: none", "rows without a type have no columns: none"),
        ("overlap must be 0 or more", "--overlap must be 0 or more"),
        ("the ranges of one limit", "the ranges of one limit"),
        ("enforce=True, force=False", "enforce=True, force=False"),
    ],
)
def test_library_messages_are_translated_to_flags(text: str, expected: str) -> None:
    assert to_flags(text) == expected


@pytest.mark.parametrize("target", ["x.jsonl", "x/"])
async def test_failure_before_the_first_part_claims_no_saved_parts(
    target: str, cli: Cli, box: Sandbox
) -> None:
    command = ("export", "invoices", "--to", target)
    assert (await cli.run(*command)).code == 0
    box.faults.add("invoices.search", times=99, status=400)
    failed = await cli.run(*command, "--replace")
    assert failed.code == 1
    assert "saved" not in failed.err


@pytest.mark.parametrize(
    "command",
    [
        ("count", "invoices", "--sandbox", "--sandbox-invoices", "21000"),
        ("sandbox", "--invoices", "21000", "--port", "0"),
    ],
    ids=lambda command: command[0],
)
async def test_sandbox_that_the_disk_refuses_ends_in_one_line(command: tuple[str, ...], cli: Cli) -> None:
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); {EXECUTE}"
    process = await asyncio.create_subprocess_exec(
        # -B: Python would cut off the bytecode that it stores, and could not load it afterwards.
        *(sys.executable, "-c", code, "-B", "-m", "aiwyn_async", *command),
        cwd=cli.folder,
        env=cli.env,
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    last = err.splitlines()[-1]
    assert (process.returncode, last.startswith(b"error: cannot generate the sandbox: ")) == (1, True), err


@pytest.mark.parametrize("content", [b"{", b'{"x":' + b"[" * 100_000])
async def test_damaged_state_of_a_run_over_all_is_named(content: bytes, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "firm").mkdir()
    (tmp_path / "firm" / ".all-dataset.json").write_bytes(content)
    done = await cli.run("export", "all", "--to", "firm/", "--resume")
    assert done.code == 1
    assert done.err.endswith("is damaged; pass --replace to start again\n")
