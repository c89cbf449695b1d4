"""Bad rows and truncated pages of lists and searches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F, Pager
from aiwyn_async.errors import DecodeError, PaginationError
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    """One request at a time, so that the second one is for the second page."""
    async with AiwynClient(
        base_url=box.url, api_key=box.api_key, backoff_base=0, max_concurrency=1
    ) as client:
        yield client


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


async def test_awaited_page_of_bad_rows_is_the_first_page(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", nth=1, mutate=lambda body: body.replace(b'"currency":', b'"currency":{},"x":')
    )
    page = await aiwyn.invoices.list(page_size=10, on_bad_row="skip")
    assert (page.items, page.count, len(page.meta.attempts)) == ([], 95, 1)


async def test_first_is_the_first_row_that_decodes(aiwyn: AiwynClient, box: Sandbox) -> None:
    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        for row in page["deid_invoice"]:
            row["totalAmount"] = "a lot" if row["id"] in bad else row["totalAmount"]
        return msgspec.json.encode(page)

    keys = [row.id for row in await aiwyn.invoices.search().collect()]
    bad = set(keys[:3])
    box.faults.add("invoices.search", every=1, mutate=mutate)
    for option in ("skip", "collect"):
        first = await aiwyn.invoices.search(on_bad_row=option).first()
        assert first is not None
        assert first.id == keys[3]
    bad.update(keys)
    box.requests.clear()
    assert await aiwyn.invoices.search(on_bad_row="skip").first() is None
    assert len(box.requests) <= 3  # not one for each bad row


async def test_last_row_without_key_loses_no_other_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    def without_key(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        page["deid_invoice"][-1] = "?"
        return msgspec.json.encode(page)

    box.faults.add("invoices.search", nth=2, mutate=without_key)
    pager = aiwyn.invoices.search(page_size=10, on_bad_row="skip")

    assert len({row.id for row in await pager.collect()}) == 95
    assert (pager.report.bad_rows, pager.report.complete) == (0, True)  # the next page had it again


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


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("row", ["?", {"id": 3}])
@pytest.mark.parametrize("order_by", [None, F.updated_at.asc(), F.total_amount.desc()])
async def test_rows_without_order_values_that_fill_a_page_are_passed(
    aiwyn: AiwynClient, box: Sandbox, size: int, row: Any, order_by: Any
) -> None:
    """No page can begin after them, so they are requested together with the rows after them."""

    def read(**options: Any) -> Pager[dict[str, Any]]:
        order = None if order_by is None else [order_by]
        return aiwyn.invoices.search(order_by=order, on_bad_row="collect", **options).decode_as(dict)

    keys = [row["id"] for row in await read().collect()]
    odd = {keys[0], keys[1], keys[40], keys[-1]}

    def damage(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        rows = [_damaged(each, row) if each["id"] in odd else each for each in page["deid_invoice"]]
        return msgspec.json.encode(page | {"deid_invoice": rows})

    box.faults.add("invoices.search", every=1, mutate=damage)
    pager = read(page_size=size)
    received = [row["id"] for row in await pager.collect()]
    if row == "?":
        assert received == [key for key in keys if key not in odd]
        assert pager.report.problems() == ["4 rows do not decode and were left out"]
    else:
        assert received == keys
        assert pager.report.complete


def _damaged(row: dict[str, Any], kind: Any) -> Any:
    return kind if kind == "?" else {"id": row["id"]}


async def test_resumed_read_does_not_repeat_a_row_without_order_values(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    def read(**options: Any) -> Pager[dict[str, Any]]:
        order = [F.updated_at.asc()]
        return aiwyn.invoices.search(order_by=order, page_size=10, on_bad_row="skip", **options).decode_as(
            dict
        )

    keys = [row["id"] for row in await read().collect()]

    def damage(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        for each in page["deid_invoice"]:
            if each["id"] == keys[19]:
                del each["updatedAt"]
        return msgspec.json.encode(page)

    box.faults.add("invoices.search", every=1, mutate=damage)
    pages = read().pages()
    first = [await anext(pages), await anext(pages)]
    await pages.aclose()
    rest = await read(resume=first[1].checkpoint).collect()
    assert [row["id"] for page in first for row in page.items] + [row["id"] for row in rest] == keys


async def test_server_that_returns_only_rows_without_order_values_is_an_error(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    def damage(body: bytes) -> bytes:
        return msgspec.json.encode(msgspec.json.decode(body) | {"deid_invoice": ["?", "?"]})

    box.faults.add("invoices.search", every=1, mutate=damage)
    with pytest.raises(PaginationError, match="some rows lack the order_by columns"):
        await aiwyn.invoices.search(page_size=2, on_bad_row="skip").collect()


@pytest.mark.parametrize("limit", [*range(1, 8), None])
async def test_row_left_to_the_next_page_is_reported_if_it_does_not_arrive(
    aiwyn: AiwynClient, box: Sandbox, limit: int | None
) -> None:
    def read(**options: Any) -> Pager[dict[str, Any]]:
        order = [F.updated_at.asc()]
        return aiwyn.invoices.search(order_by=order, on_bad_row="skip", **options).decode_as(dict)

    keys = [row["id"] for row in await read().collect()]
    left = keys[3:5]

    def damage(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        rows = [_damaged(row, "{}") if row["id"] in left else row for row in page["deid_invoice"]]
        if limit is None and rows and rows[0]["id"] in left:
            rows = [row for row in rows if row["id"] not in left]
        return msgspec.json.encode(page | {"deid_invoice": rows})

    box.faults.add("invoices.search", every=1, mutate=damage)
    pager = read(page_size=4, limit=limit)
    received = [row["id"] for row in await pager.collect()]
    if limit is None:
        assert received == [key for key in keys if key not in left]
        assert "rows were in a discarded response and in no later one" in " ".join(pager.report.problems())
    else:
        assert (received, pager.report.problems()) == (keys[:limit], [])
