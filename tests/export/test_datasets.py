"""Datasets: a folder of Parquet files, and a manifest that names those of the last complete run."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, AiwynError
from aiwyn_async.errors import CheckpointError, ConfigurationError, ExportError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.export._dataset.folder import LocalFolder
from aiwyn_async.export._dataset.state import UNFINISHED
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]

KILLED = """
import os, pathlib, sys
from aiwyn_async._core import files
from aiwyn_async.export._dataset.folder import LocalFolder
files.move_synced = lambda *_: os._exit(9)
folder = LocalFolder(pathlib.Path(sys.argv[1]))
folder.lock()
folder.write("_manifest.json", b"new")
"""


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
    for force in (True, False):
        await export(aiwyn.invoices.pull(), to, force=force, replace=not force)
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
    retained = {path.name for path in (tmp_path / "x").glob("run-*")}
    assert retained >= {runs[-1]}
    assert len(retained) == (keep or 1)
    assert retained <= set(runs)


async def test_run_that_was_killed_is_not_retained(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files were moved, but no manifest named them; nothing but complete runs counts for ``keep``."""
    _, aiwyn = firm
    to = f"{tmp_path}/x/"
    await export(aiwyn.invoices.pull(), to)
    complete = read_manifest(to).run
    move = LocalFolder.move

    def killed(folder: LocalFolder, name: str, target: str) -> None:
        move(folder, name, target)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(LocalFolder, "move", killed)
        with pytest.raises(RuntimeError, match="killed"):
            await export(aiwyn.invoices.pull(), to, replace=True, keep=2)
    assert len(list((tmp_path / "x").glob("run-*"))) == 2
    await export(aiwyn.invoices.pull(), to, force=True, keep=2)
    assert {path.name for path in (tmp_path / "x").glob("run-*")} == {complete, read_manifest(to).run}
    assert read_manifest(to).earlier == (complete,)


