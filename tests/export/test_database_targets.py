"""Existing DuckDB files: other tables are retained, and a log of an earlier file is never replayed."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient, ExportError, ServerError, StorageError, StorageWarning
from aiwyn_async.export import export
from aiwyn_async.export._formats import duckdb as duckdb_format
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import _database as database
from aiwyn_async.sync import sync
from broken_exports import is_late
from duckdb_files import query

Firm = tuple[Sandbox, AiwynClient]

LEAVE_LOG = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET wal_autocheckpoint = '1TB'")
for statement in sys.argv[2:]:
    connection.execute(statement)
os._exit(0)
"""
HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def leave_log(path: Path, *statements: str) -> Path:
    """Leave a log beside a database, like a process that is killed."""
    subprocess.run([sys.executable, "-c", LEAVE_LOG, str(path), *statements], check=True)
    log = path.with_name(f"{path.name}.wal")
    assert log.stat().st_size
    return log


def make_firm_file(path: Path) -> None:
    with duckdb.connect(str(path)) as file:
        file.execute("CREATE TABLE budget AS SELECT range AS month, 100 AS amount FROM range(12)")
        file.execute("CREATE VIEW months AS SELECT month FROM budget")
        file.execute("CREATE SCHEMA theirs")
        file.execute("CREATE TABLE theirs.invoices AS SELECT 1 AS mine")


