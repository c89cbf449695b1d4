"""kill -9 at any moment: a file exists only if it is complete; a resumed export has every row once.

More kills than the few of a usual run: ``pytest tests/export/test_killed.py --kills 50``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiwyn_async.export import read_manifest
from aiwyn_async.sandbox import Sandbox
from command_line import Cli, Process
from fork_server import ForkServer
from killing import kill

INVOICES = 1500
PAGE_SIZE = 20


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=INVOICES, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
def cli(box: Sandbox, tmp_path: Path, fork_server: ForkServer) -> Cli:
    return Cli(box, tmp_path, fork_server)


async def start(cli: Cli, target: Path, *flags: str) -> Process:
    return await cli.start_into(
        *(subprocess.DEVNULL, subprocess.PIPE, "export", "invoices"),
        *("--to", target.name if target.suffix else f"{target.name}/"),
        *("--page-size", str(PAGE_SIZE), *flags),
    )


def content_of(path: Path) -> Any:
    """Return the uncompressed bytes; for formats with metadata, the table in the order of the file."""
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as file:
            return file.sql("SELECT * FROM invoices ORDER BY rowid").to_arrow_table()
    if path.suffix in {".gz", ".zst"}:
        with pa.CompressedInputStream(str(path), {".gz": "gzip", ".zst": "zstd"}[path.suffix]) as stream:
            return stream.read()
    return path.read_bytes()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".duckdb", ".jsonl.gz", ".csv.zst"])
async def test_export_resumes_after_sigkill(suffix: str, kills: int, cli: Cli, tmp_path: Path) -> None:
    uninterrupted, target = tmp_path / f"uninterrupted{suffix}", tmp_path / f"x{suffix}"
    began = time.perf_counter()
    process = await start(cli, uninterrupted)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    seconds = time.perf_counter() - began
    dice = random.Random(f"{kills}{suffix}")
    done = 0
    while True:
        process = await start(cli, target, "--resume")
        communicating = asyncio.ensure_future(process.communicate())
        if done < kills:
            await asyncio.wait([communicating], timeout=dice.uniform(seconds / 4, seconds))
            if not communicating.done():
                kill(process)
                done += 1
        _, err = await communicating
        assert process.returncode in {0, -9}, err
        if target.exists():
            assert content_of(target) == content_of(uninterrupted)
            if (tmp_path / f".{target.name}.partial").exists():
                # Killed after the rename: a resumed export returns the same result and cleans up.
                assert process.returncode == -9
                again = await start(cli, target, "--resume")
                _, err = await again.communicate()
                assert again.returncode == 0, err
                assert content_of(target) == content_of(uninterrupted)
            assert {path.name for path in tmp_path.glob("*x.*")} == {target.name, f".{target.name}.done"}
            if done >= kills:
                break
            target.unlink()  # another one
        else:
            assert process.returncode == -9


@pytest.mark.timeout(900)
async def test_dataset_is_complete_after_sigkill_at_any_moment(
    kills: int, cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    """A reader that follows the manifest sees a complete run at any time."""
    expected = [key for (key,) in box.query("SELECT id FROM invoices ORDER BY id")]
    target = tmp_path / "x"
    flags = ("--replace", "--row-group-rows", "300", "--keep", "2")
    began = time.perf_counter()
    process = await start(cli, target, *flags)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    seconds = time.perf_counter() - began
    dice = random.Random(kills)
    done = resumed = 0
    runs = {read_manifest(target).run}
    while done < kills:
        process = await start(cli, target, *flags)
        communicating = asyncio.ensure_future(process.communicate())
        await asyncio.wait([communicating], timeout=dice.uniform(seconds / 4, seconds * 1.1))
        if not communicating.done():
            kill(process)
            done += 1
            resumed += (target / "_partial/_manifest.json").exists()
        _, err = await communicating
        assert process.returncode in {0, -9}, err
        manifest = read_manifest(target)
        runs.add(manifest.run)
        ids = [row for path in manifest.paths for row in pq.read_table(path)["id"].to_pylist()]
        assert sorted(ids) == expected
    process = await start(cli, target, *flags)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert len(list(target.glob("run-*"))) == 2
    assert not (target / "_partial").exists()
    print(f"{done} kills, {resumed} of them between files, {len(runs)} complete runs")  # noqa: T201


@pytest.mark.timeout(900)
async def test_replace_after_sigkill_retains_other_tables(kills: int, cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "x.duckdb"
    with duckdb.connect(str(target)) as file:
        file.execute("CREATE TABLE budget AS SELECT range AS month FROM range(12)")
        file.execute("CREATE TABLE invoices AS SELECT range AS id FROM range(5)")
    began = time.perf_counter()
    process = await start(cli, tmp_path / "uninterrupted.duckdb")
    await process.communicate()
    seconds = time.perf_counter() - began
    dice = random.Random(kills)
    done, finished = 0, False
    while done < kills or not finished:
        process = await start(cli, target, "--replace")
        communicating = asyncio.ensure_future(process.communicate())
        if done < kills:
            await asyncio.wait([communicating], timeout=dice.uniform(seconds / 4, seconds * 1.1))
            if not communicating.done():
                kill(process)
                done += 1
        _, err = await communicating
        assert process.returncode in {0, -9}, err
        finished = process.returncode == 0
        with duckdb.connect(str(target)) as file:
            assert file.execute("SELECT count(*) FROM budget").fetchone() == (12,)
            assert file.execute("SELECT count(DISTINCT id) FROM invoices").fetchone() in {(5,), (INVOICES,)}
    assert not (tmp_path / f".{target.name}.partial").exists()


REPLACE = """
import sys
from pathlib import Path
from aiwyn_async.export._formats.duckdb import DatabaseFile
print("begins", flush=True)
DatabaseFile("invoices").write(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.timeout(900)
async def test_database_has_old_or_new_table_after_sigkill(kills: int, cli: Cli, tmp_path: Path) -> None:
    new, target = tmp_path / "new.duckdb", tmp_path / "x.duckdb"
    for path, rows in ((new, 100_000), (target, 60_000)):
        with duckdb.connect(str(path)) as file:
            file.execute(f"CREATE TABLE invoices AS SELECT range AS id, md5(range::text) FROM range({rows})")
            file.execute("CREATE TABLE budget AS SELECT range AS month FROM range(12)")
    dice = random.Random(kills)
    for _ in range(3 * kills):
        process = await cli.server.start(
            *("-c", REPLACE, str(new), str(target)), cwd=tmp_path, env=cli.env, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), dice.uniform(0, 0.15))
        kill(process)
        await process.communicate()
        with duckdb.connect(str(target)) as file:
            assert file.execute("SELECT count(*) FROM budget").fetchone() == (12,)
            assert file.execute("SELECT count(DISTINCT id) FROM invoices").fetchone() in {
                (60_000,),
                (100_000,),
            }
            file.execute("CREATE OR REPLACE TABLE invoices AS SELECT * FROM invoices LIMIT 60000")
