"""Staging directories and targets that were changed: refused, never joined."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, AiwynError, ExportError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.export._manifest import Manifest, decode_checked, write_manifest
from aiwyn_async.sandbox import Sandbox
from broken_exports import start_broken_export


def cut(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-500])


def flip(part: Path) -> None:
    """Change a byte; the size is unchanged."""
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def replace_by_folder(part: Path) -> None:
    part.unlink()
    part.mkdir()


@pytest.mark.parametrize(("suffix", "part"), [(".jsonl", "parts"), (".parquet", "part-000001")])
@pytest.mark.parametrize("spoil", [cut, flip, Path.unlink, replace_by_folder])
async def test_resume_refuses_a_damaged_part_before_a_request(
    spoil: Callable[[Path], None], suffix: str, part: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    spoil(await start_broken_export(box, aiwyn, target) / part)
    before = box.calls()

    with pytest.raises(ExportError, match=f"{part} is missing or damaged; pass force=True to start again"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    assert box.calls() == before
    assert not target.exists()

    assert (await export(aiwyn.invoices.list(page_size=20), target, force=True)).rows == 600


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff", b"null", b'{"zz":' + b"[" * 100_000, b'{"identity":"jsonl","server":"","parts":[]}'],
)
async def test_resume_refuses_an_invalid_manifest(
    content: bytes, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    (await start_broken_export(box, aiwyn, target) / "manifest.json").write_bytes(content)
    with pytest.raises(
        ExportError, match="is damaged or was written by another release; pass force=True to start again"
    ):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    assert not target.exists()


@pytest.mark.parametrize("change", [{"version": 99}, {"position": {"x": 1}}, {"query": "another"}])
async def test_resume_refuses_a_checkpoint_of_another_release_or_query(
    change: dict[str, Any], firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    path = await start_broken_export(box, aiwyn, target) / "manifest.json"
    manifest = decode_checked(path.read_bytes(), Manifest)
    checkpoint = json.dumps(json.loads(manifest.checkpoint) | change)
    write_manifest(path, msgspec.structs.replace(manifest, checkpoint=checkpoint))
    with pytest.raises(ExportError, match="was written by another release; pass force=True to start again"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    assert not target.exists()


@pytest.mark.parametrize("name", ["parts", "rows", "limit", "checkpoint"])
async def test_resume_refuses_an_edited_manifest(
    name: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.parquet"
    path = await start_broken_export(box, aiwyn, target) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    if name == "parts":
        del manifest["parts"][1]
    elif name == "rows":
        manifest["parts"][0]["rows"] -= 1
    elif name == "limit":
        manifest["limit"] = 5
    else:
        manifest["checkpoint"] = manifest["checkpoint"].replace("1", "2", 1)
    path.write_text(json.dumps(manifest))
    with pytest.raises(
        ExportError, match="is damaged or was written by another release; pass force=True to start again"
    ):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)


def drop_last_part(manifest: Manifest) -> None:
    del manifest.parts[-1]


def drop_last_part_and_its_rows(manifest: Manifest) -> None:
    assert manifest.list_report is not None
    manifest.list_report.rows_yielded -= manifest.parts.pop().rows


def count_fewer_rows(manifest: Manifest) -> None:
    manifest.parts[0] = msgspec.structs.replace(manifest.parts[0], rows=1)


def count_bad_rows(manifest: Manifest) -> None:
    assert manifest.list_report is not None
    manifest.list_report.bad_rows += 3


EDITS = [drop_last_part, drop_last_part_and_its_rows, count_fewer_rows, count_bad_rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".duckdb"])
@pytest.mark.parametrize("edit", EDITS)
async def test_resume_compares_the_rows_of_all_parts_with_the_report(
    edit: Callable[[Manifest], None], suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    """The check value was computed again after the edit."""
    box, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    path = await start_broken_export(box, aiwyn, target) / "manifest.json"
    manifest = decode_checked(path.read_bytes(), Manifest)
    edit(manifest)
    write_manifest(path, manifest)
    with pytest.raises(ExportError, match="pass force=True to start again"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    assert not target.exists()
    assert path.exists()


@pytest.mark.parametrize("edit", [drop_last_part, count_fewer_rows, count_bad_rows])
async def test_finished_export_whose_rows_differ_from_its_report_is_refused(
    edit: Callable[[Manifest], None], firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=20), target)
    path = tmp_path / ".x.jsonl.done"
    manifest = decode_checked(path.read_bytes(), Manifest)
    edit(manifest)
    write_manifest(path, manifest)
    with pytest.raises(ExportError, match="already exists; pass force=True to replace it"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)


@pytest.mark.parametrize("read", ["list", "search", "pull"])
async def test_export_of_a_resumed_read_has_the_rows_after_its_checkpoint(
    read: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    reading = getattr(aiwyn.invoices, read)(page_size=20)
    async with aclosing(reading.pages()) as pages:
        page = await anext(pages)
    target = tmp_path / "x.jsonl"
    route = "invoices.list" if read == "list" else "invoices.search"
    box.faults.add(route, nth=15, times=99, status=401)
    with pytest.raises(AiwynError):
        await export(reading.resume_from(page.checkpoint), target)
    box.faults.clear()

    done = await export(reading.resume_from(page.checkpoint), target, resume=True)
    assert (done.rows, done.report.rows_yielded, done.report.complete) == (580, 600, True)
    assert (await export(reading.resume_from(page.checkpoint), target, resume=True)).rows == 580


async def test_staging_folder_is_made_private(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.parquet"
    folder = await start_broken_export(box, aiwyn, target)
    folder.chmod(0o777)
    for path in folder.iterdir():
        path.chmod(0o666)
    modes: set[int] = set()

    def check_mode(_: Progress) -> None:
        if folder.exists():  # until the end
            modes.update(path.stat().st_mode & 0o777 for path in (folder, *folder.glob("part-*")))

    await export(aiwyn.invoices.list(page_size=20), target, resume=True, on_progress=check_mode)
    assert modes == {0o700, 0o600}


async def test_staging_folder_of_another_user_is_refused(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    folder = tmp_path / ".x.jsonl.partial"
    folder.mkdir()
    try:
        os.chown(folder, 65_534, 65_534)
    except PermissionError:
        pytest.skip("this user may not change the owner of a folder")
    with pytest.raises(ExportError, match="belongs to another user"):
        await export(aiwyn.invoices.list(), tmp_path / "x.jsonl", force=True)
    assert box.calls() == 0


async def test_staging_folder_that_is_a_link_is_refused(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    (precious / "deep" / "file").write_text("mine")
    (tmp_path / ".x.jsonl.partial").symlink_to(precious)
    with pytest.raises(ExportError, match="symbolic link"):
        await export(aiwyn.invoices.list(), tmp_path / "x.jsonl", force=True)
    assert (precious / "deep" / "file").read_text() == "mine"
    assert box.calls() == 0


async def test_export_does_not_replace_a_file_created_during_it(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"

    def create_target(_: Progress) -> None:
        target.write_text("mine")

    with pytest.raises(ExportError, match=r"another program created.*resume=True"):
        await export(aiwyn.invoices.list(page_size=100), target, on_progress=create_target)
    assert target.read_text() == "mine"

    target.unlink()
    assert (await export(aiwyn.invoices.list(page_size=100), target, resume=True)).rows == 600
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{target.name}.done", target.name]
