"""Parts that other processes write: the same rows and the same report, also when one of them is killed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ConfigurationError, DecodeError, ExportError, Invoice
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.models.base import Model
from aiwyn_async.sandbox import Sandbox

INVOICES = 600


@pytest.fixture
async def firm() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
    async with (
        Sandbox(invoices=INVOICES, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as aiwyn,
    ):
        yield box, aiwyn


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that are begun."""
    processes: list[asyncio.subprocess.Process] = []
    begin = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        processes.append(await begin(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return processes


def give(box: Sandbox, rows: bytes) -> None:
    """Every page has these rows."""
    box.faults.add("invoices.list", times=99, mutate=lambda _: b'{"deid_invoice": [' + rows + b"]}")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
async def test_the_file_is_the_same_to_the_byte(
    suffix: str,
    firm: tuple[Sandbox, AiwynClient],
    begun: list[asyncio.subprocess.Process],
    tmp_path: Path,
) -> None:
    _, aiwyn = firm
    by_threads, by_processes = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    await export(aiwyn.invoices.list(page_size=10), by_threads)
    assert begun == []
    done = await export(aiwyn.invoices.list(page_size=10), by_processes, processes=2)
    assert by_processes.read_bytes() == by_threads.read_bytes()
    assert (done.rows, done.report.complete) == (INVOICES, True)
    # Lines are written into one file, one part after another.
    assert [process.returncode for process in begun] == [0] * (1 if suffix == ".jsonl" else 2)
    assert {path.name for path in tmp_path.glob("[!.]*")} == {by_threads.name, by_processes.name}


async def test_rows_that_do_not_fit_are_told_as_ever(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    give(box, b'{"id": 1}, {"id": 2, "totalAmount": "much"}, {"id": 3}')
    told: list[str] = []
    for processes in (0, 1):
        with pytest.raises(DecodeError, match="row 1 of page 0") as caught:
            await export(aiwyn.invoices.list(), tmp_path / "x.csv", processes=processes)
        told.append(f"{caught.value} {caught.value.location}")
    assert told[0] == told[1]

    walk = aiwyn.invoices.list(on_bad_row="collect", limit=3)
    done = await export(walk, tmp_path / "x.csv", processes=1)
    assert (done.rows, done.report.bad_rows) == (2, 1)
    assert [(bad.page, bad.index, bad.raw) for bad in walk.bad_rows] == [
        (0, 1, b'{"id": 2, "totalAmount": "much"}')
    ]


async def test_a_value_that_its_column_cannot_hold_is_refused_as_ever(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    give(box, b'{"id": 1, "totalAmount": 1.0000000001}')
    with pytest.raises(DecodeError, match="totalAmount: a column holds 29 digits"):
        await export(aiwyn.invoices.list(), tmp_path / "x.parquet", processes=1)


async def test_a_killed_process_is_told_and_costs_no_row(
    firm: tuple[Sandbox, AiwynClient], begun: list[asyncio.subprocess.Process], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target, whole = tmp_path / "x.csv", tmp_path / "whole.csv"
    await export(aiwyn.invoices.list(page_size=10), whole)

    def kill_the_first(progress: Progress) -> None:
        if progress.rows == INVOICES // 2:
            os.kill(begun[0].pid, signal.SIGKILL)

    with pytest.raises(ExportError, match=r"exit code -9.*resume=True"):
        await export(aiwyn.invoices.list(page_size=10), target, processes=1, on_progress=kill_the_first)
    assert not target.exists()
    assert [process.returncode for process in begun] == [-9]

    done = await export(aiwyn.invoices.list(page_size=10), target, processes=1, resume=True)
    assert done.rows == INVOICES
    assert target.read_bytes() == whole.read_bytes()


async def test_while_a_process_of_a_killed_export_is_at_its_part_nobody_else_may_write(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.csv"
    script = """
import asyncio, os, signal, sys
from pathlib import Path
from aiwyn_async import AiwynClient
from aiwyn_async.export import _part_writers as part_writers, export

async def main(url, key, target):
    begin = asyncio.create_subprocess_exec
    async def stopped(*arguments, **options):
        process = await begin(*arguments, **options)
        os.kill(process.pid, signal.SIGSTOP)
        print(process.pid, flush=True)
        return process
    asyncio.create_subprocess_exec = stopped
    async with AiwynClient(base_url=url, api_key=key) as aiwyn:
        await export(aiwyn.invoices.list(page_size=10), Path(target), processes=1)

asyncio.run(main(*sys.argv[1:]))
"""
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, box.url, box.api_key, str(target)), stdout=subprocess.PIPE
    )
    assert killed.stdout is not None
    left = int(await killed.stdout.readline())
    try:
        os.kill(killed.pid, signal.SIGKILL)
        await killed.wait()
        with pytest.raises(ExportError, match="another export"):
            await export(aiwyn.invoices.list(page_size=10), target, force=True)
    finally:
        os.kill(left, signal.SIGCONT)
    folder = os.open(tmp_path / ".x.csv.partial", os.O_RDONLY)
    try:
        # Until the process that was left has ended.
        await asyncio.to_thread(fcntl.flock, folder, fcntl.LOCK_EX)
    finally:
        os.close(folder)
    done = await export(aiwyn.invoices.list(page_size=10), target, force=True)
    assert done.rows == INVOICES


async def test_what_other_processes_cannot_import_is_refused_before_anything_is_sent(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    class Local(Model, frozen=True):
        id: int

    box, aiwyn = firm
    with pytest.raises(ConfigurationError, match=r"cannot import .*Local.* leave processes out"):
        await export(aiwyn.invoices.list().decode_as(Local), tmp_path / "x.csv", processes=1)
    for wrong in (-1, 65):
        with pytest.raises(ConfigurationError, match=f"processes must be 0 to 64, not {wrong}"):
            await export(aiwyn.invoices.list(), tmp_path / "x.csv", processes=wrong)
    assert box.calls("invoices.list") == 0
    done = await export(aiwyn.invoices.list().decode_as(Invoice), tmp_path / "x.csv", processes=1)
    assert done.rows == INVOICES
