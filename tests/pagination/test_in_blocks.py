"""``async for`` reads a page block by block: the same rows and report as page by page.

Blocks are small here, so that a page of ten rows has several.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

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
    """One row per block, or about three."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", request.param)


def mutation(change: Callable[[Page], None]) -> Callable[[bytes], bytes]:
    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        change(page)
        return msgspec.json.encode(page)

    return mutate


def set_in_row(index: int, **fields: Any) -> Callable[[bytes], bytes]:
    return mutation(lambda page: page["deid_invoice"][index].update(fields))


def malformed_from_row(index: int) -> Callable[[bytes], bytes]:
    """Return a mutation that makes the page malformed from this row on."""

    def mutate(body: bytes) -> bytes:
        at = -1
        for _ in range(index + 1):
            at = body.index(b'{"id":', at + 1)
            while body[at - 1 : at] not in {b"[", b","} or b'"invoiceNumber"' not in body[at : at + 40]:
                at = body.index(b'{"id":', at + 1)
        return body[: at + 6] + b"?" + body[at + 7 :]

    return mutate


async def read(pager: Pager[Any]) -> tuple[list[Any], Exception | None]:
    """Return the ids received, and the error that ended the read."""
    keys: list[Any] = []
    try:
        async for row in pager:
            keys.append(row["id"] if isinstance(row, dict) else row.id)  # noqa: PERF401 (an error ends it)
    except RequestError as error:
        return keys, error
    return keys, None


def counted(report: ListReport) -> ListReport:
    return msgspec.structs.replace(report, seconds=0.0)


async def read_by_row_and_by_page(
    aiwyn: AiwynClient,
    box: Sandbox,
    mutate: Callable[[bytes], bytes] | None = None,
    which: Any = FOURTH,
    **options: Any,
) -> tuple[Pager[Any], list[Any]]:
    """A list with the fourth page mutated: rows and report are the same by row and by page."""
    keys: list[list[Any]] = []
    pagers: list[Pager[Any]] = []
    for by_page in (True, False):
        box.faults.clear()
        if mutate is not None:
            box.faults.add("invoices.list", **which, mutate=mutate)
        pager: Pager[Any] = aiwyn.invoices.list(page_size=10, **options)
        keys.append([row.id for row in await pager.collect()] if by_page else (await read(pager))[0])
        pagers.append(pager)
    assert keys[0] == keys[1]
    assert counted(pagers[0].report) == counted(pagers[1].report)
    assert pagers[0].bad_rows == pagers[1].bad_rows
    assert pagers[0].checkpoint == pagers[1].checkpoint
    return pagers[1], keys[1]


@pytest.mark.parametrize("kind", [Invoice, deferred(Invoice), dict])
async def test_rows_are_yielded_before_the_page_is_decoded(
    aiwyn: AiwynClient, box: Sandbox, kind: Any
) -> None:
    """Rows before a malformed row in the middle of the fourth page are yielded."""
    pager = aiwyn.invoices.list(page_size=10).decode_as(kind)
    everything, error = await read(aiwyn.invoices.list(page_size=95))
    assert error is None
    box.faults.add("invoices.list", **EACH_FOURTH, mutate=malformed_from_row(7))
    keys, error = await read(pager)
    assert isinstance(error, DecodeError)
    assert "row 7" in str(error)
    assert 30 < len(keys) <= 37
    assert keys == everything[: len(keys)]
    assert pager.report.rows_yielded == len(keys)
    assert (pager.report.pages, pager.report.stop_reason) == (4, "error")
    # The checkpoint of the error points just after the last yielded row.
    box.faults.clear()
    assert error.checkpoint == pager.checkpoint is not None
    rest = aiwyn.invoices.list(page_size=10, resume=error.checkpoint)
    assert keys + (await read(rest))[0] == everything
    assert rest.report.complete
    assert (rest.report.rows_yielded, rest.report.total_count) == (95, 95)


@pytest.mark.parametrize("index", range(10))
async def test_row_malformed_once_costs_one_more_request(
    aiwyn: AiwynClient, box: Sandbox, index: int
) -> None:
    pager, keys = await read_by_row_and_by_page(aiwyn, box, malformed_from_row(index))
    assert len(keys) == len(set(keys)) == 95
    assert (pager.report.requests, pager.report.pages, pager.report.complete) == (11, 10, True)


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("on_bad_row", ["skip", "collect"])
async def test_bad_row_loses_no_other_row(
    aiwyn: AiwynClient, box: Sandbox, index: int, on_bad_row: Any
) -> None:
    pager, keys = await read_by_row_and_by_page(
        aiwyn, box, set_in_row(index, totalAmount="a lot"), on_bad_row=on_bad_row
    )
    assert len(keys) == len(set(keys)) == 94
    assert (pager.report.bad_rows, pager.report.rows_yielded) == (1, 95)
    assert [(bad.page, bad.index) for bad in pager.bad_rows] == (
        [(3, index)] if on_bad_row == "collect" else []
    )


