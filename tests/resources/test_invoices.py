"""``aiwyn.invoices`` over real HTTP: list, search, get, get_many."""

# How many requests were in flight is known inside only.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import NotFoundError
from aiwyn_async.filters import F
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=95, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as client:
        yield client


def column(box: Sandbox, sql: str) -> list[Any]:
    return [row[0] for row in box.query(sql)]


async def test_a_status_that_a_filter_lists_and_one_that_only_rows_have(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    """The documentation's sets of statuses disagree; rows of either kind are read."""
    for status in ("POSTED", "CLOSED"):
        expected = set(column(box, f"SELECT id FROM invoices WHERE status = '{status}'"))
        found = await aiwyn.invoices.search(F.status == status, page_size=7).collect()
        assert expected
        assert {row.id for row in found} == expected
        assert {row.status for row in found} == {status}


@pytest.mark.parametrize("paging", ["key", "page"])
async def test_a_search_without_an_order(aiwyn: AiwynClient, box: Sandbox, paging: Any) -> None:
    rows = await aiwyn.invoices.search(F.total_amount > 100, paging=paging, page_size=9).collect()
    expected = column(box, "SELECT id FROM invoices WHERE total_cents > 10000 ORDER BY id")
    assert sorted(row.id for row in rows if isinstance(row.id, int)) == expected


@pytest.mark.parametrize("paging", ["key", "page"])
async def test_a_search_keeps_the_order_asked_for(aiwyn: AiwynClient, box: Sandbox, paging: Any) -> None:
    order = [F.client_id.asc(), F.total_amount.desc(), F.id.desc()]
    rows = await aiwyn.invoices.search(order_by=order, paging=paging, page_size=9).collect()
    sql = "SELECT id FROM invoices ORDER BY client_id, total_cents DESC, id DESC"
    assert [row.id for row in rows] == column(box, sql)


async def test_a_search_by_key_asks_beyond_the_last_key(aiwyn: AiwynClient, box: Sandbox) -> None:
    await aiwyn.invoices.search(F.client_id > 0, page_size=50).collect()
    first, second = (request.body for request in box.requests if request.route == "invoices.search")
    assert first["orderBy"] == second["orderBy"] == [{"id": "asc"}]  # type: ignore[index]
    assert "page" not in second  # type: ignore[operator]
    last = column(box, "SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET 49")[0]
    assert second["where"] == {"_and": [{"clientId": {"_gt": 0}}, {"id": {"_gt": last}}]}  # type: ignore[index]


async def test_get_many_gives_the_order_asked_and_tells_what_is_missing(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    known = column(box, "SELECT id FROM invoices ORDER BY id DESC")
    asked = [known[3], 1, known[0], known[3], 2, *known]
    found = [answer async for answer in aiwyn.invoices.get_many(asked)]
    assert [answer.key for answer in found] == asked
    assert [answer.item.id if answer.item else None for answer in found] == [
        key if key in known else None for key in asked
    ]
    assert [answer.key for answer in found if answer.missing] == [1, 2]


async def test_get_many_takes_thousands_of_keys_as_they_come(aiwyn: AiwynClient, box: Sandbox) -> None:
    known = column(box, "SELECT id FROM invoices ORDER BY id")
    taken = given = most_ahead = 0

    async def keys() -> AsyncIterator[int]:
        nonlocal taken
        for turn in range(2000):
            taken += 1
            yield known[turn % len(known)]

    async for answer in aiwyn.invoices.get_many(keys()):
        assert answer.key == known[given % len(known)]
        given += 1
        most_ahead = max(most_ahead, taken - given)
    assert given == 2000
    assert most_ahead <= 32
    assert aiwyn._session.limiter.peak_in_flight <= aiwyn.config.max_concurrency


async def test_get_of_nothing(aiwyn: AiwynClient) -> None:
    with pytest.raises(NotFoundError):
        await aiwyn.invoices.get(1)
