"""Parts appended to one file: each byte is written once, and uncommitted bytes are dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiwyn_async import AiwynClient, ExportError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from broken_exports import start_broken_export

INVOICES = 600
PAGE_SIZE = 20


def appended_file(target: Path) -> Path:
    return target.parent / f".{target.name}.partial" / "parts"


async def test_jsonl_parts_are_written_once(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    seen: set[int] = set()

    def check_parts(_: Progress) -> None:
        if appended_file(target).exists():
            seen.add(appended_file(target).stat().st_ino)
            names = {path.name for path in appended_file(target).parent.iterdir()}
            assert {name for name in names if "manifest" not in name} == {"parts"}

    done = await export(aiwyn.invoices.pull(page_size=PAGE_SIZE, ranges=1, on_progress=check_parts), target)
    assert done.rows == INVOICES
    assert seen == {target.stat().st_ino}


@pytest.mark.parametrize("at", [250, 450, INVOICES])
async def test_appended_file_that_disappears_is_an_error(
    at: int, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    opened: list[Path] = []

    def record(progress: Progress) -> None:
        if progress.rows >= at and appended_file(target).exists() and not opened:
            opened.append(appended_file(target))
            appended_file(target).unlink()

    with pytest.raises(ExportError, match=r"parts is missing or damaged|cannot write .*parts: No such file"):
        await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, on_progress=record)
    assert opened
    assert not target.exists()


@pytest.mark.parametrize("left", [b'{"id":1', b'{"id":1}\n', b"\x00" * 100_000])
async def test_resume_overwrites_bytes_after_the_last_committed_part(
    left: bytes, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    uninterrupted, target = tmp_path / "uninterrupted.jsonl", tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=PAGE_SIZE), uninterrupted)

    await start_broken_export(box, aiwyn, target)
    with appended_file(target).open("ab") as file:
        file.write(left)

    assert (await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, resume=True)).rows == INVOICES
    assert target.read_bytes() == uninterrupted.read_bytes()
    assert {path.name for path in tmp_path.glob("[!.]*")} == {uninterrupted.name, target.name}


async def test_resume_cuts_off_bytes_after_the_last_row(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    uninterrupted, target = tmp_path / "uninterrupted.jsonl", tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=PAGE_SIZE), uninterrupted)

    def remove_file(_: Progress) -> None:
        target.write_text("mine")

    with pytest.raises(ExportError, match="another program created"):
        await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, on_progress=remove_file)
    target.unlink()
    with appended_file(target).open("ab") as file:
        file.write(b'{"id":1')

    done = await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, resume=True)
    assert (done.rows, done.bytes) == (INVOICES, uninterrupted.stat().st_size)
    assert target.read_bytes() == uninterrupted.read_bytes()
