"""Datasets of files that several processes wrote, one for each partition of a plan."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, Plan
from aiwyn_async.errors import ExportError, IncompleteError
from aiwyn_async.export import commit_parts, export, part_name, read_manifest
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]


async def export_parts(aiwyn: AiwynClient, folder: Path) -> tuple[Plan, dict[int, str]]:
    """Export all partitions; return the plan and the reports as workers send them."""
    plan = await aiwyn.invoices.plan(parts=4, page_size=50)
    reports: dict[int, str] = {}
    for partition in plan.partitions:
        pull = aiwyn.read(partition)
        await export(pull, folder / part_name(partition.number), resume=True)
        reports[partition.number] = pull.report.to_json()
    return plan, reports


async def test_committed_parts_are_a_dataset(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    plan, reports = await export_parts(aiwyn, tmp_path)
    manifest = commit_parts(plan, reports, tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert (manifest.rows, len(manifest.files)) == (600, len(plan.partitions))
    assert manifest.report == plan.commit(reports)
    invoices = [invoice async for invoice in aiwyn.invoices.list()]
    ids = [key for path in manifest.paths for key in pq.read_table(path)["id"].to_pylist()]
    assert sorted(ids) == sorted(invoice.id for invoice in invoices)
    assert manifest.sums["totalAmount"] == sum((each.total_amount or 0 for each in invoices), Decimal(0))


async def test_parts_are_not_committed_without_every_report(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    plan, reports = await export_parts(aiwyn, tmp_path)
    del reports[2]
    with pytest.raises(IncompleteError, match="no report of partition 2"):
        commit_parts(plan, reports, tmp_path)
    with pytest.raises(ExportError, match="has no complete dataset"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "torn", "fewer rows", "other columns"])
async def test_parts_are_not_committed_without_every_file(damage: str, firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    plan, reports = await export_parts(aiwyn, tmp_path)
    path = tmp_path / part_name(1)
    table = pq.read_table(path)
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "fewer rows":
        pq.write_table(table.slice(1), path)
    else:
        pq.write_table(table.drop_columns(["totalAmount"]), path)
    expected = {
        "missing": "part-000001.parquet is missing or damaged; export partition 1 again",
        "torn": "part-000001.parquet is missing or damaged; export partition 1 again",
        "fewer rows": "part-000001.parquet has 149 rows, but its report has 150; export partition 1 again",
        "other columns": "part-000001.parquet has other columns than the files before it",
    }
    with pytest.raises(ExportError, match=expected[damage]):
        commit_parts(plan, reports, tmp_path)
    with pytest.raises(ExportError, match="has no complete dataset"):
        read_manifest(tmp_path)


async def test_rows_in_the_file_of_another_part_are_not_committed(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    plan, reports = await export_parts(aiwyn, tmp_path)
    first, second = (tmp_path / part_name(number) for number in (0, 1))
    rows = pq.read_table(first)
    # One row is lost and another one is there twice, so the total is that of the reports.
    pq.write_table(rows.slice(1), first)
    pq.write_table(pa.concat_tables([pq.read_table(second), rows.slice(1, 1)]), second)
    with pytest.raises(ExportError, match=r"part-000000\.parquet has 149 rows, but its report has 150"):
        commit_parts(plan, reports, tmp_path)
    with pytest.raises(ExportError, match="has no complete dataset"):
        read_manifest(tmp_path)