async def test_damaged_manifest_retains_the_runs_before(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    runs: list[str] = []
    for _ in range(3):
        await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", force=True, keep=2)
        runs.append(read_manifest(tmp_path / "x").run)
    (tmp_path / "x/_manifest.json").write_text("damaged")
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", force=True, keep=2)
    manifest = read_manifest(tmp_path / "x")
    assert manifest.earlier == (runs[-1],)
    assert {path.name for path in (tmp_path / "x").glob("run-*")} == {runs[-1], manifest.run}


async def test_kill_while_the_manifest_is_written_leaves_no_file_for_good(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    to = tmp_path / "x"
    await export(aiwyn.invoices.pull(), f"{to}/")
    before = sorted(to.iterdir())
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(to))
    assert await killed.wait() == 9
    assert len(list((to / "_partial").iterdir())) == 1
    await export(aiwyn.invoices.pull(), f"{to}/", resume=True)
    assert sorted(to.iterdir()) == before


async def test_replaced_dataset_retains_the_folders_of_others(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    names = ["run-books", "run-20260101T000000000000Z-00000000-mine", "runs"]
    for name in names:
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / "mine.txt").write_text("mine")
    for _ in range(2):
        await export(aiwyn.invoices.list(), f"{tmp_path}/x/", replace=True)
    assert all((tmp_path / "x" / name / "mine.txt").exists() for name in names)
    assert len(list((tmp_path / "x").iterdir())) == len(names) + 2


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
    rows = read(tmp_path / "x", partitioning=hive).select(whole.column_names)
    assert rows.sort_by("id") == whole.sort_by("id")
    assert len(manifest.files) == len(whole[column].unique())
    assert all(f"/{column}=" in file.path for file in manifest.files)


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


@pytest.mark.parametrize(("rows", "files"), [(1000, 1), (300, 2), (250, 3), (50, 6)])
async def test_files_have_as_many_rows_as_requested(
    rows: int, files: int, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    await export(aiwyn.invoices.pull(page_size=10), f"{tmp_path}/x/", row_group_rows=rows)
    manifest = read_manifest(tmp_path / "x")
    assert len(manifest.files) >= files
    assert read(tmp_path / "x").num_rows == 600
    groups = [pq.read_metadata(path).row_group(0).num_rows for path in manifest.paths]
    assert max(groups) <= rows


async def test_columns_and_compression_apply_to_datasets(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    chosen = ["totalAmount", "id"]
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", columns=chosen, compression="snappy")
    assert read(tmp_path / "x").column_names == chosen
    (path,) = read_manifest(tmp_path / "x").paths
    assert pq.read_metadata(path).row_group(0).column(0).compression == "SNAPPY"


async def test_text_ids_are_refused_until_all_ids_are_text(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = f"{tmp_path}/x/"
    box.faults.add(
        "invoices.list",
        nth=2,
        times=99,
        mutate=lambda body: body.replace(b'"clientId":', b'"clientId":"a","x":'),
    )
    with pytest.raises(ExportError, match='pass ids="text"'):
        await export(aiwyn.invoices.list(page_size=50), to)
    await export(aiwyn.invoices.list(page_size=50), to, ids="text", force=True)
    assert read(to).schema.field("clientId").type == pa.string()
    assert read(to).num_rows == 600


async def test_two_exports_to_one_dataset_are_refused(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    results = await asyncio.gather(
        *(export(aiwyn.invoices.pull(page_size=10), f"{tmp_path}/x/", replace=True) for _ in range(3)),
        return_exceptions=True,
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    assert len(errors) == 2
    assert all(
        isinstance(error, ExportError) and "another export is writing" in str(error) for error in errors
    )
    assert read(tmp_path / "x").num_rows == 600


async def test_unfinished_run_that_is_removed_during_an_export_is_an_error(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    write = LocalFolder.write

    def write_and_remove(self: LocalFolder, name: str, content: bytes) -> None:
        write(self, name, content)
        if name == UNFINISHED:
            self.remove(name)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFolder, "write", write_and_remove)
        with pytest.raises(ExportError, match="or files of this one were removed"):
            await export(aiwyn.invoices.pull(), f"{tmp_path}/x/")
    await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", replace=True)
    assert read(tmp_path / "x").num_rows == 600


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"keep": 0}, "keep must be an integer of at least 1, got 0"),
        ({"keep": True}, "keep must be an integer"),
        (
            {"partition_by": "totalAmount"},
            "'totalAmount' is not a column of text, integers, booleans or dates",
        ),
        ({"partition_by": "nothing"}, "choose from id, "),
        ({"partition_by": "status", "columns": ["status"]}, "'status' is the only column"),
        ({"csv_escape_formulas": True}, "is for .csv files"),
    ],
)
async def test_options_of_a_dataset_are_checked_before_a_request(
    options: dict[str, Any], text: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    with pytest.raises(ConfigurationError, match=text):
        await export(aiwyn.invoices.pull(), f"{tmp_path}/x/", **options)
    assert (box.calls(), list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("options", [{"keep": 2}, {"partition_by": "status"}])
async def test_options_of_a_dataset_are_refused_for_a_file(
    options: dict[str, Any], firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    with pytest.raises(ConfigurationError, match="are for datasets; end the path with a slash"):
        await export(aiwyn.invoices.pull(), tmp_path / "x.parquet", **options)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b"[" * 10_000])
async def test_damaged_manifest_is_refused(damage: bytes, firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    to = f"{tmp_path}/x/"
    await export(aiwyn.invoices.pull(), to)
    path = tmp_path / "x/_manifest.json"
    whole = json.loads(path.read_bytes())
    for content in (damage, json.dumps(whole | {"server": "https://other"}).encode()):
        path.write_bytes(content)
        with pytest.raises(
            ExportError, match="is damaged or was written by another release; pass force=True"
        ):
            read_manifest(to)
    await export(aiwyn.invoices.pull(), to, force=True)
    assert read(to).num_rows == 600


@pytest.mark.parametrize("damage", ["manifest", "file", "lost", "columns"])
async def test_damaged_run_is_not_resumed(damage: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = f"{tmp_path}/x/"
    box.faults.add("invoices.search", nth=30, times=1000, status=500)
    with pytest.raises(AiwynError):
        await export(aiwyn.invoices.pull(page_size=10), to, row_group_rows=100)
    box.faults.clear()
    unfinished = tmp_path / "x/_partial"
    first = min(unfinished.glob("run-*/*.parquet"))
    if damage == "manifest":
        (unfinished / "_manifest.json").write_text("{}")
    elif damage == "file":
        first.write_bytes(first.read_bytes()[:-1] + b"x")
    elif damage == "lost":
        first.unlink()
    columns = ["id"] if damage == "columns" else None
    sent = len(box.requests)
    with pytest.raises(CheckpointError if columns else ExportError, match="pass force=True to start again"):
        await export(aiwyn.invoices.pull(page_size=10), to, row_group_rows=100, resume=True, columns=columns)
    assert len(box.requests) == sent
    await export(aiwyn.invoices.pull(page_size=10), to, replace=True)
    assert read(to).num_rows == 600


async def test_unfinished_run_must_be_continued_or_discarded(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    to = f"{tmp_path}/x/"
    box.faults.add("invoices.search", nth=30, times=1000, status=500)
    with pytest.raises(AiwynError):
        await export(aiwyn.invoices.pull(page_size=10), to, row_group_rows=100)
    box.faults.clear()
    with pytest.raises(ExportError, match=r"an unfinished export of .* exists; pass resume=True"):
        await export(aiwyn.invoices.pull(page_size=10), to, row_group_rows=100)
    sent = box.calls("invoices.search")
    result = await export(aiwyn.invoices.pull(page_size=10), to, row_group_rows=100, resume=True)
    assert (result.rows, read(to).num_rows) == (600, 600)
    assert box.calls("invoices.search") - sent < 60


@pytest.mark.parametrize("mode", ["force", "replace", "resume"])
async def test_finished_run_leaves_no_empty_folder_of_a_killed_one(
    mode: str, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    (tmp_path / "x/_partial/run-20260101T000000000000Z-00000000/status=PAID").mkdir(parents=True)
    await export(aiwyn.invoices.list(), f"{tmp_path}/x/", **{mode: True})  # type: ignore[arg-type]
    assert not (tmp_path / "x/_partial").exists()


async def test_rows_that_do_not_decode_are_in_the_manifest(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add(
        "invoices.list",
        times=99,
        mutate=lambda body: body.replace(b'"totalAmount":', b'"totalAmount":"a lot","x":', 1),
    )
    read_all = aiwyn.invoices.list(page_size=50, on_bad_row="collect")
    result = await export(read_all, f"{tmp_path}/x/", row_group_rows=100)
    manifest = read_manifest(tmp_path / "x")
    assert result.rows + len(manifest.bad_rows) == 600
    assert list(manifest.bad_rows) == read_all.bad_rows
    assert len(manifest.bad_rows) == result.report.bad_rows > 1


@pytest.mark.parametrize("shape", ["file://{}/x/", "file://{}/x"])
async def test_file_url_is_a_folder_on_the_disk(shape: str, firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    url = shape.format(tmp_path)
    for to in (url, Path(url)):
        result = await export(aiwyn.invoices.pull(), to, replace=True)
        assert (result.path, result.rows) == (str(tmp_path / "x"), 600)
        assert read_manifest(to).paths == read_manifest(tmp_path / "x").paths
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