@pytest.mark.parametrize("index", range(10))
async def test_bad_row_error_has_a_checkpoint_before_it(aiwyn: AiwynClient, box: Sandbox, index: int) -> None:
    everything, _ = await read(aiwyn.invoices.list(page_size=95))
    box.faults.add("invoices.list", **EACH_FOURTH, mutate=set_in_row(index, totalAmount="a lot"))
    pager = aiwyn.invoices.list(page_size=10)
    keys, error = await read(pager)
    assert isinstance(error, DecodeError)
    assert error.location == f"$.deid_invoice[{index}].totalAmount"
    assert 30 <= len(keys) <= 30 + index
    resumed = aiwyn.invoices.list(page_size=10, on_bad_row="skip", resume=error.checkpoint)
    rest, _ = await read(resumed)
    assert keys + rest == everything[: 30 + index] + everything[31 + index :]
    assert (resumed.report.rows_yielded, resumed.report.bad_rows) == (95, 1)


@pytest.mark.parametrize("index", range(10))
async def test_repairable_row_is_repaired(aiwyn: AiwynClient, box: Sandbox, index: int) -> None:
    pager, keys = await read_by_row_and_by_page(
        aiwyn, box, set_in_row(index, clientId=None, dueDate=" 2026-03-01T00:00:00Z")
    )
    assert len(keys) == 95
    assert pager.report.repaired_rows == 1


async def test_nested_object_is_not_read_as_a_row(aiwyn: AiwynClient, box: Sandbox) -> None:
    def nest(page: Page) -> None:
        for row in page["deid_invoice"]:
            row["lineItems"] = [{"id": n, "invoiceNumber": "},{"} for n in range(4)]

    pager, keys = await read_by_row_and_by_page(aiwyn, box, mutation(nest))
    assert len(keys) == 95
    assert pager.report.complete


@pytest.mark.parametrize(("insert", "delete"), [(1, 0), (4, 0), (6, 0), (0, 3)])
async def test_repeated_rows_are_yielded_once(insert: int, delete: int) -> None:
    keys: list[list[Any]] = []
    reports: list[ListReport] = []
    for by_page in (True, False):
        async with (
            Sandbox(invoices=95, seed=7) as box,
            AiwynClient(base_url=box.url, api_key=box.api_key, max_concurrency=1) as client,
        ):
            box.drift = Drift(insert=insert, delete=delete)
            pager = client.invoices.list(page_size=10)
            keys.append([row.id for row in await pager.collect()] if by_page else (await read(pager))[0])
            reports.append(pager.report)
    assert keys[0] == keys[1]
    assert len(set(keys[1])) == len(keys[1])
    assert counted(reports[0]) == counted(reports[1])


async def test_row_twice_on_one_page_is_yielded_once(aiwyn: AiwynClient, box: Sandbox) -> None:
    def twice(page: Page) -> None:
        page["deid_invoice"][8] = page["deid_invoice"][2]

    pager, keys = await read_by_row_and_by_page(aiwyn, box, mutation(twice))
    assert len(set(keys)) == len(keys) == 94
    assert pager.report.duplicates == 1


class Keyed(msgspec.Struct, rename="camel"):
    id: int | str | None = None
    invoice_number: str | None = None


@pytest.mark.parametrize("key", ["text", "none", "mixed"])
async def test_keys_may_be_text_or_missing(aiwyn: AiwynClient, box: Sandbox, key: str) -> None:
    def rekey(page: Page) -> None:
        for index, row in enumerate(page["deid_invoice"]):
            if key == "text" or (key == "mixed" and index % 3 == 0):
                row["id"] = f"inv-{row['id']}"
            elif key == "none" and index > 4:
                row["id"] = None

    box.faults.add("invoices.list", times=1000, mutate=mutation(rekey))
    in_pages = aiwyn.invoices.list(page_size=10).decode_as(Keyed)
    pages = [row.id for row in await in_pages.collect()]
    in_rows = aiwyn.invoices.list(page_size=10).decode_as(Keyed)
    keys, _ = await read(in_rows)
    assert keys == pages
    assert len(keys) == 95
    assert counted(in_rows.report) == counted(in_pages.report)


