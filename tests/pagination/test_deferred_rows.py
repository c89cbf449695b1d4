"""Lists, pulls and exports of rows whose costly fields are decoded on first access."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, Invoice, InvoiceSearchRow, deferred
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox, Variant


async def test_lists_and_pulls_yield_equal_rows(aiwyn: AiwynClient) -> None:
    plain = await aiwyn.invoices.list().collect()
    rows: list[Invoice] = await aiwyn.invoices.list(page_size=20).decode_as(deferred(Invoice)).collect()
    assert rows == plain
    pulled = [row async for row in aiwyn.invoices.pull(page_size=20).decode_as(deferred(Invoice))]
    assert {row.id: row for row in pulled} == {row.id: row for row in plain}


async def test_bad_and_repaired_rows_are_reported(aiwyn: AiwynClient, box: Sandbox) -> None:
    def with_bad_rows(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        page["deid_invoice"][1]["dueDate"] = "soon"
        page["deid_invoice"][2] |= {"issueDate": " 2024-01-31 ", "totalAmount": " 7.50 "}
        return msgspec.json.encode(page)

    box.faults.add("invoices.list", every=1, mutate=with_bad_rows)
    pager = aiwyn.invoices.list(on_bad_row="collect").decode_as(deferred(Invoice))
    rows = await pager.collect()
    assert len(rows) == 94
    assert [(bad.index, "dueDate" in bad.error) for bad in pager.bad_rows] == [(1, True)]
    assert rows[1].total_amount == Decimal("7.50")
    assert pager.report.repaired_rows == 1


async def test_pull_resumes_with_deferred_rows(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=20, ordered=True)
    async for batch in pull.pages():
        if batch.number == 1:
            break
    assert pull.checkpoint is not None
    rest = (
        aiwyn.invoices.pull(page_size=20, ordered=True)
        .decode_as(deferred(InvoiceSearchRow))
        .resume_from(pull.checkpoint)
    )
    assert len(await rest.collect()) == 75


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".duckdb"])
async def test_export_has_the_columns_of_the_plain_rows(
    aiwyn: AiwynClient, tmp_path: Path, suffix: str
) -> None:
    plain, target = tmp_path / f"plain{suffix}", tmp_path / f"deferred{suffix}"
    await export(aiwyn.invoices.list(), plain)
    await export(aiwyn.invoices.list().decode_as(deferred(Invoice)), target)
    if suffix == ".duckdb":
        assert target.stat().st_size == plain.stat().st_size
    else:
        assert target.read_bytes() == plain.read_bytes()


async def test_arrow_stream_has_the_columns_of_the_plain_rows(aiwyn: AiwynClient) -> None:
    plain = await asyncio.to_thread(pa.table, aiwyn.invoices.pull(ordered=True))
    table = await asyncio.to_thread(pa.table, aiwyn.invoices.pull(ordered=True).decode_as(deferred(Invoice)))
    assert table == plain


async def test_rows_in_another_spelling_are_decoded() -> None:
    async with (
        Sandbox(invoices=30, seed=7, variant=Variant(snake_case=True)) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        plain = await aiwyn.invoices.list().collect()
        assert await aiwyn.invoices.list().decode_as(deferred(Invoice)).collect() == plain
        assert all(row.total_amount for row in plain)
