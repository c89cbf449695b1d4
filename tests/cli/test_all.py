"""Every resource with one command: order, summary, what stops a run, and how it continues."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._cli.all_resources import Outcome, run_all
from aiwyn_async._cli.resources import RESOURCES
from aiwyn_async.errors import DecodeError
from aiwyn_async.export import read_manifest
from aiwyn_async.sandbox import Sandbox
from command_line import Cli, Done, wait_until
from duckdb_files import query

NAMES = list(RESOURCES)
CLIENT = AiwynClient(base_url="http://127.0.0.1:9", api_key="key")
"""Sends nothing; it knows which resources have a search."""
EXPORT = ("export", "all", "--to", "firm/", "--page-size", "10")
FAST = {"AIWYN_RETRIES": "0"}
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
# -B: Python would cut off the bytecode that it stores, and could not load it afterwards.
os.execv(sys.executable, [sys.executable, "-B", "-m", "aiwyn_async", *sys.argv[1:]])
"""


def states(done: Done) -> dict[str, str]:
    """The summary: the rows and the state of each resource."""
    lines = done.err.splitlines()
    start = next(number for number, line in enumerate(lines) if line.split() == ["resource", "rows", "state"])
    rows = [line.split(maxsplit=1) for line in lines[start + 1 :]]
    return {name: " ".join(rest.split()) for name, rest in rows if name in RESOURCES}


def routes(name: str) -> list[str]:
    """The list of a resource in the sandbox, and its search if it has one."""
    route = {"draft_invoices": "draft_invoice_histories"}.get(name, name)
    verbs = ["list", "search"] if hasattr(getattr(CLIENT, name), "search") else ["list"]
    return [f"{route}.{verb}" for verb in verbs]


def calls(box: Sandbox, name: str) -> int:
    return sum(map(box.calls, routes(name)))


def fail(box: Sandbox, name: str, **fault: Any) -> None:
    for route in routes(name):
        box.faults.add(route, times=999, **fault)


def test_resources_are_in_the_order_of_their_foreign_keys() -> None:
    for number, name in enumerate(NAMES):
        collection: Any = getattr(CLIENT, name)
        for row_type in (collection.row_type, collection.hit_type):
            for field in msgspec.structs.fields(row_type):
                target = {"staff": "staff", "job": "projects"} | {RESOURCES[each]: each for each in NAMES}
                referred = target.get(field.name.removesuffix("_id").removeprefix("partner_"))
                if field.name.endswith("_id") and referred is not None:
                    assert NAMES.index(referred) < number, (name, field.name)