async def test_stale_log_is_refused_before_a_request(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    log = leave_log(target, "CREATE TABLE invoices (id BIGINT)", "INSERT INTO invoices VALUES (666)")
    target.unlink()

    for resume in (False, True):
        with pytest.raises(ExportError, match=r"firm\.duckdb\.wal is the log of an earlier database"):
            await export(aiwyn.invoices.list(), target, resume=resume)
    assert (box.calls(), log.exists(), target.exists()) == (0, True, False)


@pytest.mark.parametrize("option", [{"force": True}, {"replace": True}])
async def test_force_removes_a_stale_log_and_no_old_row_is_replayed(
    option: dict[str, Any], firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    await export(aiwyn.invoices.list(), target)
    log = leave_log(target, "UPDATE invoices SET notes = 'old'")
    target.unlink()

    await export(aiwyn.invoices.list(), target, **option)

    assert not log.exists()
    assert query(target, "SELECT count(*), count(*) FILTER (notes = 'old') FROM invoices") == [(600, 0)]


async def test_log_that_appears_during_the_export_is_refused(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    log = target.with_name("firm.duckdb.wal")

    def create_log(_: object) -> None:
        log.write_bytes(b"mine")

    with pytest.raises(ExportError, match="is the log of an earlier database"):
        await export(aiwyn.invoices.list(), target, on_progress=create_log)
    assert (log.read_bytes(), target.exists()) == (b"mine", False)
    log.unlink()
    assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 600


@pytest.mark.skipif(
    duckdb.__version__.startswith("1."), reason="only DuckDB 2 detects that a log is that of another file"
)
async def test_force_removes_the_log_of_a_replaced_file(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    target, other = tmp_path / "firm.duckdb", tmp_path / "other.duckdb"
    make_firm_file(target)
    leave_log(target, "INSERT INTO budget VALUES (99, 1)")
    make_firm_file(other)
    shutil.move(other, target)

    await export(aiwyn.invoices.list(), target, force=True)

    assert query(target, "SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM budget)") == [
        (600, 12)
    ]


async def test_force_removes_the_log_beside_a_restored_backup(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    target, backup = tmp_path / "firm.duckdb", tmp_path / "backup.duckdb"
    make_firm_file(target)
    shutil.copy(target, backup)
    with duckdb.connect(str(target)) as file:
        file.execute("INSERT INTO budget VALUES (98, 1)")
        file.execute("CHECKPOINT")
    leave_log(target, "INSERT INTO budget VALUES (99, 1)")
    shutil.copy(backup, target)

    await export(aiwyn.invoices.list(), target, force=True)

    assert query(target, "SELECT count(*) FROM invoices") == [(600,)]


async def test_force_replays_the_log_of_the_file_first(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    leave_log(target, "INSERT INTO budget VALUES (99, 1)")

    await export(aiwyn.invoices.list(), target, force=True)

    assert query(target, "SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM budget)") == [
        (600, 13)
    ]


async def test_force_retains_a_log_that_there_is_no_memory_to_replay(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    log = leave_log(
        target, "CREATE TABLE big (id BIGINT PRIMARY KEY)", "INSERT INTO big SELECT range FROM range(200000)"
    )
    monkeypatch.setattr(duckdb_format, "MAX_MEMORY", "2MB")
    with pytest.raises(ExportError, match="Out of Memory"):
        await export(aiwyn.invoices.list(), target, force=True)
    assert (box.calls(), log.exists()) == (0, True)
    monkeypatch.undo()

    await export(aiwyn.invoices.list(), target, force=True)

    assert query(target, "SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM big)") == [
        (600, 200_000)
    ]


async def test_table_that_another_one_refers_to_is_refused_before_a_request(
    firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    with duckdb.connect(str(target)) as file:
        file.execute("CREATE TABLE invoices (id BIGINT PRIMARY KEY)")
        file.execute("INSERT INTO invoices VALUES (7)")
        file.execute("CREATE TABLE notes (invoice BIGINT REFERENCES invoices (id))")
    with pytest.raises(ExportError, match='of the table "notes"'):
        await export(aiwyn.invoices.list(), target, force=True)
    assert (box.calls(), query(target, "SELECT * FROM invoices")) == (0, [(7,)])


@pytest.mark.parametrize(
    "reason", ["No locks available", "File locks are not supported for this file system"]
)
async def test_file_system_without_locks_is_named(
    reason: str, firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    fail = f"SELECT error('Could not set lock on file \"firm.duckdb\": {reason}')"
    for module in (duckdb_format, database):
        monkeypatch.setattr(module, "attach_existing", lambda *_: fail)
    with pytest.raises(ExportError, match="has no locks, which DuckDB needs"):
        await export(aiwyn.invoices.list(), target, force=True)
    with pytest.raises(StorageError, match="has no locks, which DuckDB needs"):
        await sync(aiwyn.invoices, target)


@pytest.mark.parametrize("option", [{"force": True}, {"replace": True}])
async def test_replace_retains_other_tables(option: dict[str, Any], firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    target.chmod(0o640)
    with pytest.raises(ExportError, match="already exists; pass force=True"):
        await export(aiwyn.invoices.list(), target)

    for rows in (600, 603):
        done = await export(aiwyn.invoices.pull(), target, **option)
        assert (done.rows, done.bytes) == (rows, target.stat().st_size)
        assert query(target, "SELECT count(*), count(DISTINCT id) FROM invoices") == [(rows, rows)]
        assert query(target, "SELECT sum(amount) FROM budget") == [(1200,)]
        assert query(target, "SELECT count(*) FROM months") == [(12,)]
        assert query(target, "SELECT mine FROM theirs.invoices") == [(1,)]
        box.insert("invoices", count=3)
    assert target.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {target.name, f".{target.name}.done"}

    # Its table is the result of a resumed export too.
    calls = box.calls()
    done = await export(aiwyn.invoices.pull(), target, resume=True)
    assert (done.rows, box.calls()) == (603, calls)


async def test_two_resources_share_a_file(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    await export(aiwyn.invoices.pull(), target, replace=True)
    await export(aiwyn.payments.pull(), target, replace=True)
    payments = box.scalar("SELECT count(*) FROM payments")
    assert query(target, "SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM payments)") == [
        (600, payments)
    ]


async def test_database_in_use_is_refused_before_a_request_and_at_the_end(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, str(target)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    with pytest.raises(ExportError, match=r"firm\.duckdb is in use by another program"):
        await export(aiwyn.invoices.list(), target, force=True)
    assert box.calls() == 0
    assert holder.stdin is not None
    holder.stdin.close()
    await holder.wait()

    holders: list[subprocess.Popen[bytes]] = []

    def hold(_: object) -> None:
        if not holders:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            process.stdout.readline()
            holders.append(process)

    try:
        with pytest.raises(ExportError, match="is in use by another program"):
            await export(aiwyn.invoices.list(), target, force=True, on_progress=hold)
    finally:
        holders[0].communicate()
    # Rows already read are retained.
    before = box.calls("invoices.list")
    assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 600
    assert box.calls("invoices.list") - before <= 1
    assert query(target, "SELECT count(*) FROM budget") == [(12,)]


async def test_view_or_synced_table_is_refused_before_a_request(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    with duckdb.connect(str(target)) as file:
        file.execute('CREATE VIEW "Invoices" AS SELECT 1 AS mine')
    with pytest.raises(ExportError, match="has a view invoices"):
        await export(aiwyn.invoices.list(), target, replace=True)
    assert box.calls() == 0

    synced = tmp_path / "synced.duckdb"
    await sync(aiwyn.invoices, synced)
    calls = box.calls()
    with pytest.raises(ExportError, match=r"sync\(\) maintains the table invoices"):
        await export(aiwyn.invoices.list(), synced, force=True)
    assert box.calls() == calls
    await export(aiwyn.clients.list(), synced, force=True)
    assert (await sync(aiwyn.invoices, synced)).complete


@pytest.mark.parametrize("content", [b"", b"mine", os.urandom(5000)])
async def test_force_replaces_a_file_that_is_not_a_database(
    content: bytes, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    target.write_bytes(content)
    await export(aiwyn.invoices.list(), target, force=True)
    assert query(target, "SELECT count(*) FROM invoices") == [(600,)]


async def test_damaged_database_is_refused(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    make_firm_file(target)
    content = bytearray(target.read_bytes())
    content[12] ^= 0xFF
    target.write_bytes(content)
    with pytest.raises(ExportError, match=r"DuckDB cannot replace the table invoices in .*firm\.duckdb"):
        await export(aiwyn.invoices.list(), target, force=True)
    assert (box.calls(), target.read_bytes()) == (0, bytes(content))


async def test_failed_export_retains_the_old_table(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    await export(aiwyn.invoices.list(limit=5), target)
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target, force=True)
    assert query(target, "SELECT count(*) FROM invoices") == [(5,)]


async def test_table_that_is_committed_is_an_export_even_if_its_log_does_not_fit(
    firm: Firm, tmp_path: Path
) -> None:
    """The rows are in the log, which is shorter than the file would be."""
    _, aiwyn = firm
    target = tmp_path / "firm.duckdb"
    with duckdb.connect(str(target)) as file:
        file.execute("CREATE TABLE budget AS SELECT random() AS amount FROM range(500000)")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (target.stat().st_size, limits[1]))
    try:
        with pytest.warns(StorageWarning, match=r"complete together with its log firm\.duckdb\.wal"):
            result = await export(aiwyn.invoices.list(), target, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.rows == 600
    assert [path.name for path in tmp_path.glob(".*.partial")] == []
    assert query(target, "SELECT count(*) FROM invoices") == [(600,)]
