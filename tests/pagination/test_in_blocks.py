"""``async for`` reads a page block by block: the same rows and report as page by page.

The blocks are small here, so that pages of ten rows have some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, Invoice, deferred
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding import blocks
from aiwyn_async._pagination.pager import Pager
from aiwyn_async.errors import ApiError, DecodeError, RequestError
from aiwyn_async.sandbox import Drift, Sandbox

Page = dict[str, Any]
FOURTH: Any = {"nth": 4}
EACH_FOURTH: Any = {"every": 1, "match": lambda body: body["page"] == 3}


@pytest.fixture(autouse=True, params=[1, 3000])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a block, or about three."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", request.param)


def changed(change: Callable[[Page], None]) -> Callable[[bytes], bytes]:
    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        change(page)
        return msgspec.json.encode(page)

    return mutate


def in_row(place: int, **fields: Any) -> Callable[[bytes], bytes]:
    return changed(lambda page: page["deid_invoice"][place].update(fields))


def broken_in_row(place: int) -> Callable[[bytes], bytes]:
    """No JSON any more, from the middle of the page on."""

    def mutate(body: bytes) -> bytes:
        at = -1
        for _ in range(place + 1):
            at = body.index(b'{"id":', at + 1)
            while body[at - 1 : at] not in {b"[", b","} or b'"invoiceNumber"' not in body[at : at + 40]:
                at = body.index(b'{"id":', at + 1)
        return body[: at + 6] + b"?" + body[at + 7 :]

    return mutate


async def read(pager: Pager[Any]) -> tuple[list[Any], Exception | None]:
    """The ids received, and the error that ended the read."""
    found: list[Any] = []
    try:
        async for row in pager:
            found.append(row["id"] if isinstance(row, dict) else row.id)  # noqa: PERF401 (an error ends it)
    except RequestError as error:
        return found, error
    return found, None


def counted(report: ListReport) -> ListReport:
    return msgspec.structs.replace(report, seconds=0.0)


async def both_ways(
    aiwyn: AiwynClient,
    box: Sandbox,
    mutate: Callable[[bytes], bytes] | None = None,
    which: Any = FOURTH,
    **options: Any,
) -> tuple[Pager[Any], list[Any]]:
    """A list with the fourth page mutated: rows and report are the same by row and by page."""
    found: list[list[Any]] = []
    pagers: list[Pager[Any]] = []
    for by_page in (True, False):
        box.faults.clear()
        if mutate is not None:
            box.faults.add("invoices.list", **which, mutate=mutate)
        pager: Pager[Any] = aiwyn.invoices.list(page_size=10, **options)
        found.append([row.id for row in await pager.collect()] if by_page else (await read(pager))[0])
        pagers.append(pager)
    assert found[0] == found[1]
    assert counted(pagers[0].report) == counted(pagers[1].report)
    assert pagers[0].bad_rows == pagers[1].bad_rows
    assert pagers[0].checkpoint == pagers[1].checkpoint
    return pagers[1], found[1]


@pytest.mark.parametrize("kind", [Invoice, deferred(Invoice), dict])
async def test_rows_are_yielded_before_the_page_is_decoded(
    aiwyn: AiwynClient, box: Sandbox, kind: Any
) -> None:
    """A row that is broken in the middle of the fourth page holds back no row before it."""
    pager = aiwyn.invoices.list(page_size=10).decode_as(kind)
    everything, error = await read(aiwyn.invoices.list(page_size=95))
    assert error is None
    box.faults.add("invoices.list", **EACH_FOURTH, mutate=broken_in_row(7))
    found, error = await read(pager)
    assert isinstance(error, DecodeError)
    assert "row 7" in str(error)
    assert 30 < len(found) <= 37
    assert found == everything[: len(found)]
    assert pager.report.rows_yielded == len(found)
    assert (pager.report.pages, pager.report.stop_reason) == (4, "error")
    # The checkpoint of the error points just after the last yielded row.
    box.faults.clear()
    assert error.checkpoint == pager.checkpoint is not None
    rest = aiwyn.invoices.list(page_size=10, resume=error.checkpoint)
    assert found + (await read(rest))[0] == everything
    assert rest.report.complete
    assert (rest.report.rows_yielded, rest.report.total_count) == (95, 95)


@pytest.mark.parametrize("place", range(10))
async def test_row_malformed_once_costs_one_more_request(
    aiwyn: AiwynClient, box: Sandbox, place: int
) -> None:
    pager, found = await both_ways(aiwyn, box, broken_in_row(place))
    assert len(found) == len(set(found)) == 95
    assert (pager.report.requests, pager.report.pages, pager.report.complete) == (11, 10, True)


@pytest.mark.parametrize("place", range(10))
@pytest.mark.parametrize("way", ["skip", "collect"])
async def test_bad_row_loses_no_other_row(aiwyn: AiwynClient, box: Sandbox, place: int, way: Any) -> None:
    pager, found = await both_ways(aiwyn, box, in_row(place, totalAmount="a lot"), on_bad_row=way)
    assert len(found) == len(set(found)) == 94
    assert (pager.report.bad_rows, pager.report.rows_yielded) == (1, 95)
    assert [(bad.page, bad.index) for bad in pager.bad_rows] == ([(3, place)] if way == "collect" else [])


@pytest.mark.parametrize("place", range(10))
async def test_bad_row_error_has_a_checkpoint_before_it(aiwyn: AiwynClient, box: Sandbox, place: int) -> None:
    everything, _ = await read(aiwyn.invoices.list(page_size=95))
    box.faults.add("invoices.list", **EACH_FOURTH, mutate=in_row(place, totalAmount="a lot"))
    pager = aiwyn.invoices.list(page_size=10)
    found, error = await read(pager)
    assert isinstance(error, DecodeError)
    assert error.location == f"$.deid_invoice[{place}].totalAmount"
    assert 30 <= len(found) <= 30 + place
    resumed = aiwyn.invoices.list(page_size=10, on_bad_row="skip", resume=error.checkpoint)
    rest, _ = await read(resumed)
    assert found + rest == everything[: 30 + place] + everything[31 + place :]
    assert (resumed.report.rows_yielded, resumed.report.bad_rows) == (95, 1)


@pytest.mark.parametrize("place", range(10))
async def test_repairable_row_is_repaired(aiwyn: AiwynClient, box: Sandbox, place: int) -> None:
    pager, found = await both_ways(aiwyn, box, in_row(place, clientId=None, dueDate="2026-03-01"))
    assert len(found) == 95
    assert pager.report.repaired_rows == 1


async def test_nested_object_is_not_taken_for_a_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    def nest(page: Page) -> None:
        for row in page["deid_invoice"]:
            row["lineItems"] = [{"id": n, "invoiceNumber": "},{"} for n in range(4)]

    pager, found = await both_ways(aiwyn, box, changed(nest))
    assert len(found) == 95
    assert pager.report.complete


@pytest.mark.parametrize(("insert", "delete"), [(1, 0), (4, 0), (6, 0), (0, 3)])
async def test_repeated_rows_are_yielded_once(insert: int, delete: int) -> None:
    found: list[list[Any]] = []
    reports: list[ListReport] = []
    for by_page in (True, False):
        async with (
            Sandbox(invoices=95, seed=7) as box,
            AiwynClient(base_url=box.url, api_key=box.api_key, max_concurrency=1) as client,
        ):
            box.drift = Drift(insert=insert, delete=delete)
            pager = client.invoices.list(page_size=10)
            found.append([row.id for row in await pager.collect()] if by_page else (await read(pager))[0])
            reports.append(pager.report)
    assert found[0] == found[1]
    assert len(set(found[1])) == len(found[1])
    assert counted(reports[0]) == counted(reports[1])


async def test_row_twice_on_one_page_is_yielded_once(aiwyn: AiwynClient, box: Sandbox) -> None:
    def twice(page: Page) -> None:
        page["deid_invoice"][8] = page["deid_invoice"][2]

    pager, found = await both_ways(aiwyn, box, changed(twice))
    assert len(set(found)) == len(found) == 94
    assert pager.report.duplicates == 1


class Keyed(msgspec.Struct, rename="camel"):
    id: int | str | None = None
    invoice_number: str | None = None


@pytest.mark.parametrize("key", ["text", "none", "mixed"])
async def test_keys_of_any_kind(aiwyn: AiwynClient, box: Sandbox, key: str) -> None:
    def rekey(page: Page) -> None:
        for place, row in enumerate(page["deid_invoice"]):
            if key == "text" or (key == "mixed" and place % 3 == 0):
                row["id"] = f"inv-{row['id']}"
            elif key == "none" and place > 4:
                row["id"] = None

    box.faults.add("invoices.list", times=1000, mutate=changed(rekey))
    in_pages = aiwyn.invoices.list(page_size=10).decode_as(Keyed)
    pages = [row.id for row in await in_pages.collect()]
    in_rows = aiwyn.invoices.list(page_size=10).decode_as(Keyed)
    found, _ = await read(in_rows)
    assert found == pages
    assert len(found) == 95
    assert counted(in_rows.report) == counted(in_pages.report)


async def test_page_with_errors_yields_no_rows(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", **FOURTH, mutate=changed(lambda page: page.update(errors=[{"message": "no"}]))
    )
    pager = aiwyn.invoices.list(page_size=10)
    found, error = await read(pager)
    assert isinstance(error, ApiError)
    assert len(found) == 30
    assert (
        found + (await read(aiwyn.invoices.list(page_size=10, resume=error.checkpoint)))[0]
        == (await read(aiwyn.invoices.list()))[0]
    )


@pytest.mark.parametrize("count", [None, "many", -1])
async def test_list_without_a_count_is_read(aiwyn: AiwynClient, box: Sandbox, count: Any) -> None:
    total = {"aggregate": {"count": count}}
    mutate = changed(lambda page: page.update(deid_invoice_aggregate=total))
    pager, found = await both_ways(aiwyn, box, mutate, which={"every": 1})
    assert len(found) == 95
    assert (pager.report.stop_reason, pager.report.total_count) == ("empty_page", None)


async def test_page_without_its_count_is_read(aiwyn: AiwynClient, box: Sandbox) -> None:
    _, found = await both_ways(aiwyn, box, changed(lambda page: page.pop("deid_invoice_aggregate")))
    assert len(found) == 95


async def test_page_that_changed_before_its_second_request(aiwyn: AiwynClient, box: Sandbox) -> None:
    """What was given of it already is neither given again nor forgotten."""
    broken = broken_in_row(8)

    def broken_and_moved(body: bytes) -> bytes:
        box.insert("invoices", {}, count=5)
        return broken(body)

    box.faults.add("invoices.list", **FOURTH, mutate=broken_and_moved)
    pager = aiwyn.invoices.list(page_size=10)
    found, error = await read(pager)
    assert error is None
    assert len(found) == len(set(found)) == pager.report.rows_yielded
    assert not pager.report.complete


@pytest.mark.parametrize("after", [1, 10, 25, 31, 35, 40, 41, 94])
async def test_break_within_a_page(aiwyn: AiwynClient, after: int) -> None:
    """The report tells of what came, and the checkpoint begins with the page that was begun."""
    everything, _ = await read(aiwyn.invoices.list())
    pager = aiwyn.invoices.list(page_size=10)
    rows = aiter(pager)
    given = [row.id for row in [await anext(rows) for _ in range(after)]]
    await rows.aclose()
    report = pager.report
    assert report.stop_reason == "break"
    assert after <= report.rows_yielded <= report.rows_received <= report.pages * 10
    assert report.pages == (after - 1) // 10 + 1
    assert pager.checkpoint is not None
    rest, _ = await read(aiwyn.invoices.list(page_size=10, resume=pager.checkpoint))
    again = (after - 1) // 10 * 10
    assert given[:again] + rest == everything


async def test_pages_are_requested_while_one_is_yielded(aiwyn: AiwynClient, box: Sandbox) -> None:
    """Four are under way from the first row of a page on."""
    number = 0
    async for _ in aiwyn.invoices.list(page_size=5):
        asked = min(number // 5 + 5, 19)
        for _ in range(1_000_000):
            if box.calls("invoices.list") >= asked:
                break
            await asyncio.sleep(0)
        assert box.calls("invoices.list") >= asked
        number += 1
    assert number == 95