async def test_export_all_writes_a_dataset_of_each_resource(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    done = await cli.run(*EXPORT, "--json")
    assert done.code == 0, done.err
    results = {each["resource"]: each for each in json.loads(done.out)}
    assert list(results) == NAMES
    for name in NAMES:
        manifest = read_manifest(tmp_path / "firm" / name)
        assert manifest.rows == results[name]["rows"] > 0
        assert (results[name]["state"], results[name]["complete"]) == ("complete", True)
        assert states(done)[name] == f"{manifest.rows:,} complete"
    assert results["invoices"]["rows"] == 400
    before = box.calls()
    refused = await cli.run(*EXPORT)
    assert (refused.code, box.calls()) == (1, before)
    assert "firm/ already has staff, clients" in refused.err
    assert "pass --resume to continue" in refused.err
    again = await cli.run(*EXPORT, "--resume")
    assert (again.code, states(again), box.calls()) == (0, states(done), before)


async def test_export_all_names_resources_that_fail_and_resumes_them(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    fail(box, "contacts", status=403)
    fail(box, "projects", status=404)
    fail(box, "invoices", status=500, nth=20)
    done = await cli.run(*EXPORT, "--json", **FAST)
    assert done.code == 5, done.err
    result = states(done)
    assert (result["contacts"], result["projects"]) == ("- refused 403", "- not found 404")
    assert result["invoices"] in {"- failed", "- incomplete"}
    assert [each["state"] for each in json.loads(done.out)] == [
        result[name].split(maxsplit=1)[1] for name in NAMES
    ]
    complete = [name for name in NAMES if result[name].endswith("complete") and result[name][0] != "-"]
    assert len(complete) == len(NAMES) - 3
    assert "error: contacts: " in done.err
    last = done.err.splitlines()[-1]
    assert last == f"{len(NAMES) - 3} of {len(NAMES)} resources are complete; pass --resume to continue"

    box.faults.clear()
    before = {name: calls(box, name) for name in NAMES}
    again = await cli.run(*EXPORT, "--resume", "--json")
    assert again.code == 0, again.err
    assert {each["state"] for each in json.loads(again.out)} == {"complete"}
    requested = {name for name in NAMES if calls(box, name) > before[name]}
    assert requested == {"contacts", "projects", "invoices"}
    assert read_manifest(tmp_path / "firm" / "invoices").rows == 400


@pytest.mark.parametrize("status", [401, 403, 405, 501])
async def test_export_all_names_a_refused_resource(status: int, cli: Cli, box: Sandbox) -> None:
    fail(box, "staff", status=status)
    done = await cli.run("export", "all", "--to", "firm/", **FAST)
    assert (done.code, states(done)["staff"]) == (5, f"- refused {status}"), done.err
    assert sum(state.endswith(" complete") for state in states(done).values()) == len(NAMES) - 1


@pytest.mark.parametrize("route", ["auth.token", "*"])
async def test_refused_token_stops_the_run(route: str, cli: Cli, box: Sandbox) -> None:
    box.faults.add(route, times=999, status=401)
    done = await cli.run(*EXPORT, "--json", **FAST)
    assert done.code == 3, done.err
    assert set(states(done).values()) == {"- not started"} | {states(done)["staff"]}
    assert {each["complete"] for each in json.loads(done.out)} == {False}
    last = done.err.splitlines()[-1]
    assert last.startswith(f"stopped: 0 of {len(NAMES)} resources are complete; pass --resume")


async def test_expired_token_stops_the_run_after_finished_resources(cli: Cli, box: Sandbox) -> None:
    """A token from the environment cannot be renewed."""
    async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        await aiwyn.invoices.list().first()
        assert aiwyn._session.tokens is not None  # pyright: ignore[reportPrivateUsage]
        token = await aiwyn._session.tokens.bearer()  # pyright: ignore[reportPrivateUsage]
    for name in NAMES:
        fail(box, name, status=401, nth=1 if name not in {"staff", "clients"} else 50)
    for name in ("staff", "clients"):
        box.faults.add(f"{name}.list", times=999, status=401)  # which the pull does not request
    env = {name: value for name, value in cli.env.items() if name != "AIWYN_API_KEY"}
    cli.env = env | {"AIWYN_TOKEN": token.reveal()}
    done = await cli.run("export", "all", "--to", "firm/", **FAST)
    assert done.code == 3, done.err
    result = states(done)
    assert [result[name].split(maxsplit=1)[1] for name in NAMES[:4]] == [
        *("complete", "complete", "refused 401", "not started")
    ]
    last = done.err.splitlines()[-1]
    assert last == f"stopped: 2 of {len(NAMES)} resources are complete; pass --resume to continue"


async def test_same_failure_of_all_resources_sets_its_exit_code(cli: Cli, box: Sandbox) -> None:
    for name in NAMES:
        fail(box, name, status=403)
    done = await cli.run("export", "all", "--to", "firm/", **FAST)
    assert (done.code, set(states(done).values())) == (3, {"- refused 403"}), done.err


async def test_full_disk_stops_the_run(cli: Cli, tmp_path: Path) -> None:
    """A limit on the size of files, which fails like a full disk."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LIMITED, *EXPORT, "--format", "csv"),
        cwd=cli.folder,
        env=cli.env,
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    done = Done(process.returncode or 0, b"", err)
    assert done.code == 1, done.err
    result = states(done)
    assert (result["clients"].split()[1], result["wip"], result["payments"]) == (
        *("complete", "- failed", "- not started"),
    )
    assert "error: wip: cannot write " in done.err
    last = done.err.splitlines()[-1]
    assert (
        last
        == f"stopped: {NAMES.index('wip')} of {len(NAMES)} resources are complete; pass --resume to continue"
    )
    again = await cli.run(*EXPORT, "--format", "csv", "--resume")
    assert again.code == 0, again.err
    assert (tmp_path / "firm" / "payments.csv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_run_names_finished_resources_and_resumes(
    number: signal.Signals, cli: Cli, box: Sandbox
) -> None:
    stalled = box.faults.add("invoices.search", nth=20, action="stall")
    process = await cli.start(*EXPORT, "--json")
    await wait_until(lambda: stalled.hits > 0)
    process.send_signal(number)
    out, err = await process.communicate()
    done = Done(process.returncode or 0, out, err)
    word, code = ("interrupted", 130) if number == signal.SIGINT else ("terminated", 143)
    assert done.code == code, done.err
    result = states(done)
    assert (result["wip"].split()[1], result["invoices"], result["payments"]) == (
        *("complete", "- interrupted", "- not started"),
    )
    assert done.err.splitlines()[-1] == f"{word}; any finished parts are saved; pass --resume to continue"
    assert [each["state"] for each in json.loads(done.out)][-1] == "not started"
    box.faults.clear()
    before = {name: calls(box, name) for name in NAMES}
    again = await cli.run(*EXPORT, "--resume")
    assert again.code == 0, again.err
    requested = {name for name in NAMES if calls(box, name) > before[name]}
    assert requested == set(NAMES[NAMES.index("invoices") :])


async def test_signal_ends_the_run_although_a_received_row_does_not_decode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rows that were received before the signal are decoded after it."""
    is_reading = asyncio.Event()

    async def read(_name: str, _progress: object) -> Outcome:
        if not is_reading.is_set():
            is_reading.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        raise DecodeError("cannot decode row 1")

    run = asyncio.create_task(run_all(CLIENT, NAMES, read, advice="", json=False))
    await is_reading.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    result = states(Done(0, b"", capsys.readouterr().err.encode()))
    assert list(result.values()) == ["- failed", *["- not started"] * (len(NAMES) - 1)]


async def test_resume_of_a_replacing_run_reads_what_that_run_did_not(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    """The datasets of the run before are finished too, and stale."""
    assert (await cli.run(*EXPORT, "--replace")).code == 0
    box.insert("payments", {}, count=1)
    box.insert("staff", {}, count=1)
    fail(box, "projects", status=500)
    stalled = box.faults.add("wip.search", action="stall")
    process = await cli.start(*EXPORT, "--replace", **FAST)
    await wait_until(lambda: stalled.hits > 0)
    process.kill()
    await process.communicate()
    box.faults.clear()
    before = {name: calls(box, name) for name in NAMES}
    done = await cli.run(*EXPORT, "--resume", "--json")
    assert done.code == 0, done.err
    rows = {each["resource"]: each["rows"] for each in json.loads(done.out)}
    for name in ("payments", "staff"):
        assert read_manifest(tmp_path / "firm" / name).rows == rows[name]
        assert rows[name] == box.scalar(f"SELECT count(*) FROM {name}")
    requested = {name for name in NAMES if calls(box, name) > before[name]}
    assert requested == {"projects", *NAMES[NAMES.index("wip") :]}


async def test_second_run_into_a_folder_is_refused(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    """It would replace the list of the resources that the first one finished."""
    assert (await cli.run(*EXPORT)).code == 0
    stalled = box.faults.add("clients.search", action="stall")
    process = await cli.start(*EXPORT, "--replace")
    await wait_until(lambda: stalled.hits > 0)
    state = (tmp_path / "firm/.all-dataset.json").read_bytes()
    before = box.calls()
    for flag in ("--resume", "--replace"):
        refused = await cli.run(*EXPORT, flag)
        assert (refused.code, box.calls()) == (1, before), refused.err
        assert "another export of all resources is writing into firm" in refused.err
    assert (tmp_path / "firm/.all-dataset.json").read_bytes() == state
    process.kill()
    await process.communicate()
    box.faults.clear()
    assert (await cli.run(*EXPORT, "--resume")).code == 0


async def test_state_that_a_kill_left_half_written_is_removed(cli: Cli, tmp_path: Path) -> None:
    left = tmp_path / "firm/..all-jsonl.json.abcdefgh"
    left.parent.mkdir()
    left.write_bytes(b"{")
    done = await cli.run("export", "all", "--to", "firm/", "--format", "jsonl", "--replace")
    assert (done.code, left.exists()) == (0, False), done.err


@pytest.mark.parametrize("file_format", ["parquet", "csv", "jsonl"])
async def test_export_all_writes_a_file_of_each_resource(
    file_format: str, cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    command = ("export", "all", "--to", "out", "--format", file_format)
    done = await cli.run(*command)
    assert done.code == 0, done.err
    for name in NAMES:
        assert (tmp_path / "out" / f"{name}.{file_format}").stat().st_mode & 0o777 == 0o600
    before = box.calls()
    assert (await cli.run(*command, "--resume")).code == 0
    assert box.calls() == before


async def test_options_for_columns_and_bad_rows_apply_to_all(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    def spoil(body: bytes) -> bytes:
        response = json.loads(body)
        response["deid_invoice"][0]["totalAmount"] = "a lot"
        return json.dumps(response).encode()

    box.faults.add("invoices.search", every=1, mutate=spoil)
    options = ("--on-bad-row", "skip", "--date-columns", "dueDate,createdAt", "--extra-column")
    done = await cli.run("export", "all", "--to", "firm/", "--format", "csv", *options)
    assert done.code == 5, done.err
    result = states(done)
    assert {state.split()[-1] for name, state in result.items() if name != "invoices"} == {"complete"}
    assert result["invoices"].endswith(" incomplete")
    assert "invoices: not proven complete: " in done.err
    assert done.err.splitlines()[-1] == f"{len(NAMES) - 1} of {len(NAMES)} resources are complete"
    assert (tmp_path / "firm" / "invoices.csv.bad.jsonl").exists()
    header, row = (tmp_path / "firm" / "payments.csv").read_text().splitlines()[:2]
    created = row.split(",")[header.split(",").index("createdAt")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", created)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--where", "{}"], "--where is for one resource"),
        (["--status", "PAID"], "--status is for one resource"),
        (["--client-id", "1"], "--client-id is for one resource"),
        (["--start-date", "2024-01-01"], "--start-date is for one resource"),
        (["--limit", "5"], "--limit is for one resource"),
        (["--columns", "id"], "--columns is for one resource"),
        (["--partition-by", "status"], "--partition-by is for one resource"),
        (["--date-columns", "odd"], "--date-columns: no resource has a date or time column 'odd'"),
        (["--format", "jsonl", "--date-columns", "dueDate"], "JSONL stores each row"),
        (["--format", "xlsx"], "--format"),
        (["--force", "--resume"], "exclude each other"),
        (["--keep", "0"], "keep must be"),
        (["--page-size", "1001"], "--page-size must be"),
    ],
)
async def test_unsuitable_options_are_refused_before_any_request(
    arguments: list[str], text: str, cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    done = await cli.run("export", "all", "--to", "firm/", *arguments)
    assert (done.code, box.calls()) == (2, 0), done.err
    assert text in done.err
    assert "not started" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["export", "all", "--to", "firm.duckdb"], 2, "use aiwyn sync all"),
        (["export", "all", "--to", "missing/firm/"], 1, "the folder missing does not exist; create it"),
        (["export", "invoices", "--to", "x.csv", "--format", "csv"], 2, "--format is for all resources"),
        (["sync", "all", "--to", "firm.duckdb", "--where", "{}"], 2, "--where is for one resource"),
        (["count", "all"], 2, "unknown resource 'all'"),
    ],
)
async def test_unsuitable_targets_are_refused_before_any_request(
    arguments: list[str], code: int, text: str, cli: Cli, box: Sandbox
) -> None:
    done = await cli.run(*arguments)
    assert (done.code, box.calls()) == (code, 0), done.err
    assert text in done.err


async def test_sync_all_updates_a_table_of_each_resource(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    fail(box, "contacts", status=403)
    command = ("sync", "all", "--to", "firm.duckdb", "--json")
    done = await cli.run(*command, **FAST)
    assert (done.code, states(done)["contacts"]) == (5, "- refused 403"), done.err
    assert "note: draft_invoices are not synced: draft_invoices have no key" in done.err
    last = done.err.splitlines()[-1]
    assert (
        last
        == f"{len(NAMES) - 2} of {len(NAMES) - 1} resources are complete; run the command again to continue"
    )
    box.faults.clear()
    box.insert("payments", {}, count=2)
    done = await cli.run(*command)
    assert done.code == 0, done.err
    results = {each["resource"]: each for each in json.loads(done.out)}
    assert list(results) == [name for name in NAMES if name != "draft_invoices"]
    assert (results["payments"]["inserted"], results["invoices"]["inserted"]) == (2, 0)
    for name in results:
        rows = query(tmp_path / "firm.duckdb", f"SELECT count(*) FROM {name}")
        assert rows[0][0] > 0


async def test_database_in_use_stops_a_sync_of_all(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "firm.duckdb")) as other:
        other.execute("CREATE TABLE other (id INTEGER)")
        done = await cli.run("sync", "all", "--to", "firm.duckdb")
    assert (done.code, box.calls()) == (1, 0), done.err
    assert set(states(done).values()) == {"- failed", "- not started"}
    assert done.err.splitlines()[-1].startswith(
        f"stopped: 0 of {len(NAMES) - 1} resources are complete; run the command again"
    )


@pytest.mark.parametrize("content", ["text", "encrypted", "folder"])
async def test_file_that_sync_cannot_open_stops_a_sync_of_all(
    content: str, cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    if content == "text":
        path.write_text("no database")
    elif content == "folder":
        path.mkdir()
    else:
        with duckdb.connect() as other:
            other.execute("SET force_mbedtls_unsafe = 'true'")
            other.execute(f"ATTACH '{path}' AS firm (ENCRYPTION_KEY 'key')")
            other.execute("CREATE TABLE firm.other (id INTEGER)")
    done = await cli.run("sync", "all", "--to", "firm.duckdb")
    assert (done.code, box.calls()) == (1, 0), done.err
    assert done.err.count("error: ") == 1
    assert set(states(done).values()) == {"- failed", "- not started"}
    assert f"stopped: 0 of {len(NAMES) - 1} resources are complete" in done.err


async def test_table_that_sync_refuses_does_not_stop_the_others(cli: Cli, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "firm.duckdb")) as other:
        other.execute("CREATE TABLE contacts (id INTEGER)")
    done = await cli.run("sync", "all", "--to", "firm.duckdb")
    assert (done.code, states(done)["contacts"]) == (5, "- failed"), done.err
    assert sum(state.endswith(" complete") for state in states(done).values()) == len(NAMES) - 2


async def test_constraint_of_one_table_does_not_stop_the_others(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    command = ("sync", "all", "--to", "firm.duckdb")
    assert (await cli.run(*command)).code == 0
    with duckdb.connect(str(tmp_path / "firm.duckdb")) as other:
        other.execute('CREATE UNIQUE INDEX own ON invoices ("invoiceNumber")')
        row = other.execute('SELECT "invoiceNumber" FROM invoices').fetchone()
    assert row is not None
    box.insert("invoices", {"invoiceNumber": row[0]})
    done = await cli.run(*command)
    assert (done.code, states(done)["invoices"]) == (5, "- failed"), done.err
    assert "violates unique constraint" in done.err
    assert sum(state.endswith(" complete") for state in states(done).values()) == len(NAMES) - 2


@pytest.mark.parametrize("columns", [100, 60])
async def test_summary_and_bars_fit_the_terminal(columns: int, cli: Cli, box: Sandbox) -> None:
    fail(box, "contacts", status=403)
    screen = await run_in_terminal(cli, columns, *EXPORT)
    assert "\x1b[?25l" in screen  # bars were drawn
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    lines = [line for text in plain.split("\n") for line in text.split("\r")]
    assert max(len(line) for line in lines if not line.startswith("note: ")) <= columns
    summary = plain[plain.rindex("resource  ") :]
    assert re.search(r"^contacts +- +refused 403\r$", summary, re.MULTILINE)
    assert re.search(r"^payments +\d+ +complete\r$", summary, re.MULTILINE)
    bars = [line for line in lines if line.startswith("draft_invoices ")]
    assert any("waiting" in line for line in bars)
    assert any("rows, complete" in line for line in bars)


async def run_in_terminal(cli: Cli, columns: int, *arguments: str) -> str:
    """Return what a command writes to a terminal."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = await cli.start_into(subprocess.DEVNULL, terminal, *arguments, TERM="xterm", **FAST)
    os.close(terminal)
    received = await asyncio.to_thread(read_all, controller)
    await process.wait()
    return received.decode()


def read_all(handle: int) -> bytes:
    received = b""
    try:
        while piece := os.read(handle, 65536):
            received += piece
    except OSError:  # the other end is closed
        pass
    os.close(handle)
    return received
