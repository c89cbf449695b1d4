"""Exports, syncs, writes and changes, cancelled at each of their suspensions one after another."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import csv
import json
import math
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, FileState
from aiwyn_async.export import export, read_manifest
from aiwyn_async.models import Id
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from cancelling import run_cancelled
from duckdb_files import query
from looking_inside import assert_nothing_is_held, open_files, until

MAX_POINTS = int(os.environ.get("AIWYN_CANCELLED_POINTS", "40"))
"""Points at which each job is cancelled; the longest has 36."""
RECORDS = [{"type": "TEST", "systemRef": number, "attributes": {}} for number in range(25)]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in a thread of its own, so that all tasks of this loop are those of the client."""
    with Sandbox(invoices=60, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, max_concurrency=2) as client:
        yield client


async def cancel_at_each_point(
    job: Callable[[], Awaitable[object]], check: Callable[[int], Awaitable[None]], aiwyn: AiwynClient
) -> int:
    """Cancel the job at its first suspension, then at later ones, until it is not cancelled any more.

    Returns the number of points.
    """
    points = await run_cancelled(job(), 0)
    await check(0)
    before = asyncio.all_tasks()
    step = math.ceil(points / MAX_POINTS)
    cancelled = 0
    for at in range(1, points + 1, step):
        await run_cancelled(job(), at)
        cancelled += 1
        for _ in range(100):
            if not asyncio.all_tasks() - before:
                break
            await asyncio.sleep(0)
        assert not asyncio.all_tasks() - before
        await assert_nothing_is_held(aiwyn)
        await check(at)
    print(f"cancelled at {cancelled} of {points} suspensions")  # noqa: T201
    return cancelled


def read_keys(path: Path) -> list[int]:
    match path.suffix:
        case "":
            return [key for file in read_manifest(path).paths for key in read_keys(Path(file))]
        case ".parquet":
            return [int(key) for key in pq.read_table(path).column("id").to_pylist()]
        case ".duckdb":
            return [key for (key,) in query(path, "SELECT id FROM invoices")]
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return [int(row["id"]) for row in csv.DictReader(file)]
        case _:
            return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb", ".csv", ".jsonl", ""])
async def test_cancelled_export_is_resumed(
    suffix: str, aiwyn: AiwynClient, box: Sandbox, tmp_path: Path
) -> None:
    expected = [row[0] for row in box.query("SELECT id FROM invoices ORDER BY id")]
    target = tmp_path / f"invoices{suffix}"
    to = target if suffix else f"{target}/"
    files = open_files()

    async def job() -> None:
        await export(aiwyn.invoices.pull(page_size=5, ranges=2), to)

    async def check(_: int) -> None:
        if (target if suffix else target / "_manifest.json").exists():
            assert sorted(read_keys(target)) == expected
        result = await export(aiwyn.invoices.pull(page_size=5, ranges=2), to, resume=True)
        assert result.rows == len(expected)
        assert sorted(read_keys(target)) == expected
        for path in tmp_path.iterdir():
            assert path.name in {target.name, f".{target.name}.done"}
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    assert await cancel_at_each_point(job, check, aiwyn) >= 10
    # Both ends of the two connections to the sandbox, whose thread closes those of cancelled requests.
    await until(lambda: open_files() <= files + 4)


async def test_cancelled_sync_is_completed_by_the_next(
    aiwyn: AiwynClient, box: Sandbox, tmp_path: Path
) -> None:
    target = tmp_path / "books.duckdb"

    async def job() -> None:
        await sync(aiwyn.invoices, target, page_size=5, reconcile_deletes=True)

    async def check(at: int) -> None:
        await job()
        table = query(target, "SELECT id, status FROM invoices WHERE _deleted_at IS NULL ORDER BY id")
        assert table == box.query("SELECT id, status FROM invoices ORDER BY id")
        if at % 3 == 0:  # the next one is a first run; in between, rows change
            target.unlink()
            return
        key = table[at % len(table)][0]
        box.update("invoices", key, {"status": f"STATUS-{at}"})
        box.delete("invoices", table[-1][0])

    assert await cancel_at_each_point(job, check, aiwyn) >= 10


async def test_cancelled_changes_are_read_again(aiwyn: AiwynClient, box: Sandbox, tmp_path: Path) -> None:
    state = FileState(tmp_path / "state.json")
    received: dict[Id, str | None] = {}

    async def job() -> None:
        changes = aiwyn.invoices.changes(state=state, page_size=5)
        async for row in changes:
            received[row.id] = row.status
        await changes.ack()

    async def check(at: int) -> None:
        await job()
        assert sorted(received.items()) == box.query("SELECT id, status FROM invoices ORDER BY id")
        assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
        key = int(list(received)[at % len(received)])
        box.update("invoices", key, {"status": f"STATUS-{at}"})

    assert await cancel_at_each_point(job, check, aiwyn) >= 10


async def test_cancelled_write_is_completed_by_another(aiwyn: AiwynClient, box: Sandbox) -> None:
    async def job() -> None:
        await aiwyn.records.upsert(RECORDS, batch_size=5)

    async def check(_: int) -> None:
        report = await aiwyn.records.upsert(RECORDS, batch_size=5)
        assert (report.ok, report.total) == (True, 25)
        assert len(box.query("SELECT * FROM records WHERE type = 'TEST'")) == 25

    assert await cancel_at_each_point(job, check, aiwyn) >= 3
