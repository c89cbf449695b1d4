"""Disk failures: typed errors, committed parts are retained, and the export can be resumed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from aiwyn_async import AiwynClient, ExportError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.sandbox import Sandbox

Disk = tuple[Path, Callable[[str], None]]


@pytest.mark.parametrize("suffix", [".jsonl", ".duckdb", ".parquet"])
async def test_export_resumes_after_a_full_disk_is_enlarged(
    suffix: str, small_disk: Disk, tmp_path: Path
) -> None:
    disk, mount = small_disk
    target = disk / f"x{suffix}"
    async with (
        Sandbox(invoices=3000, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        await export(aiwyn.invoices.pull(page_size=20, ordered=True), tmp_path / f"x{suffix}")
        with pytest.raises(ExportError, match=r"No space left|cannot write"):
            await export(aiwyn.invoices.pull(page_size=20, ordered=True), target)
        assert not target.exists()
        manifest = json.loads((disk / f".x{suffix}.partial" / "manifest.json").read_bytes())
        committed = sum(part["rows"] for part in manifest["parts"])
        assert committed >= 200
        before = len(box.requests)

        mount("size=64m")
        done = await export(aiwyn.invoices.pull(page_size=20, ordered=True), target, resume=True)

        assert done.rows == 3000
        last = int(str(box.scalar(f"SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET {committed - 1}")))
        bodies = [json.dumps(request.body) for request in list(box.requests)[before:]]
        assert all(int(key) >= last for body in bodies for key in re.findall(r'"_gt": (\d+)', body))
    assert sorted(path.name for path in disk.iterdir()) == [f".{target.name}.done", target.name]


async def test_dataset_resumes_after_a_full_disk_is_enlarged(small_disk: Disk) -> None:
    disk, mount = small_disk
    to = f"{disk}/x/"
    async with (
        Sandbox(invoices=6000, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        with pytest.raises(ExportError, match=r"cannot write .*No space left"):
            await export(aiwyn.invoices.pull(page_size=20), to, row_group_rows=300, compression="none")
        with pytest.raises(ExportError, match="has no complete dataset"):
            read_manifest(to)
        before = box.calls("invoices.search")
        mount("size=64m")
        pull = aiwyn.invoices.pull(page_size=20)
        await export(pull, to, row_group_rows=300, compression="none", resume=True)
        assert read_manifest(to).rows == 6000
        assert box.calls("invoices.search") - before < 300
    assert not (disk / "x/_partial").exists()


async def test_export_refuses_a_read_only_folder_before_a_request(small_disk: Disk) -> None:
    disk, mount = small_disk
    mount("ro")
    async with (
        Sandbox(invoices=10, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        with pytest.raises(ExportError, match="Read-only file system"):
            await export(aiwyn.invoices.pull(), disk / "x.jsonl")
        with pytest.raises(ExportError, match="Read-only file system"):
            await export(aiwyn.invoices.pull(), f"{disk}/x/")
        assert box.calls() == 0


async def test_duckdb_table_has_the_requested_name_and_exact_types(tmp_path: Path) -> None:
    target = tmp_path / "it's.duckdb"
    name = 'a"; drop table x; --'
    async with (
        Sandbox(invoices=300, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        await export(aiwyn.invoices.pull(), target, table=name)
        cents = box.query("SELECT count(*), sum(total_cents) FROM invoices")

    with duckdb.connect(str(target), read_only=True) as file:
        assert file.execute("SHOW TABLES").fetchall() == [(name,)]
        quoted = name.replace('"', '""')
        result = file.execute(
            f"SELECT count(*), CAST(sum(totalAmount) * 100 AS BIGINT), typeof(any_value(totalAmount)), "
            f'typeof(any_value(createdAt)) FROM "{quoted}"'
        ).fetchall()
        assert result == [(*cents[0], "DECIMAL(38,9)", "TIMESTAMP WITH TIME ZONE")]
        tags = file.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    # As this release of DuckDB says it: of 1.2.0 and what can read it.
    assert tags == [({"storage_version": "v1.2.0+"},)]
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{target.name}.done", target.name]
