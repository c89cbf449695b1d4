"""``aiwyn sync`` as a user runs it: exit codes, what goes where, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest


async def run(
    firm: Any, folder: Path, *arguments: str, interrupt_when: Path | None = None
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "aiwyn_async", "sync", *arguments),
        cwd=folder,
        env={
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(folder),
            "AIWYN_BASE_URL": firm.box.url,
            "AIWYN_API_KEY": firm.box.api_key,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running = asyncio.ensure_future(process.communicate())
    while interrupt_when is not None and not running.done():
        await asyncio.wait([running], timeout=0.01)
        if interrupt_when.exists():
            process.send_signal(signal.SIGINT)
            break
    out, err = await running
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_sync_command_writes_result_to_stderr_and_json_to_stdout(firm: Any, tmp_path: Path) -> None:
    code, out, err = await run(firm, tmp_path, "invoices", "--to", "firm.duckdb")
    assert (code, out) == (0, ""), err
    assert "120 invoices inserted, 0 updated, 0 unchanged in firm.duckdb" in err
    gone = firm.ids()[9]
    firm.box.delete("invoices", gone)
    code, out, err = await run(
        firm, tmp_path, "invoice", "--to", "firm.duckdb", "--reconcile-deletes", "--overlap", "0", "--json"
    )
    told = json.loads(out)
    assert (code, told["deleted"], told["complete"], told["rows_received"]) == (0, 1, True, 1), err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nothing", "--to", "x.duckdb"], 2, "unknown resource 'nothing'"),
        (["invoices", "--to", "x.duckdb", "--where", "{"], 2, "--where is not valid JSON"),
        (["invoices", "--to", "x.duckdb", "--overlap", "-1"], 2, "--overlap must"),
        (["invoices", "--to", "nowhere/x.duckdb"], 1, "folder nowhere does not exist; create it first"),
    ],
)
async def test_sync_command_reports_errors_in_one_line(
    arguments: list[str], code: int, told: str, firm: Any, tmp_path: Path
) -> None:
    found, out, err = await run(firm, tmp_path, *arguments)
    assert (found, out) == (code, "")
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "x.duckdb").exists()


async def test_sync_command_resumes_after_ctrl_c(
    firm: Any, same: Callable[[Path], Awaitable[None]], tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    firm.box.latency = 0.05
    arguments = ("invoices", "--to", path.name, "--page-size", "2")
    code, _, err = await run(firm, tmp_path, *arguments, interrupt_when=path)
    assert code == 130, err
    assert err.splitlines()[-1] == "interrupted; received rows are kept; run the command again to continue"
    assert "Traceback" not in err
    assert not path.with_name(f"{path.name}.wal").exists(), "it was closed in good order"
    firm.box.latency = 0
    firm.insert(3)
    for _ in range(2):
        code, _, err = await run(firm, tmp_path, *arguments)
        assert code == 0, err
    await same(path)
