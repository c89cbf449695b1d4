"""Exports that run again: resumed if finished, replaced every night, refused for another query."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from aiwyn_async import (
    AiwynClient,
    AiwynError,
    ConfigurationError,
    ExportError,
    F,
    IncompleteError,
    ServerError,
)
from aiwyn_async.export import export
from aiwyn_async.export._manifest import Manifest, decode_checked, write_manifest
from aiwyn_async.export._staging import Staging
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late, start_broken_export

Firm = tuple[Sandbox, AiwynClient]
SUFFIXES = [".jsonl", ".csv", ".parquet", ".duckdb"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("read", ["list", "pull"])
async def test_resume_of_a_finished_export_returns_its_result_and_requests_nothing(
    read: str, suffix: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    done = await export(getattr(aiwyn.invoices, read)(page_size=100), target)
    content, calls = target.read_bytes(), box.calls()

    for _ in range(2):
        rows = getattr(aiwyn.invoices, read)(page_size=100)
        again = await export(rows, target, resume=True)

        assert (again.path, again.rows, again.bytes, again.report) == (
            done.path,
            done.rows,
            done.bytes,
            done.report,
        )
        assert rows.report == done.report
    assert (box.calls(), target.read_bytes()) == (calls, content)
    assert {path.name for path in tmp_path.iterdir()} == {target.name, f".{target.name}.done"}


async def test_resume_of_a_finished_export_by_full_scans_requests_nothing(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    done = await export(aiwyn.payments.pull(), tmp_path / "x.csv")
    calls = box.calls()
    again = await export(aiwyn.payments.pull(), tmp_path / "x.csv", resume=True)
    assert (again.rows, again.report, box.calls()) == (done.rows, done.report, calls)


async def test_resume_refuses_a_finished_file_of_another_query_limit_or_content(
    firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=100), target)
    calls = box.calls()

    for other in (
        aiwyn.invoices.list(page_size=100, status="PAID"),
        aiwyn.invoices.list(page_size=100, limit=5),
        aiwyn.invoices.pull(),
    ):
        with pytest.raises(ExportError, match="already exists"):
            await export(other, target, resume=True)
    target.write_bytes(target.read_bytes() + b"\n")
    with pytest.raises(ExportError, match="already exists"):
        await export(aiwyn.invoices.list(page_size=100), target, resume=True)
    assert box.calls() == calls


async def test_resume_of_a_finished_export_returns_its_bad_rows(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", nth=2, times=9, mutate=_spoil_first_row)
    target = tmp_path / "x.parquet"
    rows = aiwyn.invoices.list(page_size=100, on_bad_row="collect")
    await export(rows, target)
    again = aiwyn.invoices.list(page_size=100, on_bad_row="collect")

    done = await export(again, target, resume=True)

    assert (done.rows, done.report.bad_rows, len(again.bad_rows)) == (595, 5, 5)
    assert again.bad_rows == rows.bad_rows


async def test_resume_returns_bad_rows_of_earlier_runs(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.csv"
    spoiled = box.faults.add("invoices.list", nth=2, times=1, mutate=_spoil_first_row)
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20, on_bad_row="collect"), target)
    assert spoiled.hits
    box.faults.clear()

    rows = aiwyn.invoices.list(page_size=20, on_bad_row="collect")
    done = await export(rows, target, resume=True)

    assert (done.rows, done.report.bad_rows) == (599, 1)
    assert [b'"a lot"' in bad.raw for bad in rows.bad_rows] == [True]


def _spoil_first_row(body: bytes) -> bytes:
    page = json.loads(body)
    if page["deid_invoice"]:
        page["deid_invoice"][0]["totalAmount"] = "a lot"
    return json.dumps(page).encode()


async def test_strict_resume_refuses_an_incomplete_finished_export(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add(
        "invoices.list", times=99, mutate=lambda body: body.replace(b'"count":600', b'"count":700')
    )
    target = tmp_path / "x.jsonl"
    done = await export(aiwyn.invoices.list(), target)
    assert not done.report.complete
    with pytest.raises(IncompleteError, match=r"may be incomplete.*; pass force=True to export it"):
        await export(aiwyn.invoices.list(strict=True), target, resume=True)


@pytest.mark.parametrize("flags", [("force", "resume"), ("force", "replace"), ("resume", "replace")])
async def test_force_resume_and_replace_exclude_each_other(
    flags: tuple[str, str], firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    options: dict[str, Any] = dict.fromkeys(flags, True)
    target = tmp_path / "x.jsonl"
    await start_broken_export(box, aiwyn, target)
    calls = box.calls()
    with pytest.raises(ConfigurationError, match="exclude each other; pass only replace=True"):
        await export(aiwyn.invoices.list(page_size=20), target, **options)
    assert box.calls() == calls


async def test_resume_of_a_forced_export_replaces_the_file(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(limit=5), target)
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target, force=True)
    box.faults.clear()
    assert len(target.read_text().splitlines()) == 5

    done = await export(aiwyn.invoices.list(page_size=20), target, resume=True)

    assert (done.rows, len(target.read_text().splitlines())) == (600, 600)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mode", ["force", "replace"])
async def test_resume_continues_the_export_that_is_to_replace_a_finished_one(
    mode: str, suffix: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    await export(aiwyn.invoices.list(page_size=20), target)
    box.insert("invoices", count=7)
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    options: dict[str, Any] = {mode: True}
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target, **options)
    box.faults.clear()
    before = box.calls("invoices.list")

    done = await export(aiwyn.invoices.list(page_size=20), target, resume=True)

    assert (done.rows, rows_in(target), done.report.complete) == (607, 607, True)
    assert box.calls("invoices.list") - before < 15


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_replace_writes_the_file_again_each_time(suffix: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    for rows in (600, 607, 614):
        done = await export(aiwyn.invoices.pull(), target, replace=True)
        assert (done.rows, done.report.complete) == (rows, True)
        box.insert("invoices", count=7)
    assert rows_in(target) == 614


def rows_in(path: Path) -> int:
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as file:
            return len(file.execute("SELECT id FROM invoices").fetchall())
    result = duckdb.execute(f"SELECT count(*) FROM '{path}'").fetchone()
    assert result is not None
    return int(result[0])


async def test_replace_continues_a_recent_unfinished_export(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    target.write_text("of yesterday\n")
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target, replace=True)
    box.faults.clear()
    assert target.read_text() == "of yesterday\n"
    before = box.calls("invoices.list")

    done = await export(aiwyn.invoices.list(page_size=20), target, replace=True)

    assert (done.rows, rows_in(target)) == (600, 600)
    assert box.calls("invoices.list") - before < 15


@pytest.mark.parametrize("spoiled_by", ["age", "clock", "edited", "damage", "lost part", "query"])
async def test_replace_starts_again_if_it_cannot_continue(
    spoiled_by: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    folder = await start_broken_export(box, aiwyn, target)
    path = folder / "manifest.json"
    if spoiled_by in {"age", "clock"}:
        manifest = decode_checked(path.read_bytes(), Manifest)
        moved = manifest.started_at + (-13 * 3600 if spoiled_by == "age" else 3600)
        write_manifest(path, msgspec.structs.replace(manifest, started_at=moved))
    elif spoiled_by == "edited":
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"started_at": time.time()}))
    elif spoiled_by == "damage":
        path.write_bytes(b"\xff{")
    elif spoiled_by == "lost part":
        (folder / "parts").unlink()
    before = box.calls("invoices.list")

    status = "PAID" if spoiled_by == "query" else None
    done = await export(aiwyn.invoices.list(page_size=20, status=status), target, replace=True)

    expected = box.scalar("SELECT count(*) FROM invoices WHERE status = ?", (status,)) if status else 600
    assert isinstance(expected, int)
    assert (done.rows, rows_in(target), done.report.complete) == (expected, expected, True)
    assert box.calls("invoices.list") - before >= expected // 20


async def test_replace_reads_again_after_a_kill_before_cleanup(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.parquet"

    def stop_here(_: Any) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "finish", stop_here)
        with pytest.raises(SystemError):
            await export(aiwyn.invoices.pull(page_size=10), target)
    box.insert("invoices", count=7)

    assert (await export(aiwyn.invoices.pull(page_size=10), target, replace=True)).rows == 607


async def test_replace_refuses_links_folders_and_a_running_export(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere")
    for name, text in [("folder.csv", "is a folder"), ("link.csv", "symbolic link")]:
        with pytest.raises(ExportError, match=text):
            await export(aiwyn.invoices.list(), tmp_path / name, replace=True)
    assert box.calls() == 0


async def test_finished_export_does_not_hide_a_deleted_file(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(), target)
    target.unlink()
    assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 600
    assert rows_in(target) == 600


@pytest.mark.parametrize("content", [b"", b"\xff", b"null", b"{}", b'{"identity":1}'])
async def test_damaged_manifest_of_a_finished_export_is_ignored(
    content: bytes, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(), target)
    (tmp_path / ".x.jsonl.done").write_bytes(content)
    with pytest.raises(ExportError, match="already exists"):
        await export(aiwyn.invoices.list(), target, resume=True)


@pytest.mark.parametrize(
    "to",
    [
        "s3://bucket/x.parquet",
        "gs://b/x.csv",
        "abfs://c@a/x.duckdb",
        "https://h/x.jsonl",
        "file:///tmp/x.csv",
    ],
)
async def test_export_refuses_a_url_as_target(to: str, firm: Firm) -> None:
    box, aiwyn = firm
    for target in (to, Path(to)):
        with pytest.raises(
            ConfigurationError, match=r"^\w+://\S+ is a URL, and only datasets can be written to URLs"
        ):
            await export(aiwyn.invoices.list(), target)
    assert box.calls() == 0


async def test_errors_name_keyword_arguments(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await start_broken_export(box, aiwyn, target)
    with pytest.raises(ExportError, match="pass resume=True to continue it or force=True to discard it"):
        await export(aiwyn.invoices.list(page_size=20), target)
    await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    with pytest.raises(AiwynError, match="already exists; pass force=True to replace it"):
        await export(aiwyn.invoices.search(F.id > 0), target)


async def test_complete_strict_export_is_written_and_resumed(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    for _ in range(2):
        result = await export(aiwyn.invoices.list(strict=True), tmp_path / "x.jsonl", resume=True)
        assert (result.rows, result.report.complete) == (600, True)
