"""Pulls by page number with rows and pages that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, DecodeError, ServerError
from aiwyn_async.sandbox import Sandbox
from server_model import ServerModel, numbered

MANY = 10**6


async def test_full_scan_counts_a_bad_row_once(aiwyn: AiwynClient, box: Sandbox) -> None:
    def break_one(body: bytes) -> bytes:
        return body.replace(b'"totalAmount":', b'"totalAmount":[],"x":', 1)

    box.faults.add("invoices.search", nth=1, times=MANY, mutate=break_one)
    pull = aiwyn.invoices.pull(paging="page", page_size=1000, on_bad_row="collect")
    await pull.collect()
    assert pull.report.scans == 2
    assert pull.report.bad_rows == len(pull.bad_rows)
    assert pull.report.bad_rows > 0


@pytest.mark.parametrize("as_arrow", [False, True])
async def test_bad_row_of_a_full_scan_does_not_hide_a_missing_one(
    as_arrow: bool, aiwyn: AiwynClient, box: Sandbox
) -> None:
    """An Arrow reader converts rows, and counts the bad ones, while pages are read."""

    def spoil(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        for row in page["deid_invoice"][1:2]:
            row["totalAmount"] = "a lot"
        del page["deid_invoice"][:1]
        return msgspec.json.encode(page)

    def is_first_page(body: Any) -> bool:
        return bool(body["page"] == 0)

    box.faults.add("invoices.search", every=1, match=is_first_page, mutate=spoil)
    pull = aiwyn.invoices.pull(paging="page", page_size=1000, on_bad_row="skip")
    if as_arrow:
        await asyncio.to_thread(lambda: pa.RecordBatchReader.from_stream(pull).read_all())
    else:
        await pull.collect()
    count = pull.report.total_count_at_end
    assert (pull.report.rows_yielded, pull.report.bad_rows) == ((count or 0) - 1, 1)
    assert "1 rows counted by the server were not received" in pull.report.blocking_problems()


async def test_full_scan_ends_at_a_row_that_does_not_decode(aiwyn: AiwynClient, box: Sandbox) -> None:
    """In smaller pages it would not decode either."""
    box.faults.add("invoices.search", nth=2, times=MANY, mutate=lambda body: body.replace(b'"id":', b'"x":'))
    pull = aiwyn.invoices.pull(paging="page", page_size=100)
    with pytest.raises(DecodeError):
        await pull.collect()
    assert pull.report.min_page_size == 100


async def test_full_scan_ends_if_a_page_of_one_row_fails(aiwyn: AiwynClient, box: Sandbox) -> None:
    """The first row, requested alone, shows that the server responds."""
    requests: list[Any] = []

    def is_later_page(body: Any) -> bool:
        requests.append((body["page"], body["pageSize"]))
        return bool(body["page"])

    box.faults.add("invoices.search", status=500, times=MANY, match=is_later_page)
    pull = aiwyn.with_options(retries=0).invoices.pull(paging="page", page_size=4)
    with pytest.raises(ServerError):
        await pull.collect()
    assert pull.report.min_page_size == 1
    assert (0, 1) in requests
    assert {size for _, size in requests} == {4, 2, 1}


async def test_full_scan_counts_the_requests_and_bytes_of_all_scans(aiwyn: AiwynClient, box: Sandbox) -> None:
    bodies: list[int] = []

    def measure(body: bytes) -> bytes:
        bodies.append(len(body))
        return body

    box.faults.add("invoices.search", nth=1, times=MANY, mutate=measure)
    pull = aiwyn.invoices.pull(paging="page", page_size=1000)
    await pull.collect()
    report = pull.report
    assert (report.scans, report.requests, report.bytes) == (2, len(bodies), sum(bodies))


@pytest.mark.parametrize("paging", ["key", "page"])
async def test_pull_of_one_page_has_one_request_in_flight(
    serve: Callable[[ServerModel], Any], paging: str
) -> None:
    pull = (await serve(ServerModel(numbered(1, 2, 3)))).invoices.pull(paging=paging)
    await pull.collect()
    assert pull.report.peak_concurrency == 1


async def test_rows_of_a_resource_without_a_key_are_yielded_by_the_first_scan(
    serve: Callable[[ServerModel], Any],
) -> None:
    client = await serve(ServerModel(numbered(*range(10))))
    pull = client.collection("/rows", key=None).pull(page_size=4)
    assert [row["id"] for row in await pull.collect()] == list(range(10))
    assert (pull.report.scans, pull.report.scans_agree, pull.report.rows_yielded) == (2, True, 10)
