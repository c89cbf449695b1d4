"""``Pager`` over real HTTP, observed by its caller and by the server."""

# The client's session is private.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Number
from typing import Annotated, Any, cast

import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._pagination.page import Page
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async.errors import ConfigurationError, IncompleteError, ServerError
from aiwyn_async.sandbox import Drift, Sandbox
from aiwyn_async.testing import FakeClock
from invoice_lists import listed_ids, request_bodies
from list_model import ListModel


async def test_pager_sends_nothing_before_the_first_await(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list()
    rows, pages = aiter(pager), pager.pages()
    await asyncio.sleep(0)
    assert box.calls() == 0
    await rows.aclose()
    await pages.aclose()


async def test_await_returns_the_first_page(aiwyn: AiwynClient, box: Sandbox) -> None:
    page = await aiwyn.invoices.list(page_size=25)
    assert [row.id for row in page.items] == listed_ids(box)[:25]
    assert (page.count, page.number, len(page), page.meta.status) == (95, 0, 25, 200)
    assert page.meta.request_id
    assert page.meta.bytes > 10_000
    assert len(request_bodies(box)) == 1


async def test_await_without_rows_returns_an_empty_page(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(client_id=1)
    assert (page.items, page.count, page.raw_items()) == ([], 0, [])


async def test_rows_pages_and_collect_agree(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list(page_size=20)
    assert [row.id async for row in pager] == listed_ids(box)
    pages = [page async for page in pager.pages()]
    assert [len(page) for page in pages] == [20, 20, 20, 20, 15]
    assert [page.number for page in pages] == [0, 1, 2, 3, 4]
    assert [row.id for row in await pager.collect()] == listed_ids(box)
    report = pager.report
    assert (report.rows_received, report.rows_yielded, report.pages, report.requests) == (95, 95, 5, 5)
    assert (report.total_count, report.missing, report.stop_reason, report.complete) == (95, 0, "count", True)
    assert report.seconds > 0


async def test_first_and_count_request_one_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    first = await aiwyn.invoices.list().first()
    assert first is not None
    assert first.id == listed_ids(box)[0]
    assert await aiwyn.invoices.list(limit=5).count() == 95
    assert await aiwyn.invoices.list(client_id=1).first() is None
    assert [body["pageSize"] for body in request_bodies(box)] == [1, 1, 1, 1], (
        "an empty page is requested twice"
    )


async def test_count_reads_the_keys_if_the_server_reports_none(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", every=1, mutate=lambda body: body.replace(b"deid_invoice_aggregate", b"x")
    )
    assert await aiwyn.invoices.list(page_size=10).count() == 95


def count_page(body: bytes) -> bytes:
    response = msgspec.json.decode(body)
    response["deid_invoice_aggregate"]["aggregate"]["count"] = len(response["deid_invoice"])
    return msgspec.json.encode(response)


@pytest.mark.parametrize("route", ["invoices.list", "invoices.search"])
async def test_count_of_the_page_alone_is_not_the_count(route: str, aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(route, every=1, mutate=count_page)
    reads = [aiwyn.invoices.list()] if route == "invoices.list" else [aiwyn.invoices.search()]
    assert [await read.count() for read in reads] == [95]
    assert route == "invoices.list" or await aiwyn.invoices.pull().count() == 95


@pytest.mark.parametrize("verb", ["list", "search", "pull"])
async def test_count_of_a_page_of_the_servers_own_size_is_not_the_count(verb: str, clock: FakeClock) -> None:
    async with (
        Sandbox(invoices=47, clamp_page_size=10) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as aiwyn,
    ):
        for route in ("invoices.list", "invoices.search"):
            box.faults.add(route, every=1, mutate=count_page)
        assert await getattr(aiwyn.invoices, verb)().count() == 47


async def test_count_of_rows_that_may_be_incomplete_is_an_error(aiwyn: AiwynClient, box: Sandbox) -> None:
    def add_row_without_key(body: bytes) -> bytes:
        rows = msgspec.json.decode(body)["deid_invoice"]
        return msgspec.json.encode({"deid_invoice": [*rows, {"id": None}] if rows else []})

    box.faults.add("invoices.search", every=1, mutate=add_row_without_key)
    with pytest.raises(IncompleteError, match="not counted completely: 1 rows were in a discarded") as caught:
        await aiwyn.invoices.search().count()
    assert caught.value.report is not None
    assert caught.value.report.rows_yielded == 95


async def test_count_of_a_page_that_is_longer_than_requested_is_not_the_count() -> None:
    model = ListModel(list(range(20)), min_size=7, count="capped")
    assert await model.pager(5).count() == 20


@pytest.mark.parametrize("count", ['"1_00"', '"٩٩"', '"+95"', '"9' + "9" * 5000 + '"'])
async def test_count_that_is_not_a_number_is_ignored(count: str, aiwyn: AiwynClient, box: Sandbox) -> None:
    text = f'"count":{count}'.encode()
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"count":95', text))
    page = await aiwyn.invoices.list()
    assert (len(page), page.count) == (95, None)


class Slim(msgspec.Struct, rename="camel"):
    total_amount: Decimal


class Keyed(msgspec.Struct, rename="camel"):
    id: int
    total_amount: Decimal


@pytest.mark.parametrize("kind", [Slim, Keyed, dict, dict[str, Any], msgspec.Raw])
@pytest.mark.parametrize("by_key", [False, True])
async def test_rows_are_decoded_as_any_type(
    aiwyn: AiwynClient, box: Sandbox, kind: Any, by_key: bool
) -> None:
    pager = aiwyn.invoices.search(page_size=30) if by_key else aiwyn.invoices.list(page_size=30)
    rows: list[Any] = await pager.decode_as(kind).collect()
    assert len(rows) == 95
    total = Decimal(str(box.scalar("SELECT sum(total_cents) FROM invoices"))) / 100
    if kind in {Slim, Keyed}:
        assert sum(row.total_amount for row in rows) == total
    else:
        decoded: list[Any] = [msgspec.json.decode(row) if kind is msgspec.Raw else row for row in rows]
        assert {row["id"] for row in decoded} == set(listed_ids(box))


def test_row_type_that_cannot_be_decoded_is_rejected(aiwyn_offline: AiwynClient) -> None:
    with pytest.raises(ConfigurationError, match="cannot be decoded"):
        aiwyn_offline.invoices.list().decode_as(cast("Any", 5))


class Cents(int):
    """A type that msgspec does not know."""


UNDECODABLE: dict[str, Any] = {
    "no JSON decodes to Cents; use a msgspec.Struct, a dataclass": list[Cents] | None,
    "name 'Missing' is not defined": "Missing",
    "unhashable type: 'dict'": Annotated[str, {"is": "documented"}],
}


@pytest.mark.parametrize("reason", UNDECODABLE)
def test_field_that_cannot_be_decoded_is_rejected(aiwyn_offline: AiwynClient, reason: str) -> None:
    row_type = msgspec.defstruct("Priced", [("id", int), ("price", UNDECODABLE[reason])])
    with pytest.raises(ConfigurationError, match=f"rows cannot be decoded as Priced: {reason}"):
        aiwyn_offline.invoices.list().decode_as(row_type)


@pytest.mark.parametrize("kind", [object, Hashable, Number, dict[str, object]])
def test_field_that_any_json_is_an_instance_of_is_accepted(aiwyn_offline: AiwynClient, kind: Any) -> None:
    aiwyn_offline.invoices.list().decode_as(msgspec.defstruct("Row", [("id", int), ("value", kind)]))


class Cache:
    """A type of the caller, which no row contains."""


class WithCache(msgspec.Struct):
    id: int
    cache: Cache = msgspec.field(default_factory=Cache)


@dataclass
class DataWithCache:
    id: int
    cache: Cache = field(default_factory=Cache)


class WithCallable(msgspec.Struct):
    id: int
    then: Callable[..., None] | None = None


class WithNull(msgspec.Struct):
    id: int
    description: Cache | None


@pytest.mark.parametrize("kind", [WithCache, DataWithCache, WithCallable, WithNull])
async def test_custom_type_that_rows_need_not_have_is_accepted(
    aiwyn: AiwynClient, box: Sandbox, kind: Any
) -> None:
    box.faults.add(
        "invoices.search", every=1, mutate=lambda _: b'{"deid_invoice":[{"id":1,"description":null}]}'
    )
    rows: list[Any] = await aiwyn.invoices.search(limit=1).decode_as(kind).collect()
    assert [row.id for row in rows] == [1]


@pytest.mark.parametrize("name", ["page_size", "limit"])
@pytest.mark.parametrize("value", [0, -1, True, "5", 2.0])
def test_sizes_are_whole_numbers(aiwyn_offline: AiwynClient, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        aiwyn_offline.invoices.list(**{name: value})


def test_page_size_is_at_most_a_thousand(aiwyn_offline: AiwynClient) -> None:
    with pytest.raises(ConfigurationError, match="page_size"):
        aiwyn_offline.invoices.list(page_size=1001)
    aiwyn_offline.invoices.list(limit=10**9)


@pytest.mark.parametrize(
    ("page_size", "limit", "page_sizes"),
    [(1000, 5, [5]), (10, 10, [10]), (10, 20, [10, 10]), (10, 25, [9, 9, 9]), (40, 41, [21, 21])],
)
async def test_limit_requests_few_surplus_rows(
    aiwyn: AiwynClient, box: Sandbox, page_size: int, limit: int, page_sizes: list[int]
) -> None:
    rows = await aiwyn.invoices.list(page_size=page_size, limit=limit).collect()
    assert [row.id for row in rows] == listed_ids(box)[:limit]
    assert [body["pageSize"] for body in request_bodies(box)] == page_sizes
    await aiwyn.invoices.search(page_size=10, limit=25).collect()
    assert [body["pageSize"] for body in request_bodies(box, "invoices.search")] == [10, 10, 5]


async def test_strict_rejects_a_list_that_changed(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.drift = Drift(insert=1)
    with pytest.raises(IncompleteError) as caught:
        await aiwyn.invoices.list(page_size=20, strict=True).collect()
    assert caught.value.report is not None
    assert caught.value.report.changed_during_read
    box.drift = Drift(insert=1)
    rows = await aiwyn.invoices.search(page_size=20, strict=True).collect()
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize("clamp", [1, 7, 50])
async def test_clamped_page_size_loses_no_row(clamp: int) -> None:
    async with (
        Sandbox(invoices=120, clamp_page_size=clamp) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as client,
    ):
        assert [row.id for row in await client.invoices.list().collect()] == listed_ids(box)
        assert len(await client.invoices.search().collect()) == 120


async def test_page_as_offset_loses_no_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    """The client list of the sandbox interprets ``page`` as an offset."""
    query = Query(path="/gql/v1/clients", fields={})
    for size in (1, 2, 3, 10):
        pager: Pager[Any] = Pager(aiwyn._session, query, dict, ReadOptions(page_size=size))
        rows = await pager.collect()
        assert len({row["id"] for row in rows}) == len(rows) == box.scalar("SELECT count(*) FROM clients")


async def test_concurrent_uses_of_one_pager_are_independent(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list(page_size=10)

    async def read() -> list[Any]:
        return [row.id async for row in pager]

    assert list(await asyncio.gather(read(), read(), read())) == [listed_ids(box)] * 3


async def test_options_of_a_view_reach_the_third_page(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", nth=3, status=500)
    with pytest.raises(ServerError) as caught:
        await aiwyn.with_options(retries=0).invoices.list(page_size=10).collect()
    assert len(caught.value.attempts) == 1


async def test_repr_shows_rows_and_type(aiwyn: AiwynClient) -> None:
    page: Page[Any] = await aiwyn.invoices.list(page_size=10)
    assert repr(page) == "<Page 0: 10 rows of 95>"
    assert "Invoice" in repr(aiwyn.invoices.list())