async def test_page_with_errors_yields_no_rows(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add(
        "invoices.list", **FOURTH, mutate=mutation(lambda page: page.update(errors=[{"message": "no"}]))
    )
    pager = aiwyn.invoices.list(page_size=10)
    keys, error = await read(pager)
    assert isinstance(error, ApiError)
    assert len(keys) == 30
    assert (
        keys + (await read(aiwyn.invoices.list(page_size=10, resume=error.checkpoint)))[0]
        == (await read(aiwyn.invoices.list()))[0]
    )


@pytest.mark.parametrize("count", [None, "many", -1])
async def test_list_without_a_count_is_read(aiwyn: AiwynClient, box: Sandbox, count: Any) -> None:
    total = {"aggregate": {"count": count}}
    mutate = mutation(lambda page: page.update(deid_invoice_aggregate=total))
    pager, keys = await read_by_row_and_by_page(aiwyn, box, mutate, which={"every": 1})
    assert len(keys) == 95
    assert (pager.report.stop_reason, pager.report.total_count) == ("empty_page", None)


async def test_page_without_its_count_is_read(aiwyn: AiwynClient, box: Sandbox) -> None:
    _, keys = await read_by_row_and_by_page(
        aiwyn, box, mutation(lambda page: page.pop("deid_invoice_aggregate"))
    )
    assert len(keys) == 95


async def test_page_changed_before_its_second_request_is_not_complete(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    """Its rows that were already yielded are neither yielded again nor lost."""
    broken = malformed_from_row(8)

    def broken_and_moved(body: bytes) -> bytes:
        box.insert("invoices", {}, count=5)
        return broken(body)

    box.faults.add("invoices.list", **FOURTH, mutate=broken_and_moved)
    pager = aiwyn.invoices.list(page_size=10)
    keys, error = await read(pager)
    assert error is None
    assert len(keys) == len(set(keys)) == pager.report.rows_yielded
    assert not pager.report.complete


@pytest.mark.parametrize("after", [1, 10, 25, 31, 35, 40, 41, 94])
async def test_break_within_a_page_resumes_with_that_page(aiwyn: AiwynClient, after: int) -> None:
    """The report counts the rows received; the checkpoint points to the start of the current page."""
    everything, _ = await read(aiwyn.invoices.list())
    pager = aiwyn.invoices.list(page_size=10)
    rows = aiter(pager)
    yielded = [row.id for row in [await anext(rows) for _ in range(after)]]
    await rows.aclose()
    report = pager.report
    assert report.stop_reason == "break"
    assert after <= report.rows_yielded <= report.rows_received <= report.pages * 10
    assert report.pages == (after - 1) // 10 + 1
    assert pager.checkpoint is not None
    rest, _ = await read(aiwyn.invoices.list(page_size=10, resume=pager.checkpoint))
    repeated = (after - 1) // 10 * 10
    assert yielded[:repeated] + rest == everything


async def test_pages_are_requested_while_one_is_yielded(aiwyn: AiwynClient, box: Sandbox) -> None:
    """Four requests are in flight when the first row of a page is yielded."""
    number = 0
    async for _ in aiwyn.invoices.list(page_size=5):
        expected = min(number // 5 + 5, 19)
        for _ in range(1_000_000):
            if box.calls("invoices.list") >= expected:
                break
            await asyncio.sleep(0)
        assert box.calls("invoices.list") >= expected
        number += 1
    assert number == 95


class Tracked(msgspec.Struct, weakref=True):
    id: int
    rows: ClassVar[list[weakref.ref[Tracked]]] = []
    alive: ClassVar[list[int]] = []

    def __post_init__(self) -> None:
        self.alive.append(sum(row() is not None for row in self.rows))
        self.rows.append(weakref.ref(self))


async def test_block_is_released_before_the_next_is_decoded(
    aiwyn: AiwynClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 6000)
    Tracked.rows.clear()
    Tracked.alive.clear()
    async for row in aiwyn.invoices.list(page_size=20).decode_as(Tracked):
        del row
    assert max(Tracked.alive[:40]) == 19  # the first two pages are decoded whole
    # The end of the page, decoded first, the block of five or six rows, and the last row of the one before.
    assert max(Tracked.alive[40:]) <= 10


async def test_error_while_a_page_is_confirmed_has_a_checkpoint_before_its_last_block(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    expected = await aiwyn.invoices.list(page_size=10).collect()
    answered = 0

    def cut(page: Page) -> None:
        nonlocal answered
        answered += 1
        del page["deid_invoice"][-1]

    fourth: Any = {"match": lambda body: body["page"] == 3 and answered == 1}
    box.faults.add("invoices.list", nth=4, mutate=mutation(cut))
    box.faults.add("invoices.list", every=1, status=500, **fourth)
    pager = aiwyn.with_options(retries=0).invoices.list(page_size=10)
    keys, error = await read(pager)
    assert isinstance(error, RequestError)
    assert error.checkpoint is not None
    box.faults.clear()
    rest, failure = await read(aiwyn.invoices.list(page_size=10, resume=error.checkpoint))
    assert failure is None
    assert set(keys + rest) == {row.id for row in expected}
