"""``aiwyn sync`` as a user runs it: exit codes, output and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import Cli


async def test_sync_command_writes_result_to_stderr_and_json_to_stdout(firm: Any, cli: Cli) -> None:
    first = await cli.run("sync", "invoices", "--to", "firm.duckdb")
    assert (first.code, first.out) == (0, ""), first.err
    assert "120 invoices inserted, 0 updated, 0 unchanged in firm.duckdb" in first.err
    firm.box.delete("invoices", firm.ids()[9])
    flags = ("--reconcile-deletes", "--overlap", "0", "--json")
    second = await cli.run("sync", "invoice", "--to", "firm.duckdb", *flags)
    result = json.loads(second.out)
    assert (second.code, result["deleted"], result["complete"]) == (0, 1, True), second.err
    assert (result["rows_received"], result["problems"]) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nothing", "--to", "x.duckdb"], 2, "unknown resource 'nothing'"),
        (["invoices", "--to", "x.duckdb", "--where", "{"], 2, "--where is not valid JSON"),
        (["invoices", "--to", "x.duckdb", "--overlap", "-1"], 2, "--overlap must be"),
        (["invoices", "--to", "nowhere/x.duckdb"], 1, "the folder nowhere does not exist; create it"),
    ],
)
async def test_sync_command_reports_errors_in_one_line(
    arguments: list[str], code: int, text: str, cli: Cli, tmp_path: Path
) -> None:
    done = await cli.run("sync", *arguments)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "x.duckdb").exists()


async def test_sync_command_resumes_after_ctrl_c(
    firm: Any, cli: Cli, path: Path, assert_equals_pull: Callable[[Path], Awaitable[None]]
) -> None:
    firm.box.latency = 0.05
    command = ("sync", "invoices", "--to", path.name, "--page-size", "2")
    process = await cli.start(*command)
    running = asyncio.ensure_future(process.communicate())
    while not (path.exists() or running.done()):
        await asyncio.wait([running], timeout=0.01)
    process.send_signal(signal.SIGINT)
    _, err = await running
    assert process.returncode == 130, err
    assert err.splitlines() == [b"interrupted; received rows are saved; run the command again to continue"]
    assert not path.with_name(f"{path.name}.wal").exists(), "the database was not closed"
    firm.box.latency = 0
    firm.insert(3)
    for _ in range(2):
        done = await cli.run(*command)
        assert done.code == 0, done.err
    await assert_equals_pull(path)
