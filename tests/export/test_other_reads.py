"""Exports of a read that has rows which the stored export lacks, or fewer rows than it has."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, Checkpoint, Invoice, Progress, PullReport, ServerError
from aiwyn_async.errors import AiwynError, CheckpointError
from aiwyn_async.export import export
from aiwyn_async.export._staging import Staging
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late

Firm = tuple[Sandbox, AiwynClient]
TARGETS = ["x.jsonl", "x.parquet", "x/"]


async def checkpoint_after(rows: int, aiwyn: AiwynClient) -> Checkpoint:
    pages = [page async for page in aiwyn.invoices.list(page_size=20).pages()]
    return pages[rows // 20 - 1].checkpoint


def without_last_key(body: bytes) -> bytes:
    page = msgspec.json.decode(body)
    for row in page["deid_invoice"][-1:]:
        row["id"] = None
    return msgspec.json.encode(page)


async def export_part(box: Sandbox, read: Any, target: str) -> None:
    """Start an export that fails after 500 rows of the list."""
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(read, target)
    box.faults.clear()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("finished", [True, False])
async def test_resume_refuses_an_export_that_started_from_a_later_checkpoint(
    finished: bool, name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    checkpoint = await checkpoint_after(100, aiwyn)
    rest = aiwyn.invoices.list(page_size=20, resume=checkpoint)
    if finished:
        assert (await export(rest, target)).rows == 500
    else:
        await export_part(box, rest, target)
    calls = box.calls()
    with pytest.raises(AiwynError, match="already" if finished else "lacks rows of this read; pass force"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    assert box.calls() == calls

    rest = aiwyn.invoices.list(page_size=20, resume=checkpoint)
    assert (await export(rest, target, resume=True)).rows == 500


@pytest.mark.parametrize("name", TARGETS)
async def test_resume_of_a_whole_export_takes_the_checkpoint_of_its_error(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await export_part(box, aiwyn.invoices.list(page_size=20), target)
    checkpoint = await checkpoint_after(500, aiwyn)
    for _ in range(2):
        rest = aiwyn.invoices.list(page_size=20, resume=checkpoint)
        done = await export(rest, target, resume=True)
        assert (done.rows, done.report.complete) == (600, True)


@pytest.mark.parametrize("name", TARGETS)
async def test_replace_starts_again_if_the_export_started_from_a_later_checkpoint(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    rest = aiwyn.invoices.list(page_size=20, resume=await checkpoint_after(100, aiwyn))
    await export_part(box, rest, target)
    done = await export(aiwyn.invoices.list(page_size=20), target, replace=True)
    assert (done.rows, done.report.complete) == (600, True)


async def test_resume_refuses_a_later_start_after_a_kill_before_cleanup(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    target = tmp_path / "x.jsonl"

    def stop_here(_: Any) -> None:
        raise SystemError("killed")

    rest = aiwyn.invoices.list(page_size=20, resume=await checkpoint_after(100, aiwyn))
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "finish", stop_here)
        with pytest.raises(SystemError):
            await export(rest, target)
    with pytest.raises(CheckpointError, match="started from a checkpoint and lacks rows of this read"):
        await export(aiwyn.invoices.list(page_size=20), target, resume=True)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("starts_after", [0, 100])
async def test_resume_refuses_a_limit_below_the_rows_of_the_export(
    starts_after: int, name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    options: dict[str, Any] = {"page_size": 20}
    if starts_after:
        options["resume"] = await checkpoint_after(starts_after, aiwyn)
    await export_part(box, aiwyn.invoices.list(**options), target)
    calls = box.calls()
    for limit in (100, 499):
        with pytest.raises(CheckpointError, match=f"has 500 rows, more than the limit of {limit}; "):
            await export(aiwyn.invoices.list(limit=limit, **options), target, resume=True)
    assert box.calls() == calls

    done = await export(aiwyn.invoices.list(limit=510, **options), target, resume=True)
    assert done.rows == 510 - starts_after


@pytest.mark.parametrize("name", TARGETS)
async def test_resume_takes_a_limit_of_just_the_rows_of_the_export(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await export_part(box, aiwyn.invoices.list(page_size=20), target)
    done = await export(aiwyn.invoices.list(page_size=20, limit=500), target, resume=True)
    assert (done.rows, done.report.complete) == (500, True)


@pytest.mark.parametrize("name", TARGETS)
async def test_replace_starts_again_below_the_rows_of_the_export(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await export_part(box, aiwyn.invoices.list(page_size=20), target)
    done = await export(aiwyn.invoices.list(page_size=20, limit=100), target, replace=True)
    assert (done.rows, done.report.complete) == (100, True)


@pytest.mark.parametrize("name", TARGETS)
async def test_resume_starts_again_if_its_read_does(name: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    pull = aiwyn.invoices.pull(page_size=20, ordered=True, on_bad_row="collect").decode_as(Invoice)
    calls = count()
    box.faults.add("invoices.search", times=99, status=500, match=lambda _: next(calls) > 15)
    with pytest.raises(ServerError):
        await export(pull, f"{tmp_path}/{name}")
    box.faults.clear()
    box.faults.add("invoices.search", every=1, mutate=without_last_key)

    seen: list[Progress] = []
    done = await export(pull, f"{tmp_path}/{name}", resume=True, on_progress=seen.append)

    whole = await export(pull, f"{tmp_path}/whole{name}")
    assert (done.rows, done.report.bad_rows) == (whole.rows, whole.report.bad_rows)
    assert done.report.rows_yielded == 600
    assert isinstance(done.report, PullReport)
    assert "changed to full scans" in str(done.report.fallback_reason)
    assert [progress.rows for progress in seen[-31:-1]] == list(range(20, 601, 20))


async def test_export_of_a_resumed_pull_that_changes_to_full_scans_has_every_row(
    firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    pull = aiwyn.invoices.pull(page_size=20, ordered=True, on_bad_row="collect")
    pages = [page async for page in pull.pages()]
    box.faults.add("invoices.search", every=1, mutate=without_last_key)

    done = await export(pull.resume_from(pages[4].checkpoint), tmp_path / "x.jsonl")

    assert done.rows + done.report.bad_rows == 600
    assert len((tmp_path / "x.jsonl").read_bytes().splitlines()) == done.rows
