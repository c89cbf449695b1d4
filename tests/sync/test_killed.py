"""``kill -9`` at random moments while rows change: after another run, the table equals a full pull.

To kill more often: ``pytest tests/sync/test_killed.py --kills 50``.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import Cli
from duckdb_files import query
from killing import kill

COMMAND = ("sync", "invoices", "--page-size", "3", "--json")


def change(firm: Any, rng: random.Random, rows: int) -> None:
    for row_id in rng.sample(firm.ids(), rows):
        firm.update(row_id)
    firm.insert(rows // 2)
    for row_id in rng.sample(firm.ids()[:-1], rows // 4):
        firm.box.delete("invoices", row_id)


@pytest.mark.timeout(900)
async def test_sync_after_random_kills_equals_a_full_pull(
    kills: int, firm: Any, cli: Cli, path: Path, assert_equals_pull: Callable[[Path], Awaitable[None]]
) -> None:
    rng = random.Random(kills)
    firm.insert(300)
    began = time.perf_counter()
    _, err = await (process := await cli.start(*COMMAND, "--to", "other.duckdb")).communicate()
    seconds = time.perf_counter() - began
    assert process.returncode == 0, err
    killed = 0
    while killed < kills:
        change(firm, rng, 60)
        flags = ["--reconcile-deletes"] if killed % 2 else []
        process = await cli.start(*COMMAND, "--to", path.name, *flags)
        running = asyncio.ensure_future(process.communicate())
        await asyncio.wait([running], timeout=rng.uniform(seconds / 4, seconds))
        change(firm, rng, 20)
        if not running.done():
            kill(process)
            killed += 1
        _, err = await running
        assert process.returncode in {0, -9}, err
        if killed % 10 == 9 and rng.random() < 0.5:
            path.unlink(missing_ok=True)  # so that first runs are killed too
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    # The first run finishes an interrupted read, within the bounds of that read.
    first, second = [await cli.run(*COMMAND, "--to", path.name, "--reconcile-deletes") for _ in range(2)]
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert json.loads(second.out)["complete"]
    await assert_equals_pull(path)
    assert query(path, "SELECT checkpoint FROM _aiwyn_sync") == [(None,)]
    assert path.stat().st_mode & 0o777 == 0o600
