"""A cancelled export waits for its writing thread; a resumed one retains earlier problems."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from msgspec import Struct

from aiwyn_async import AiwynClient, CheckpointError, ExportError, F, IncompleteError, ServerError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.export._lock import FolderLock
from aiwyn_async.export._staging import Staging
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock


@pytest.mark.parametrize("whole_program", [False, True], ids=["one task", "all tasks"])
@pytest.mark.parametrize(
    ("step", "suffix"),
    [
        ("_lock.FolderLock.acquire", ".jsonl"),
        ("_file.write_part", ".jsonl"),
        ("_target.Target.move", ".jsonl"),
        ("_target.Target.write", ".csv"),
    ],
)
async def test_cancelled_export_waits_for_its_thread(
    step: str, suffix: str, whole_program: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target_name = f"aiwyn_async.export.{step}"
    real = resolve_name(target_name)
    entered, go = threading.Event(), threading.Event()
    finished: list[str] = []

    def blocked(*arguments: Any) -> Any:
        entered.set()
        go.wait(10)
        try:
            return real(*arguments)
        finally:
            finished.append(threading.current_thread().name)

    monkeypatch.setattr(target_name, blocked)
    with Sandbox(invoices=200, seed=11) as box:  # in a thread, so that all tasks are those of the client
        async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
            others = asyncio.all_tasks()
            task = asyncio.create_task(export(aiwyn.invoices.list(page_size=10), tmp_path / f"x{suffix}"))
            await asyncio.to_thread(entered.wait, 10)
            for _ in range(2):  # as a second Ctrl-C, or the end of asyncio.run()
                for each in asyncio.all_tasks() - others if whole_program else [task]:
                    each.cancel()
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not task.done()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task

            await export(aiwyn.invoices.list(), tmp_path / f"x{suffix}", replace=True)  # it is not locked

    assert finished


class RowThatStops(Struct):
    id: int

    def __post_init__(self) -> None:
        next(iter(()))  # a mistake that ends in StopIteration


async def test_export_ends_if_a_row_type_raises_stop_iteration(tmp_path: Path) -> None:
    """A future refuses StopIteration, so the export must not wait for it."""
    async with (
        Sandbox(invoices=5, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await export(aiwyn.invoices.list().decode_as(RowThatStops), tmp_path / "x.csv")


async def test_resume_completes_an_export_killed_before_cleanup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.parquet"

    def stop_here(_: Any) -> None:
        raise SystemError("killed")

    async with (
        Sandbox(invoices=200, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Staging, "finish", stop_here)
            with pytest.raises(SystemError):
                await export(aiwyn.invoices.pull(page_size=10), target)
        content, requests = target.read_bytes(), box.calls("invoices.search")

        with pytest.raises(ExportError, match="exists"):
            await export(aiwyn.invoices.pull(page_size=10), target)
        with pytest.raises(CheckpointError):
            await export(aiwyn.invoices.pull(F.id > 0, page_size=10), target, resume=True)
        done = await export(aiwyn.invoices.pull(page_size=10), target, resume=True)

        assert (done.rows, done.bytes, done.report.complete) == (200, len(content), True)
        assert box.calls("invoices.search") == requests
        again = await export(aiwyn.invoices.pull(page_size=10), target, resume=True)
        assert (again.rows, again.bytes, again.report) == (done.rows, done.bytes, done.report)
        assert box.calls("invoices.search") == requests
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{target.name}.done", target.name]
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    ("verb", "target", "option"),
    [("list", "x.jsonl", "resume"), ("search", "x.parquet", "replace"), ("pull", "x/", "resume")],
)
async def test_strict_export_of_an_incomplete_read_starts_again(
    verb: str, target: str, option: str, tmp_path: Path
) -> None:
    """What is missing lies before the checkpoint, so that to continue would never find it."""
    path = f"{tmp_path}/{target}"
    options: dict[str, Any] = {option: True}
    async with (
        Sandbox(invoices=150, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, clock=FakeClock()) as aiwyn,
    ):
        read = getattr(aiwyn.invoices, verb)
        box.faults.add("*", times=999, mutate=without_third_row)
        for _ in range(2):
            with pytest.raises(IncompleteError, match="; pass resume=True to start again"):
                await export(read(page_size=10, strict=True), path, **options)
        box.faults.clear()
        rows = read(page_size=10, strict=True)
        result = await export(rows, path, **options)
    assert (result.rows, result.report.problems(), rows.report) == (150, [], result.report)


def without_third_row(body: bytes) -> bytes:
    """Remove a certain row from any page."""
    page = json.loads(body)
    page["deid_invoice"] = [row for row in page.get("deid_invoice", []) if row["id"] != 40003]
    return json.dumps(page).encode()


async def test_resume_reports_problems_of_earlier_runs(
    tmp_path: Path,
) -> None:
    target = tmp_path / "x.jsonl"
    async with (
        Sandbox(invoices=300, seed=11) as box,
        AiwynClient(
            base_url=box.url, api_key=box.api_key, backoff_base=0, retries=0, max_concurrency=1
        ) as aiwyn,
    ):
        updates: list[Progress] = []

        def change_list(progress: Progress) -> None:
            updates.append(progress)
            if len(updates) == 3:
                box.insert("invoices", count=1)

        box.faults.add("invoices.list", nth=25, status=500)
        with pytest.raises(ServerError):
            await export(aiwyn.invoices.list(page_size=10), target, on_progress=change_list)

        done = await export(aiwyn.invoices.list(page_size=10), target, resume=True)

    assert done.report.duplicates == 1
    assert any("duplicate" in problem for problem in done.report.problems())
    assert done.report.pages > 25


ABANDONING = """
import asyncio, os, signal, sys
from aiwyn_async import AiwynClient
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

async def main():
    async with Sandbox(95) as box, AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        box.faults.add("invoices.list", nth=3, times=99, delay=30, match=interrupt)
        await export(aiwyn.invoices.list(page_size=5), sys.argv[1])

def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)
    return True

loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(main())
except KeyboardInterrupt:
    print("ends")
"""


async def test_interrupted_loop_that_nobody_closes_lets_the_process_end(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ABANDONING, str(tmp_path / "x.parquet")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # tasks that were never awaited
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"ends\n")
    assert not (tmp_path / "x.parquet").exists()


CLOSED = """
import threading

loop.close()
workers = [thread for thread in threading.enumerate() if thread.name == "aiwyn-worker"]
for worker in workers:
    worker.join(10)
print(len(workers), sum(worker.is_alive() for worker in workers), flush=True)
os._exit(0)
"""


async def test_closed_loop_ends_the_threads_of_its_exports(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ABANDONING + CLOSED, str(tmp_path / "x.parquet")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # tasks that were never awaited
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"ends\n1 0\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_process_neither_holds_nor_removes_the_folder_of_an_export(tmp_path: Path) -> None:
    folder = tmp_path / ".x.csv.partial"
    lock = FolderLock(folder)
    lock.acquire()
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other threads run while forking
        child = os.fork()
    if not child:
        code = 1
        try:
            lock.release()
            os.write(to_parent, b"released")
            os.close(to_child)
            os.read(from_parent, 1)
            code = 0
        finally:
            os._exit(code)
    assert os.read(from_child, 8) == b"released"
    assert folder.exists()
    with pytest.raises(ExportError, match="another export is writing"):
        FolderLock(folder).acquire()
    (folder / "part-000000").touch()
    lock.release()
    lock.acquire()
    lock.release()
    os.close(to_child)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for pipe in (from_child, to_parent, from_parent):
        os.close(pipe)
