"""A file that its parts are written into: each byte once, and nothing stays of what got no name."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiwyn_async import AiwynClient, ExportError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from broken_exports import broken_export

INVOICES = 600
PAGE_SIZE = 20


def grown(target: Path) -> Path:
    return target.parent / f".{target.name}.partial" / "parts"


async def test_lines_are_not_written_again(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    seen: set[int] = set()

    def look(_: Progress) -> None:
        if grown(target).exists():
            seen.add(grown(target).stat().st_ino)
            names = {path.name for path in grown(target).parent.iterdir()}
            assert {name for name in names if "manifest" not in name} == {"parts"}

    done = await export(aiwyn.invoices.pull(page_size=PAGE_SIZE, ranges=1, on_progress=look), target)
    assert done.rows == INVOICES
    assert seen == {target.stat().st_ino}


@pytest.mark.parametrize("at", [250, 450, INVOICES])
async def test_a_file_that_somebody_takes_away_is_missed(
    at: int, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"
    taken: list[Path] = []

    def take(progress: Progress) -> None:
        if progress.rows >= at and grown(target).exists() and not taken:
            taken.append(grown(target))
            grown(target).unlink()

    with pytest.raises(ExportError, match=r"parts is missing or damaged|cannot write .*parts: No such file"):
        await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, on_progress=take)
    assert taken
    assert not target.exists()


@pytest.mark.parametrize("left", [b'{"id":1', b'{"id":1}\n', b"\x00" * 100_000])
async def test_what_a_crash_left_behind_the_last_named_part_is_written_over(
    left: bytes, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    whole, target = tmp_path / "whole.jsonl", tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=PAGE_SIZE), whole)

    await broken_export(box, aiwyn, target)
    with grown(target).open("ab") as file:
        file.write(left)

    assert (await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, resume=True)).rows == INVOICES
    assert target.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.glob("[!.]*")} == {whole.name, target.name}


async def test_what_was_left_is_cut_off_also_where_no_row_is_missing(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    whole, target = tmp_path / "whole.jsonl", tmp_path / "x.jsonl"
    await export(aiwyn.invoices.list(page_size=PAGE_SIZE), whole)

    def make_it(_: Progress) -> None:
        target.write_text("mine")

    with pytest.raises(ExportError, match="another program created"):
        await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, on_progress=make_it)
    target.unlink()
    with grown(target).open("ab") as file:
        file.write(b'{"id":1')

    done = await export(aiwyn.invoices.list(page_size=PAGE_SIZE), target, resume=True)
    assert (done.rows, done.bytes) == (INVOICES, whole.stat().st_size)
    assert target.read_bytes() == whole.read_bytes()
