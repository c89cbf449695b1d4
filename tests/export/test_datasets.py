"""Datasets: a folder of Parquet files, and a manifest that names those of the last complete run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from aiwyn_async import AiwynClient, AiwynError
from aiwyn_async.errors import ConfigurationError, DecodeError, ExportError, IncompleteError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]


def read(folder: Path | str, **options: Any) -> Any:
    """Return the table of the files that the manifest names, in order."""
    dataset: Any = ds.dataset(read_manifest(folder).paths, **options)
    return dataset.to_table()


def visible_files(folder: Path) -> list[str]:
    """Return what a reader sees that knows nothing of manifests."""
    dataset: Any = ds.dataset(folder, format="parquet")
    return [str(Path(file).relative_to(folder)) for file in dataset.files]


async def test_dataset_has_the_rows_of_one_file(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    await export(aiwyn.invoices.pull(), tmp_path / "x.parquet")
    result = await export(aiwyn.invoices.pull(), f"{tmp_path}/invoices/")
    assert (result.rows, result.report.complete) == (600, True)
    assert read(tmp_path / "invoices") == pq.read_table(tmp_path / "x.parquet")
    assert not (tmp_path / "invoices/_partial").exists()


async def test_manifest_names_query_rows_and_sums(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    result = await export(aiwyn.invoices.pull(), f"{tmp_path}/x/")
    manifest = read_manifest(tmp_path / "x")
    assert (manifest.rows, manifest.bytes, manifest.report) == (600, result.bytes, result.report)
    assert manifest.endpoint == "/gql/v1/invoices/search"
    assert manifest.started_at <= (manifest.finished_at or 0)
    amounts = [invoice.total_amount async for invoice in aiwyn.invoices.list()]
    assert manifest.sums["totalAmount"] == sum(filter(None, amounts), Decimal(0))
    assert [Path(path).stat().st_size for path in manifest.paths] == [file.bytes for file in manifest.files]


async def test_files_of_a_dataset_are_private(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/")
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_dataset_without_rows_has_the_columns(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/")
    await export(aiwyn.invoices.pull(where={"id": {"_lt": 0}}), f"{tmp_path}/none/")
    assert read(tmp_path / "none").schema == read(tmp_path / "x").schema
    assert read(tmp_path / "none").num_rows == 0


async def test_complete_dataset_is_replaced_only_on_request(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = f"{tmp_path}/x/"
    await export(aiwyn.invoices.pull(), to)
    sent = len(box.requests)
    with pytest.raises(ExportError, match="already has a complete dataset; pass force=True or replace=True"):
        await export(aiwyn.invoices.pull(), to)
    assert len(box.requests) == sent
    first = read_manifest(to)
    for options in ({"force": True}, {"replace": True}):
        await export(aiwyn.invoices.pull(), to, **options)
        assert read_manifest(to).run > first.run
        assert len(visible_files(tmp_path / "x")) == 1
        assert read(to).num_rows == 600


async def test_finished_dataset_is_resumed_without_requests(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = f"{tmp_path}/x/"
    first = await export(aiwyn.invoices.pull(), to, resume=True)
    sent = len(box.requests)
    again = await export(aiwyn.invoices.pull(), to, resume=True)
    assert len(box.requests) == sent
    assert (again.rows, again.bytes, again.report) == (first.rows, first.bytes, first.report)
    with pytest.raises(ExportError, match="already has a complete dataset"):
        await export(aiwyn.invoices.pull(where={"status": {"_eq": "PAID"}}), to, resume=True)
    Path(read_manifest(to).paths[0]).write_bytes(b"changed")
    with pytest.raises(ExportError, match="already has a complete dataset"):
        await export(aiwyn.invoices.pull(), to, resume=True)


@pytest.mark.parametrize("keep", [None, 1, 2, 3])
async def test_dataset_retains_as_many_runs_as_keep_says(
    keep: int | None, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    runs: list[str] = []
    for _ in range(4):
        await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", replace=True, keep=keep)
        runs.append(read_manifest(tmp_path / "x").run)
    kept = {path.name for path in (tmp_path / "x").glob("run-*")}
    assert kept >= {runs[-1]}
    assert len(kept) == (keep or 1)
    assert kept <= set(runs)


async def test_failed_run_leaves_the_last_complete_dataset(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = tmp_path / "x"
    await export(aiwyn.invoices.pull(), f"{to}/")
    before, files = read(to).sort_by("id"), visible_files(to)
    box.faults.add("invoices.search", nth=4, times=1000, status=500)
    with pytest.raises(AiwynError):
        await export(aiwyn.invoices.pull(page_size=20), f"{to}/", replace=True)
    assert (read(to).sort_by("id"), visible_files(to)) == (before, files)
    assert (to / "_partial").exists()
    box.faults.clear()
    await export(aiwyn.invoices.pull(page_size=20), f"{to}/", replace=True)
    assert read(to).sort_by("id") == before
    assert len(visible_files(to)) >= 1
    assert not (to / "_partial").exists()


async def test_first_run_that_fails_leaves_nothing_that_looks_whole(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = tmp_path / "x"
    box.faults.add("invoices.search", nth=6, times=1000, status=500)
    with pytest.raises(AiwynError):
        await export(aiwyn.invoices.pull(page_size=20), f"{to}/")
    assert visible_files(to) == []
    with pytest.raises(ExportError, match="has no complete dataset"):
        read_manifest(to)


@pytest.mark.parametrize("column", ["status", "clientId", "dueDate"])
async def test_partitions_are_read_back_as_folders(column: str, firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    options: dict[str, Any] = {"date_columns": ["dueDate"]}
    await export(aiwyn.invoices.pull(), tmp_path / "x.parquet", **options)
    whole = pq.read_table(tmp_path / "x.parquet")
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", partition_by=column, **options)
    manifest = read_manifest(tmp_path / "x")
    hive: Any = ds.partitioning(pa.schema([whole.schema.field(column)]), flavor="hive")
    found = read(tmp_path / "x", partitioning=hive).select(whole.column_names)
    assert found.sort_by("id") == whole.sort_by("id")
    assert len(manifest.files) == len(whole[column].unique())
    assert all(f"/{column}=" in file.path for file in manifest.files)


class StoppingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """An object store that refuses every operation after some of them."""

    protocol = "stopping"
    cachable = False
    remaining = 0

    @classmethod
    def count(cls) -> None:
        cls.remaining -= 1
        if cls.remaining < 0:
            raise RuntimeError("the network is gone")  # not an OSError, as those of many stores

    def pipe_file(self, *args: Any, **options: Any) -> None:
        self.count()
        super().pipe_file(*args, **options)

    def cp_file(self, *args: Any, **options: Any) -> None:
        self.count()
        super().cp_file(*args, **options)

    def rm_file(self, *args: Any) -> None:
        self.count()
        super().rm_file(*args)

    def _rm(self, *args: Any) -> None:
        self.count()
        super()._rm(*args)


@pytest.mark.parametrize("name", ["a/b", "../up", "x=y", "100%", "..", "ü ß", "a\\b", "\n"])
async def test_partition_of_any_text_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    async with (
        Sandbox(invoices=3, seed=1) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, warn_undocumented=False) as aiwyn,
    ):
        for (row_id,) in box.query("SELECT id FROM clients"):
            assert isinstance(row_id, int)
            box.update("clients", row_id, {"name": name})
        await export(aiwyn.clients.pull(), f"{tmp_path}/x/", partition_by="name")
        manifest = read_manifest(tmp_path / "x")
        run = (tmp_path / "x" / manifest.run).resolve()
        assert all(run in Path(path).resolve().parents for path in manifest.paths)
        hive: Any = ds.partitioning(pa.schema([("name", pa.string())]), flavor="hive")
        assert set(read(tmp_path / "x", partitioning=hive)["name"].to_pylist()) == {name}
