"""``Pager`` over real HTTP, observed by its caller and by the server."""

# A leak test looks inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import ReadOptions
from aiwyn_async.errors import (
    CheckpointError,
    ConfigurationError,
    DecodeError,
    IncompleteError,
    ServerError,
)
from aiwyn_async.filters import F
from aiwyn_async.sandbox import Drift, Sandbox
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._http.handlers import PageLimits, list_page
from edited_checkpoints import edited


def ids(box: Sandbox) -> list[Any]:
    """As the list has them: the newest first, ties in an order of the server's own."""
    page = list_page(box._database, RESOURCES["invoices"], {"pageSize": 1000}, PageLimits(), 0)
    return [row["id"] for row in msgspec.json.decode(page)["deid_invoice"]]


def bodies(box: Sandbox, route: str = "invoices.list") -> list[Any]:
    return [request.body for request in box.requests if request.route == route]


def busy_connections(client: AiwynClient) -> int:
    pools = client._session.transport._pools.values()
    return sum(len(pool.session.connector._acquired) for pool in pools if pool.session.connector)


def no_such_number(index: int) -> Callable[[bytes], bytes]:
    """Make the amount of one row of a page no number."""

    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        page["deid_invoice"][index]["totalAmount"] = "a lot"
        return msgspec.json.encode(page)

    return mutate


