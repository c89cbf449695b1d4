"""kill -9 at any moment while the firm is at work: run again, the table equals a full pull.

More kills than the few of a usual run: ``pytest tests/sync/test_killed.py --kills 50``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from killing import kill


async def start(firm: Any, path: Path, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "aiwyn_async", "sync", "invoices", "--to", path.name),
        *("--page-size", "3", "--json", *flags),
        cwd=path.parent,
        env={
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(path.parent),
            "AIWYN_BASE_URL": firm.box.url,
            "AIWYN_API_KEY": firm.box.api_key,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def finish(firm: Any, path: Path) -> bytes:
    """What the command tells on stdout."""
    process = await start(firm, path, "--reconcile-deletes")
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out


def change(firm: Any, dice: random.Random, rows: int) -> None:
    for row_id in dice.sample(firm.ids(), rows):
        firm.update(row_id)
    firm.insert(rows // 2)
    for row_id in dice.sample(firm.ids()[:-1], rows // 4):
        firm.box.delete("invoices", row_id)


@pytest.mark.timeout(900)
async def test_sync_after_random_kills_equals_a_full_pull(
    kills: int,
    firm: Any,
    same: Callable[[Path], Awaitable[None]],
    tmp_path: Path,
) -> None:
    dice, path = random.Random(kills), tmp_path / "firm.duckdb"
    firm.insert(300)
    began = time.perf_counter()
    _, err = await (process := await start(firm, tmp_path / "other.duckdb")).communicate()
    seconds = time.perf_counter() - began
    assert process.returncode == 0, err
    done = 0
    while done < kills:
        change(firm, dice, 60)
        process = await start(firm, path, *(["--reconcile-deletes"] if done % 2 else []))
        running = asyncio.ensure_future(process.communicate())
        await asyncio.wait([running], timeout=dice.uniform(seconds / 4, seconds))
        change(firm, dice, 20)
        if not running.done():
            kill(process)
            done += 1
        _, err = await running
        assert process.returncode in {0, -9}, err
        if done % 10 == 9 and dice.random() < 0.5:
            path.unlink(missing_ok=True)  # so that first runs are killed too
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    await finish(firm, path)  # what was begun, in the bounds it had
    assert json.loads(await finish(firm, path))["complete"]
    await same(path)
    with duckdb.connect(str(path), read_only=True) as file:
        assert file.execute("SELECT checkpoint FROM _aiwyn_sync").fetchall() == [(None,)]
    assert path.stat().st_mode & 0o777 == 0o600
