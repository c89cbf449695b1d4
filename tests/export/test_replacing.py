"""A run that replaces an output and fails before its first part: the old output is not its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, CheckpointError, ExportError, ServerError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]
TARGETS = ["x.jsonl", "x.csv.gz", "x.parquet", "x.duckdb", "x/"]


async def fail_to_replace(firm: Firm, target: str, mode: str) -> None:
    """Finish an export of a firm, insert an invoice, and replace the export by one without any page."""
    box, aiwyn = firm
    assert (await export(aiwyn.invoices.list(), target)).rows == 600
    box.insert("invoices")
    box.faults.add("invoices.list", times=99, status=500)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(), target, force=mode == "force", replace=mode == "replace")
    box.faults.clear()


@pytest.mark.parametrize("mode", ["force", "replace"])
@pytest.mark.parametrize("name", TARGETS)
async def test_resume_after_a_failed_replacement_reads_again(
    name: str, mode: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await fail_to_replace(firm, target, mode)

    done = await export(aiwyn.invoices.list(), target, resume=True)

    assert (done.rows, done.report.complete) == (601, True)
    calls = box.calls()
    assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 601
    assert box.calls() == calls


@pytest.mark.parametrize("name", TARGETS)
async def test_failed_replacement_is_not_resumed_by_another_query(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await fail_to_replace(firm, target, "force")
    calls = box.calls()
    with pytest.raises(CheckpointError, match="of another query; pass force=True"):
        await export(aiwyn.invoices.list(status="PAID"), target, resume=True)
    with pytest.raises(ExportError, match="already"):
        await export(aiwyn.invoices.list(), target)
    assert box.calls() == calls
    assert (await export(aiwyn.invoices.list(status="PAID"), target, replace=True)).report.complete


@pytest.mark.parametrize("name", TARGETS)
async def test_failed_first_export_leaves_nothing(name: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", times=99, status=500)
    modes: list[dict[str, Any]] = [{}, {"force": True}, {"replace": True}, {"resume": True}]
    for mode in modes:
        with pytest.raises(ServerError):
            await export(aiwyn.invoices.list(), f"{tmp_path}/{name}", **mode)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
async def test_resume_of_a_finished_export_without_rows_requests_nothing(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    assert (await export(aiwyn.invoices.list(client_id=987654321), target)).rows == 0
    calls = box.calls()
    assert (await export(aiwyn.invoices.list(client_id=987654321), target, resume=True)).rows == 0
    assert box.calls() == calls
    with pytest.raises(ExportError, match="already"):
        await export(aiwyn.invoices.list(), target, resume=True)
