"""Bad rows and truncated pages of lists and searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F, Pager
from aiwyn_async.errors import DecodeError
from aiwyn_async.sandbox import Sandbox


def amount_as_text(index: int) -> Callable[[bytes], bytes]:
    """Replace the amount of one row of a page with text."""

    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        page["deid_invoice"][index]["totalAmount"] = "a lot"
        return msgspec.json.encode(page)

    return mutate


@pytest.mark.parametrize("index", [0, 4, 9])
@pytest.mark.parametrize("by_key", [False, True])
async def test_bad_row_is_raised_skipped_or_collected(
    aiwyn: AiwynClient, box: Sandbox, index: int, by_key: bool
) -> None:
    route = "invoices.search" if by_key else "invoices.list"
    box.faults.add(route, every=2, mutate=amount_as_text(index))

    def read(**options: Any) -> Any:
        resource = aiwyn.invoices
        return resource.search(page_size=10, **options) if by_key else resource.list(page_size=10, **options)

    with pytest.raises(DecodeError) as caught:
        await read().collect()
    assert caught.value.location == f"$.deid_invoice[{index}].totalAmount"
    assert caught.value.checkpoint is not None
    box.faults.clear()
    box.faults.add(route, nth=2, mutate=amount_as_text(index))
    pager = read(on_bad_row="collect")
    rows: list[Any] = []
    raws: list[msgspec.Raw] = []
    async for page in pager.pages():
        rows += page.items
        raws += page.raw_items()
    assert len(rows) == 94
    assert [msgspec.json.decode(raw)["id"] for raw in raws] == [row.id for row in rows]
    (bad,) = pager.bad_rows
    assert (bad.page, bad.index) == (1, index)
    assert msgspec.json.decode(bad.raw)["totalAmount"] == "a lot"
    assert (pager.report.bad_rows, pager.report.rows_yielded, pager.report.complete) == (1, 95, False)
    box.faults.add(route, nth=2, mutate=amount_as_text(index))
    assert len(await read(on_bad_row="skip").collect()) == 94


async def test_page_of_bad_rows_does_not_end_the_read(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", nth=2, mutate=lambda body: body.replace(b'"currency":', b'"currency":{},"x":')
    )
    assert len(await aiwyn.invoices.list(page_size=10, on_bad_row="skip").collect()) == 85


async def test_last_row_without_key_loses_no_other_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    def without_key(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        page["deid_invoice"][-1] = "?"
        return msgspec.json.encode(page)

    box.faults.add("invoices.search", nth=2, mutate=without_key)
    pager = aiwyn.invoices.search(page_size=10, on_bad_row="skip")

    assert len({row.id for row in await pager.collect()}) == 95
    assert (pager.report.bad_rows, pager.report.complete) == (1, False)


async def test_truncated_page_is_requested_again(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", nth=3, mutate=lambda body: body[:-700] + b"}")
    pager = aiwyn.invoices.list(page_size=10)
    assert len(await pager.collect()) == 95
    assert (pager.report.requests, pager.report.pages, pager.report.retries) == (11, 10, 1)
    box.faults.add("invoices.list", every=1, mutate=lambda body: body[:-700] + b"}")
    with pytest.raises(DecodeError) as caught:
        await aiwyn.invoices.list(page_size=10).collect()
    assert caught.value.malformed


@pytest.mark.parametrize("lacking", [set[int](), {2, 3, 4}, {1, 2, 3}, {0, 1}, {0, 1, 2, 3}, {1, 4}, {2}])
@pytest.mark.parametrize("method", ["list", "by_key", "by_instant"])
async def test_limit_within_a_page_longer_than_requested_loses_no_row_with_a_key(
    aiwyn: AiwynClient, box: Sandbox, lacking: set[int], method: str
) -> None:
    def read(**options: Any) -> Pager[dict[str, Any]]:
        if method == "list":
            return aiwyn.invoices.list(on_bad_row="skip", **options).decode_as(dict)
        order = [F.updated_at.desc()] if method == "by_instant" else None
        return aiwyn.invoices.search(order_by=order, on_bad_row="skip", **options).decode_as(dict)

    rows = await read().collect()

    def longer(body: bytes) -> bytes:
        first = ["?" if index in lacking else row for index, row in enumerate(rows[:5])]
        return msgspec.json.encode(msgspec.json.decode(body) | {"deid_invoice": [*first, rows[4]]})

    for limit in (1, 2, 3, 4):
        box.faults.add("invoices.list" if method == "list" else "invoices.search", nth=1, mutate=longer)
        page = await read(limit=limit)
        box.faults.clear()
        yielded = page.items + await read(resume=page.checkpoint).collect()
        keys = [row["id"] for row in yielded]
        assert len(keys) == len(set(keys))
        assert {row["id"] for row in rows} - set(keys) <= {rows[index]["id"] for index in lacking}