async def test_pager_sends_nothing_before_the_first_await(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list()
    rows, pages = aiter(pager), pager.pages()
    await asyncio.sleep(0)
    assert box.calls() == 0
    await rows.aclose()
    await pages.aclose()


async def test_await_returns_the_first_page(aiwyn: AiwynClient, box: Sandbox) -> None:
    page = await aiwyn.invoices.list(page_size=25)
    assert [row.id for row in page.items] == ids(box)[:25]
    assert (page.count, page.number, len(page), page.meta.status) == (95, 0, 25, 200)
    assert page.meta.request_id
    assert page.meta.bytes > 10_000
    assert len(bodies(box)) == 1


async def test_await_without_rows_returns_an_empty_page(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(client_id=1)
    assert (page.items, page.count, page.raw_items()) == ([], 0, [])


async def test_rows_pages_and_collect_agree(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list(page_size=20)
    assert [row.id async for row in pager] == ids(box)
    pages = [page async for page in pager.pages()]
    assert [len(page) for page in pages] == [20, 20, 20, 20, 15]
    assert [page.number for page in pages] == [0, 1, 2, 3, 4]
    assert [row.id for row in await pager.collect()] == ids(box)
    report = pager.report
    assert (report.rows_received, report.rows_yielded, report.pages, report.requests) == (95, 95, 5, 5)
    assert (report.total_count, report.missing, report.stop_reason, report.complete) == (95, 0, "count", True)
    assert report.seconds > 0


async def test_first_and_count_request_one_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    first = await aiwyn.invoices.list().first()
    assert first is not None
    assert first.id == ids(box)[0]
    assert await aiwyn.invoices.list(limit=5).count() == 95
    assert await aiwyn.invoices.list(client_id=1).first() is None
    assert [body["pageSize"] for body in bodies(box)] == [1, 1, 1, 1], "an empty page is requested twice"


async def test_count_reads_the_keys_if_the_server_reports_none(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", every=1, mutate=lambda body: body.replace(b"deid_invoice_aggregate", b"x")
    )
    assert await aiwyn.invoices.list(page_size=10).count() == 95


class Slim(msgspec.Struct, rename="camel"):
    total_amount: Decimal


class Keyed(msgspec.Struct, rename="camel"):
    id: int
    total_amount: Decimal


@pytest.mark.parametrize("kind", [Slim, Keyed, dict, dict[str, Any], msgspec.Raw])
@pytest.mark.parametrize("by_key", [False, True])
async def test_rows_of_any_type(aiwyn: AiwynClient, box: Sandbox, kind: Any, by_key: bool) -> None:
    pager = aiwyn.invoices.search(page_size=30) if by_key else aiwyn.invoices.list(page_size=30)
    rows: list[Any] = await pager.decode_as(kind).collect()
    assert len(rows) == 95
    total = Decimal(str(box.scalar("SELECT sum(total_cents) FROM invoices"))) / 100
    if kind in {Slim, Keyed}:
        assert sum(row.total_amount for row in rows) == total
    else:
        found: list[Any] = [msgspec.json.decode(row) if kind is msgspec.Raw else row for row in rows]
        assert {row["id"] for row in found} == set(ids(box))


def test_row_type_that_cannot_be_decoded_is_rejected(aiwyn_offline: AiwynClient) -> None:
    with pytest.raises(ConfigurationError, match="cannot be decoded"):
        aiwyn_offline.invoices.list().decode_as(cast("Any", 5))


@pytest.fixture
def aiwyn_offline() -> AiwynClient:
    return AiwynClient(base_url="http://127.0.0.1:9", token="unused")


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
    ("page_size", "limit", "asked"),
    [(1000, 5, [5]), (10, 10, [10]), (10, 20, [10, 10]), (10, 25, [9, 9, 9]), (40, 41, [21, 21])],
)
async def test_limit_requests_few_surplus_rows(
    aiwyn: AiwynClient, box: Sandbox, page_size: int, limit: int, asked: list[int]
) -> None:
    rows = await aiwyn.invoices.list(page_size=page_size, limit=limit).collect()
    assert [row.id for row in rows] == ids(box)[:limit]
    assert [body["pageSize"] for body in bodies(box)] == asked
    await aiwyn.invoices.search(page_size=10, limit=25).collect()
    assert [body["pageSize"] for body in bodies(box, "invoices.search")] == [10, 10, 5]


# Bad rows and bad pages


@pytest.mark.parametrize("index", [0, 4, 9])
@pytest.mark.parametrize("by_key", [False, True])
async def test_bad_row_is_raised_skipped_or_collected(
    aiwyn: AiwynClient, box: Sandbox, index: int, by_key: bool
) -> None:
    route = "invoices.search" if by_key else "invoices.list"
    box.faults.add(route, every=2, mutate=no_such_number(index))

    def read(**options: Any) -> Any:
        resource = aiwyn.invoices
        return resource.search(page_size=10, **options) if by_key else resource.list(page_size=10, **options)

    with pytest.raises(DecodeError) as caught:
        await read().collect()
    assert caught.value.location == f"$.deid_invoice[{index}].totalAmount"
    assert caught.value.checkpoint is not None
    box.faults.clear()
    box.faults.add(route, nth=2, mutate=no_such_number(index))
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
    box.faults.add(route, nth=2, mutate=no_such_number(index))
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
    walk = aiwyn.invoices.search(page_size=10, on_bad_row="skip")

    assert len({row.id for row in await walk.collect()}) == 95
    assert (walk.report.bad_rows, walk.report.complete) == (1, False)


async def test_truncated_page_is_requested_again(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", nth=3, mutate=lambda body: body[:-700] + b"}")
    pager = aiwyn.invoices.list(page_size=10)
    assert len(await pager.collect()) == 95
    assert (pager.report.requests, pager.report.pages, pager.report.retries) == (11, 10, 1)
    box.faults.add("invoices.list", every=1, mutate=lambda body: body[:-700] + b"}")
    with pytest.raises(DecodeError) as caught:
        await aiwyn.invoices.list(page_size=10).collect()
    assert caught.value.malformed


# Raw rows


async def test_raw_rows_are_those_of_the_items(aiwyn: AiwynClient, box: Sandbox) -> None:
    """Also where rows came twice, and where the limit cut the page."""
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
        answer = msgspec.json.decode(body)
        for row in answer["deid_invoice"]:
            key = row.pop("id")
            row["id"] = str(key) if form == "text" else key
        if form in {"first", "spaced"}:
            answer["deid_invoice"] = [{"id": row["id"]} | row for row in answer["deid_invoice"]]
        told = msgspec.json.encode(answer)
        return msgspec.json.format(told, indent=2) if form == "spaced" else told

    box.faults.add("invoices.list", times=1000, mutate=reform)
    box.drift = Drift(insert=1)
    pager = aiwyn.invoices.list(page_size=20).decode_as(msgspec.Raw)
    found = [msgspec.json.decode(row)["id"] async for row in pager]
    assert len(found) == len(set(found)) >= 95
    assert pager.report.duplicates > 0


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
        assert [row.id for row in await client.invoices.list().collect()] == ids(box)
        assert len(await client.invoices.search().collect()) == 120


async def test_page_as_offset_loses_no_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    """The clients' list of the sandbox takes ``page`` for rows to skip."""
    query = Query(path="/gql/v1/clients", fields={})
    for size in (1, 2, 3, 10):
        pager: Pager[Any] = Pager(aiwyn._session, query, dict, ReadOptions(page_size=size))
        rows = await pager.collect()
        assert len({row["id"] for row in rows}) == len(rows) == box.scalar("SELECT count(*) FROM clients")


# Checkpoints

RESUME = """
import asyncio, sys
from aiwyn_async import AiwynClient
async def main():
    url, key, checkpoint = sys.argv[1:]
    async with AiwynClient(base_url=url, api_key=key) as client:
        print(*[row.id async for row in client.invoices.list(page_size=10, resume=checkpoint)])
asyncio.run(main())
"""


async def test_list_resumes_in_another_process(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, status=500, match=lambda body: cast("Any", body)["page"] == 6)
    pager = aiwyn.invoices.list(page_size=10)
    found: list[Any] = []

    async def read() -> None:
        async for row in pager:
            found.append(row.id)  # noqa: PERF401 (an error ends it)

    with pytest.raises(ServerError) as caught:
        await read()
    assert len(found) == 60
    assert caught.value.checkpoint is not None
    assert pager.report.stop_reason == "error"
    box.faults.clear()
    text = caught.value.checkpoint.to_json()
    assert len(text) < 400
    run = [sys.executable, "-c", RESUME, box.url, box.api_key, text]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, check=True)
    assert found + [int(word) for word in done.stdout.split()] == ids(box)


@pytest.mark.parametrize("limit", [5, 15, 25, 35])
async def test_read_resumed_after_a_limit_is_complete(aiwyn: AiwynClient, box: Sandbox, limit: int) -> None:
    """The rows that the limit left of its last page come again, and that is no sign of a list that moved."""
    first = aiwyn.invoices.list(page_size=10, limit=limit)
    rows = await first.collect()
    rest = aiwyn.invoices.list(page_size=10, strict=True, resume=first.checkpoint)
    rows += await rest.collect()
    assert [row.id for row in rows] == ids(box)
    assert (rest.report.duplicates, rest.report.rows_yielded, rest.report.complete) == (0, 95, True)


async def test_checkpoint_of_another_query_is_rejected(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(page_size=10)
    text = page.checkpoint.to_json()
    for other in (
        lambda: aiwyn.invoices.list(status="POSTED", resume=text),
        lambda: aiwyn.invoices.list(sort_order="asc", resume=text),
        lambda: aiwyn.invoices.search(resume=text),
    ):
        with pytest.raises(CheckpointError, match="another query"):
            other()
    assert Checkpoint.from_json(text) == page.checkpoint


async def test_first_and_count_of_a_resumed_read(aiwyn: AiwynClient, box: Sandbox) -> None:
    page = await aiwyn.invoices.list(page_size=10)
    resumed = aiwyn.invoices.list(page_size=10, resume=page.checkpoint)
    first = await resumed.first()
    assert first is not None
    assert first.id == ids(box)[10]
    assert await resumed.count() == 95


async def test_checkpoint_keeps_amounts_exact(aiwyn: AiwynClient, box: Sandbox) -> None:
    big = Decimal("12345678.90")
    box.insert("invoices", {"totalAmount": str(big)}, count=3)
    pager = aiwyn.invoices.search(order_by=F.total_amount.desc(), page_size=1)
    page = await pager
    again = Checkpoint.from_json(page.checkpoint.to_json())
    assert again.position["after"][0] == big
    rest = await aiwyn.invoices.search(order_by=F.total_amount.desc(), resume=again, page_size=1).collect()
    assert len(rest) == 97


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
damages = st.dictionaries(
    st.sampled_from(
        (
            "pages_received",
            "size",
            "style",
            "rows",
            "yielded",
            "next",
            "yielded_before",
            "before",
            "probe",
            "stop_reason",
            "after",
        )
    ),
    json | st.sampled_from(("number", "limit", "break")) | st.integers(-2, 5),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(damages, st.booleans(), json)
def test_damaged_checkpoint_is_rejected_or_valid(
    aiwyn_offline: AiwynClient, damage: dict[str, Any], by_key: bool, instead: Any
) -> None:
    resource = aiwyn_offline.invoices
    begin = resource.search if by_key else resource.list
    good = begin()._start().checkpoint()
    texts: list[Any] = [
        edited(good, **damage),
        msgspec.json.encode(instead),
        good.to_json().encode()[:-3],
    ]
    for text in texts:
        try:
            walk = begin(resume=text)._start()._pagination
        except CheckpointError:
            continue
        asked = walk.next_request()
        if asked is not None:
            assert 1 <= asked.size <= 1000
            assert asked.fields.get("page", 0) >= 0


@pytest.mark.parametrize("text", ["", "{}", "[]", "x", "\ud800", b"\xff", '{"version":2}', "[" * 100_000])
def test_invalid_checkpoint_is_rejected(aiwyn_offline: AiwynClient, text: str | bytes) -> None:
    with pytest.raises(CheckpointError):
        aiwyn_offline.invoices.list(resume=text)


# Leaving early


async def settled(client: AiwynClient) -> tuple[int, int, int]:
    """Server side apart, what a walk may leave behind: tasks, connections, limiter slots."""
    gc.collect()
    return (
        busy_connections(client),
        client._session.limiter.in_flight,
        len(client._session.limiter._waiting),
    )


async def own_tasks() -> set[str]:
    return {
        repr(task)
        for task in asyncio.all_tasks()
        if "_fetch" in repr(task.get_coro()) or "aclose" in repr(task)
    }


async def test_thousand_cancellations_leave_nothing(aiwyn: AiwynClient) -> None:
    """A pull is cancelled after a number of turns of the loop, random each time."""
    chosen = random.Random(7)
    cancelled = 0
    await aiwyn.invoices.list(limit=1).collect()
    for turn in range(1000):
        by_key = turn % 4 == 3
        pager = aiwyn.invoices.search(page_size=7) if by_key else aiwyn.invoices.list(page_size=7)
        task = asyncio.ensure_future(pager.collect())
        for _ in range(chosen.randrange(1, 35)):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled += 1
        assert await own_tasks() == set()
        assert busy_connections(aiwyn) == 0
    assert cancelled > 950
    assert await settled(aiwyn) == (0, 0, 0)
    assert len(await aiwyn.invoices.list().collect()) == 95


async def test_two_hundred_breaks_leave_nothing(aiwyn: AiwynClient) -> None:
    """The generator that a break leaves behind is closed when it is collected, without a warning."""
    for turn in range(200):
        number = 0
        async for _ in aiwyn.invoices.list(page_size=10):
            number += 1
            if number > turn % 40:
                break
        for _ in range(100):  # turns in which the loop closes what was collected
            await asyncio.sleep(0)
        assert await own_tasks() == set()
    assert await settled(aiwyn) == (0, 0, 0)
    assert len(await aiwyn.invoices.list().collect()) == 95


async def test_slow_consumer_limits_requests_in_flight(box: Sandbox) -> None:
    number = 0
    async with AiwynClient(base_url=box.url, token=box.token, max_concurrency=4) as aiwyn:
        async for _ in aiwyn.invoices.list(page_size=5):
            number += 1
            if number == 1:
                for _ in range(1_000_000):
                    if len(bodies(box)) == 5:
                        break
                    await asyncio.sleep(0)
                for _ in range(1000):  # turns of the loop in which a sixth request would go out
                    await asyncio.sleep(0)
                assert len(bodies(box)) == 5
    assert number == 95


async def test_concurrent_uses_of_one_pager_are_independent(aiwyn: AiwynClient, box: Sandbox) -> None:
    pager = aiwyn.invoices.list(page_size=10)

    async def read() -> list[Any]:
        return [row.id async for row in pager]

    assert list(await asyncio.gather(read(), read(), read())) == [ids(box)] * 3


async def test_options_of_a_view_reach_the_third_page(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", nth=3, status=500)
    with pytest.raises(ServerError) as caught:
        await aiwyn.with_options(retries=0).invoices.list(page_size=10).collect()
    assert len(caught.value.attempts) == 1


async def test_page_and_pager_repr(aiwyn: AiwynClient) -> None:
    page: Page[Any] = await aiwyn.invoices.list(page_size=10)
    assert repr(page) == "<Page 0: 10 rows of 95>"
    assert "Invoice" in repr(aiwyn.invoices.list())
