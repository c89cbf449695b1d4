"""kill -9 at any moment: no file bears the name unless it is whole; resumed, it has every row once.

More kills than the few of a usual run: ``pytest tests/export/test_killed.py --kills 50``.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from aiwyn_async.sandbox import Sandbox
from killing import kill

INVOICES = 3000
PAGE_SIZE = 20


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=INVOICES, seed=5) as sandbox:
        yield sandbox


async def start(box: Sandbox, target: Path, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "aiwyn_async.cli", "export", "invoices", "--to", target.name),
        *("--page-size", str(PAGE_SIZE), *flags),
        cwd=target.parent,
        env={
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(target.parent),
            "AIWYN_BASE_URL": box.url,
            "AIWYN_API_KEY": box.api_key,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def content_of(path: Path) -> Any:
    """The bytes; of formats that hold more than rows, the table in the order of the file."""
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as file:
            return file.sql("SELECT * FROM invoices ORDER BY rowid").to_arrow_table()
    return path.read_bytes()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("suffix", "flags"),
    [(".jsonl", ()), (".csv", ()), (".csv", ("--processes", "2")), (".parquet", ()), (".duckdb", ())],
)
async def test_killed_at_random_and_resumed_it_equals_an_unbroken_run(
    suffix: str, flags: tuple[str, ...], kills: int, box: Sandbox, tmp_path: Path
) -> None:
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"x{suffix}"
    began = time.perf_counter()
    unbroken = await start(box, whole)
    _, err = await unbroken.communicate()
    assert unbroken.returncode == 0, err
    seconds = time.perf_counter() - began
    dice = random.Random(f"{kills}{suffix}")
    done = 0
    while True:
        process = await start(box, target, "--resume", *flags)
        communicating = asyncio.ensure_future(process.communicate())
        if done < kills:
            await asyncio.wait([communicating], timeout=dice.uniform(seconds / 4, seconds))
            if not communicating.done():
                kill(process)
                done += 1
        _, err = await communicating
        if flags and b"another export is writing" in err:
            continue  # a process of the one that was killed is still at its part
        assert process.returncode in {0, -9}, err
        if target.exists():
            assert content_of(target) == content_of(whole)
            if (tmp_path / f".{target.name}.partial").exists():
                # Killed when the file had its name: it is told once more, and nothing is left.
                assert process.returncode == -9
                told = await start(box, target, "--resume")
                _, err = await told.communicate()
                assert told.returncode == 0, err
                assert content_of(target) == content_of(whole)
            assert {path.name for path in tmp_path.glob("*x.*")} == {target.name, f".{target.name}.done"}
            if done >= kills:
                break
            target.unlink()  # another one
        else:
            assert process.returncode == -9
