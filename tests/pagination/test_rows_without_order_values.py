"""Rows that keyset pagination cannot continue after, from servers with and without counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F, Pager
from aiwyn_async.errors import PaginationError
from aiwyn_async.sandbox import Sandbox

Rows = list[Any]


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, max_concurrency=1) as client:
        yield client


def change_rows(box: Sandbox, change: Callable[[Rows], Rows], *, has_count: bool = False) -> None:
    """Change the rows of every response."""

    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        rows = {"deid_invoice": change(page["deid_invoice"])}
        return msgspec.json.encode(page | rows if has_count else rows)

    box.faults.add("invoices.search", every=1, mutate=mutate)


def hide_timestamps(box: Sandbox, keys: set[int]) -> None:
    change_rows(box, lambda rows: [without("updatedAt", row) if row["id"] in keys else row for row in rows])


def read(aiwyn: AiwynClient, *order_by: Any, **options: Any) -> Pager[dict[str, Any]]:
    options = {"on_bad_row": "skip"} | options
    return aiwyn.invoices.search(order_by=order_by or None, **options).decode_as(dict)


def without(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {each: value for each, value in row.items() if each != name}


@pytest.mark.parametrize("page_size", [1, 50, 60, 1000])
@pytest.mark.parametrize("lacking", [60, 95])
@pytest.mark.parametrize("name", ["updatedAt", "totalAmount"])
async def test_short_page_of_a_server_without_counts_is_not_taken_for_the_end(
    aiwyn: AiwynClient, box: Sandbox, page_size: int, lacking: int, name: str
) -> None:
    order_by = F.updated_at.desc() if name == "updatedAt" else F.total_amount.desc()
    keys = [row["id"] for row in await read(aiwyn, order_by).collect()]
    odd = set(keys[:lacking])
    change_rows(box, lambda rows: [without(name, row) if row["id"] in odd else row for row in rows[:50]])
    pager = read(aiwyn, order_by, page_size=page_size, strict=True)

    assert [row["id"] for row in await pager.collect()] == keys


async def test_server_that_ignores_the_keys_of_received_rows_is_an_error(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    first = [without("totalAmount", row) for row in (await read(aiwyn, page_size=50)).items]
    change_rows(box, lambda _rows: first)
    with pytest.raises(PaginationError):
        await read(aiwyn, F.total_amount.desc()).collect()


async def test_too_many_rows_without_order_values_are_an_error(aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = [{"id": number} for number in range(501)]
    change_rows(box, lambda _rows: rows)
    with pytest.raises(PaginationError, match="some rows lack the order_by columns"):
        await read(aiwyn, F.total_amount.desc()).collect()


@pytest.mark.parametrize("size", [4, 10])
async def test_short_page_inside_the_list_does_not_end_the_read(
    aiwyn: AiwynClient, box: Sandbox, size: int
) -> None:
    keys = [row["id"] for row in await read(aiwyn, F.updated_at.asc()).collect()]
    odd = set(keys[20:24])

    def shorten(rows: Rows) -> Rows:
        rows = [without("updatedAt", row) if row["id"] in odd else row for row in rows]
        return rows[:4] if rows and rows[0]["id"] in odd else rows

    change_rows(box, shorten)
    pager = read(aiwyn, F.updated_at.asc(), page_size=size)
    assert [row["id"] for row in await pager.collect()] == keys
    assert pager.report.complete


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("has_count", [False, True])
async def test_last_rows_without_order_values_are_read(
    aiwyn: AiwynClient, box: Sandbox, size: int, has_count: bool
) -> None:
    keys = [row["id"] for row in await read(aiwyn, F.updated_at.asc()).collect()]
    change_rows(
        box,
        lambda rows: [without("updatedAt", row) if row["id"] in keys[90:] else row for row in rows],
        has_count=has_count,
    )
    pager = read(aiwyn, F.updated_at.asc(), page_size=size)
    assert [row["id"] for row in await pager.collect()] == keys
    assert pager.report.complete


@pytest.mark.parametrize("has_count", [False, True])
async def test_last_row_without_a_key_is_the_end_only_if_a_count_says_so(
    aiwyn: AiwynClient, box: Sandbox, has_count: bool
) -> None:
    last = [row["id"] for row in await read(aiwyn).collect()][-1]
    change_rows(box, lambda rows: ["?" if row["id"] == last else row for row in rows], has_count=has_count)
    pager = read(aiwyn, page_size=10)
    if has_count:
        assert len(await pager.collect()) == 94
        assert pager.report.problems() == ["1 rows do not decode and were left out"]
    else:
        with pytest.raises(PaginationError, match="some rows lack the order_by columns"):
            await pager.collect()


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_resumed_read_leaves_out_received_rows_without_order_values(
    aiwyn: AiwynClient, box: Sandbox, limit: int
) -> None:
    keys = [row["id"] for row in await read(aiwyn, F.updated_at.asc()).collect()]
    odd = {*keys[:3], *keys[6:8]}
    hide_timestamps(box, odd)
    received: list[int] = []
    options: dict[str, Any] = {}
    for number in range(1, 10):
        page = await read(aiwyn, F.updated_at.asc(), limit=limit * number, **options)
        received += [row["id"] for row in page.items]
        options = {"resume": page.checkpoint}
    assert received == keys[: 9 * limit]


@pytest.mark.parametrize("size", [1, 2, 10])
async def test_rows_without_order_values_before_others_are_passed_without_counts(
    aiwyn: AiwynClient, box: Sandbox, size: int
) -> None:
    keys = [row["id"] for row in await read(aiwyn, F.updated_at.asc()).collect()]
    odd = {*keys[:2], *keys[39:52]}
    hide_timestamps(box, odd)
    pager = read(aiwyn, F.updated_at.asc(), page_size=size)

    assert [row["id"] for row in await pager.collect()] == keys
    assert (pager.report.problems(), pager.report.rows_received) == ([], 95)


@pytest.mark.parametrize("on_bad_row", ["skip", "collect"])
@pytest.mark.parametrize("row", ["?", {"id": None}])
@pytest.mark.parametrize("after", [19, 94])
async def test_row_without_a_key_that_does_not_arrive_again_is_reported(
    aiwyn: AiwynClient, box: Sandbox, after: int, row: Any, on_bad_row: str
) -> None:
    keys = [each["id"] for each in await read(aiwyn).collect()]
    change_rows(box, lambda rows: [*rows, row] if rows and rows[-1]["id"] == keys[after] else rows)
    pager = read(aiwyn, page_size=20, on_bad_row=on_bad_row)

    assert len(await pager.collect()) == 95
    assert pager.report.problems() == ["1 rows were in a discarded response and in no later one"]


@pytest.mark.parametrize("row", ["?", {"id": None}])
async def test_rows_without_a_key_that_arrive_again_are_complete(
    aiwyn: AiwynClient, box: Sandbox, row: Any
) -> None:
    keys = [each["id"] for each in await read(aiwyn).collect()]
    odd = keys[18:20]
    change_rows(box, lambda rows: [row if each["id"] in odd else each for each in rows])
    pager = read(aiwyn, page_size=20)
    page = await anext(aiter(pager.pages()))
    resumed = read(aiwyn, page_size=20, resume=page.checkpoint)

    rows = page.items + await resumed.collect()
    assert [each["id"] for each in rows if each["id"] is not None] == [key for key in keys if key not in odd]
    assert len(rows) == (93 if row == "?" else 95)
    assert resumed.report.problems() == (["2 rows do not decode and were left out"] if row == "?" else [])


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("row", ["?", {}])
async def test_resumed_read_expects_the_rows_that_the_last_page_left(
    aiwyn: AiwynClient, box: Sandbox, row: Any, arrives: bool
) -> None:
    """Each page is read by a read of its own."""
    keys = [each["id"] for each in await read(aiwyn, F.updated_at.asc()).collect()]
    odd = keys[19]

    def damage(rows: Rows) -> Rows:
        if not arrives and rows and rows[0]["id"] == odd:
            del rows[0]
        return [(row or without("updatedAt", each)) if each["id"] == odd else each for each in rows]

    change_rows(box, damage)
    received: list[int] = []
    pager = read(aiwyn, F.updated_at.asc(), page_size=10)
    for _ in range(11):
        async for page in pager.pages():
            received += [each["id"] for each in page.items]
            pager = read(aiwyn, F.updated_at.asc(), page_size=10, resume=page.checkpoint)
            break
    await pager.collect()
    problem = "1 rows were in a discarded response and in no later one"
    if arrives and not row:
        assert (received, pager.report.problems()) == (keys, [])
    else:
        assert received == [key for key in keys if key != odd]
        expected = "1 rows do not decode and were left out" if arrives else problem
        assert pager.report.problems() == [expected]
