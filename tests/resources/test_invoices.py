"""``aiwyn.invoices`` over HTTP: search, get and get_many."""

# The number of requests in flight is private.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import NotFoundError
from aiwyn_async.filters import F
from aiwyn_async.sandbox import Sandbox


def column(box: Sandbox, sql: str) -> list[Any]:
    return [row[0] for row in box.query(sql)]


async def test_search_by_documented_and_undocumented_status(aiwyn: AiwynClient, box: Sandbox) -> None:
    """The documentation has two different sets of statuses; both are read."""
    for status in ("POSTED", "CLOSED"):
        expected = set(column(box, f"SELECT id FROM invoices WHERE status = '{status}'"))
        rows = await aiwyn.invoices.search(F.status == status, page_size=7).collect()
        assert expected
        assert {row.id for row in rows} == expected
        assert {row.status for row in rows} == {status}


@pytest.mark.parametrize("paging", ["key", "page"])
async def test_search_without_order_by(aiwyn: AiwynClient, box: Sandbox, paging: Any) -> None:
    rows = await aiwyn.invoices.search(F.total_amount > 100, paging=paging, page_size=9).collect()
    expected = column(box, "SELECT id FROM invoices WHERE total_cents > 10000 ORDER BY id")
    assert sorted(row.id for row in rows if isinstance(row.id, int)) == expected


@pytest.mark.parametrize("paging", ["key", "page"])
async def test_search_returns_the_requested_order(aiwyn: AiwynClient, box: Sandbox, paging: Any) -> None:
    order = [F.client_id.asc(), F.total_amount.desc(), F.id.desc()]
    rows = await aiwyn.invoices.search(order_by=order, paging=paging, page_size=9).collect()
    sql = "SELECT id FROM invoices ORDER BY client_id, total_cents DESC, id DESC"
    assert [row.id for row in rows] == column(box, sql)


async def test_search_by_key_requests_keys_above_the_last_one(aiwyn: AiwynClient, box: Sandbox) -> None:
    await aiwyn.invoices.search(F.client_id > 0, page_size=50).collect()
    first, second = (request.body for request in box.requests if request.route == "invoices.search")
    assert first["orderBy"] == second["orderBy"] == [{"id": "asc"}]  # type: ignore[index]
    assert "page" not in second  # type: ignore[operator]
    last = column(box, "SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET 49")[0]
    assert second["where"] == {"_and": [{"clientId": {"_gt": 0}}, {"id": {"_gt": last}}]}  # type: ignore[index]


async def test_get_many_returns_results_in_order_with_missing_keys(aiwyn: AiwynClient, box: Sandbox) -> None:
    known = column(box, "SELECT id FROM invoices ORDER BY id DESC")
    keys = [known[3], 1, known[0], known[3], 2, *known]
    results = [result async for result in aiwyn.invoices.get_many(keys)]
    assert [result.key for result in results] == keys
    assert [result.item.id if result.item else None for result in results] == [
        key if key in known else None for key in keys
    ]
    assert [result.key for result in results if result.missing] == [1, 2]


async def test_get_many_reads_thousands_of_keys_lazily(aiwyn: AiwynClient, box: Sandbox) -> None:
    known = column(box, "SELECT id FROM invoices ORDER BY id")
    read = yielded = max_ahead = 0

    async def keys() -> AsyncIterator[int]:
        nonlocal read
        for turn in range(2000):
            read += 1
            yield known[turn % len(known)]

    async for result in aiwyn.invoices.get_many(keys()):
        assert result.key == known[yielded % len(known)]
        yielded += 1
        max_ahead = max(max_ahead, read - yielded)
    assert yielded == 2000
    assert max_ahead <= 32
    assert aiwyn._session.limiter.peak_in_flight <= aiwyn._session.limiter.max_limit


async def test_get_of_an_unknown_key_raises_not_found(aiwyn: AiwynClient) -> None:
    with pytest.raises(NotFoundError):
        await aiwyn.invoices.get(1)
