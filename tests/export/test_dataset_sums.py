"""The sums in the manifest of a dataset are exact."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.export import commit_parts, export, part_name, read_manifest
from aiwyn_async.export._dataset.files import sum_money
from aiwyn_async.export._dataset.manifest import add_sums
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]
LARGEST = 10**29 - 1


@pytest.fixture
def low_precision() -> Iterator[None]:
    with decimal.localcontext() as context:
        context.prec = 6
        yield


async def exact_sum(aiwyn: AiwynClient) -> Decimal:
    cents = [int((invoice.total_amount or 0) * 100) async for invoice in aiwyn.invoices.list()]
    return Decimal(f"{sum(cents)}e-2")


@pytest.mark.usefixtures("low_precision")
async def test_sums_of_a_dataset_ignore_the_context_of_the_caller(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    with decimal.localcontext(decimal.Context(prec=50)):
        expected = await exact_sum(aiwyn)
    await export(aiwyn.invoices.list(page_size=20), f"{tmp_path}/x/", row_group_rows=100)
    manifest = read_manifest(tmp_path / "x")
    assert len(manifest.files) > 1
    assert manifest.sums["totalAmount"] == expected


@pytest.mark.usefixtures("low_precision")
async def test_sums_of_committed_parts_ignore_the_context_of_the_caller(firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    with decimal.localcontext(decimal.Context(prec=50)):
        expected = await exact_sum(aiwyn)
    plan = await aiwyn.invoices.plan(parts=4)
    reports: dict[int, str] = {}
    for partition in plan.partitions:
        pull = aiwyn.read(partition)
        await export(pull, tmp_path / part_name(partition.number))
        reports[partition.number] = pull.report.to_json()
    assert commit_parts(plan, reports, tmp_path).sums["totalAmount"] == expected


@pytest.mark.parametrize("rows", [1, 2, 10, 20, 100])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_of_the_largest_amounts_are_exact(sign: int, rows: int) -> None:
    amounts = [Decimal(sign * LARGEST)] * rows
    table = pa.table({"amount": pa.array([*amounts, None], pa.decimal128(38, 9))})
    assert sum_money(table) == {"amount": Decimal(sign * LARGEST * rows)}
    more = add_sums(sum_money(table), {"amount": Decimal("1e-9")})
    assert more == {"amount": Decimal(f"{sign * LARGEST * rows * 10**9 + 1}e-9")}


def test_sum_of_no_amounts_is_zero() -> None:
    table = pa.table({"amount": pa.array([None, None], pa.decimal128(38, 9)), "id": [1, 2]})
    assert sum_money(table) == sum_money(table.slice(0, 0)) == {"amount": 0}
