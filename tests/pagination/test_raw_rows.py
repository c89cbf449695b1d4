"""Rows as ``msgspec.Raw``."""

from __future__ import annotations

import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Drift, Sandbox


async def test_raw_rows_are_those_of_the_items(aiwyn: AiwynClient, box: Sandbox) -> None:
    """Also after duplicate rows, and on a page cut by the limit."""
    box.drift = Drift(insert=3)
    pager = aiwyn.invoices.list(page_size=20, limit=50)
    seen = 0
    async for page in pager.pages():
        assert [msgspec.json.decode(raw)["id"] for raw in page.raw_items()] == [row.id for row in page.items]
        seen += len(page)
    assert seen == 50
    assert pager.report.duplicates > 0


@pytest.mark.parametrize("form", ["first", "spaced", "last", "text"])
async def test_raw_rows_are_deduplicated_by_key_at_any_position(
    aiwyn: AiwynClient, box: Sandbox, form: str
) -> None:
    def reform(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        for row in page["deid_invoice"]:
            key = row.pop("id")
            row["id"] = str(key) if form == "text" else key
        if form in {"first", "spaced"}:
            page["deid_invoice"] = [{"id": row["id"]} | row for row in page["deid_invoice"]]
        reformed = msgspec.json.encode(page)
        return msgspec.json.format(reformed, indent=2) if form == "spaced" else reformed

    box.faults.add("invoices.list", times=1000, mutate=reform)
    box.drift = Drift(insert=1)
    pager = aiwyn.invoices.list(page_size=20).decode_as(msgspec.Raw)
    keys = [msgspec.json.decode(row)["id"] async for row in pager]
    assert len(keys) == len(set(keys)) >= 95
    assert pager.report.duplicates > 0
