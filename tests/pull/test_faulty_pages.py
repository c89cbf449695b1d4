"""Pulls with one faulty response receive every row, or report a problem."""

from __future__ import annotations

from typing import Any

import pytest

from aiwyn_async import PaginationError
from aiwyn_async.testing import FakeClock
from one_fault import CONTENTS, Content, OneFault, keys_received, numbered, serving

METHODS: dict[str, dict[str, Any]] = {
    "1 range": {"ranges": 1},
    "1 range, ordered": {"ranges": 1, "ordered": True},
    "4 ranges": {"ranges": 4},
    "4 ranges, ordered": {"ranges": 4, "ordered": True},
    "full scan": {"paging": "page"},
}


async def read(server: OneFault, clock: FakeClock, **options: Any) -> tuple[list[Any], bool]:
    """Return the received keys, and whether the pull is reported as complete."""
    async with serving(server, clock) as client:
        return await keys_received(client.invoices.pull(page_size=10, **options).decode_as(dict))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counted", [False, True])
async def test_faulty_response_is_repeated_or_reported(
    clock: FakeClock, content: Content, method: str, counted: bool
) -> None:
    rows = numbered(range(5, 200, 3))  # two pages in each of 4 ranges
    keys = [row["id"] for row in rows]
    plain = OneFault(rows, None, None, counted=counted)
    received, is_complete = await read(plain, clock, **METHODS[method])
    assert sorted(received) == keys
    assert is_complete
    unreported: list[int] = []
    for position in range(plain.requests):
        server = OneFault(rows, content, position, counted=counted)
        received, is_complete = await read(server, clock, **METHODS[method])
        assert len(received) == len(set(received))
        if is_complete and sorted(received) != keys:
            unreported.append(position)
    assert unreported == []


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cap", [1000, 8])
async def test_faulty_response_of_a_server_that_counts_pages_is_repeated_or_reported(
    clock: FakeClock, content: Content, method: str, cap: int
) -> None:
    """A first page and its count may look like the whole list."""
    keys = list(range(5, 100, 2))
    unreported: list[int] = []
    for position in range(8):
        server = OneFault(numbered(keys), content, position, counted=True, cap=cap)
        server.counts_pages = True
        received, is_complete = await read(server, clock, **METHODS[method])
        if is_complete and sorted(received) != keys:
            unreported.append(position)
    assert unreported == []


@pytest.mark.parametrize("content", ["empty", "short", "headless", "holed"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_faulty_response_of_a_resumed_pull_is_repeated_or_reported(
    clock: FakeClock, content: Content, ordered: bool
) -> None:
    """The last pages of narrow ranges, whatever their lengths, show nothing about the others."""
    keys = list(range(5, 99, 2))
    options: dict[str, Any] = {"page_size": 5, "ranges": 4, "ordered": ordered}
    unreported: list[int] = []
    for position in range(12):
        server = OneFault(numbered(keys), content, None, counted=False)
        async with serving(server, clock) as client:
            pages = client.invoices.pull(**options).decode_as(dict).pages()
            first, second = await anext(pages), await anext(pages)
            await pages.aclose()
            server.requests, server.at = 0, position
            rest = client.invoices.pull(**options).decode_as(dict).resume_from(second.checkpoint)
            received, is_complete = await keys_received(rest)
        received += [row["id"] for page in (first, second) for row in page.items]
        if is_complete and sorted(received) != keys:
            unreported.append(position)
    assert unreported == []


@pytest.mark.parametrize("content", ["empty", "short"])
@pytest.mark.parametrize("method", METHODS)
async def test_empty_or_short_page_loses_no_row(clock: FakeClock, content: Content, method: str) -> None:
    for position in range(15):
        server = OneFault(numbered(range(95)), content, position, counted=False)
        received, is_complete = await read(server, clock, **METHODS[method])
        assert (sorted(received), is_complete) == (list(range(95)), True)


@pytest.mark.parametrize("content", ["short", "headless", "holed"])
@pytest.mark.parametrize("method", METHODS)
async def test_short_first_page_loses_no_row(clock: FakeClock, content: Content, method: str) -> None:
    """Its count of more rows does not show that the server has a smaller page size."""
    server = OneFault(numbered(range(95)), content, 0, counted=True)
    received, is_complete = await read(server, clock, **METHODS[method])
    assert (sorted(received), is_complete) == (list(range(95)), True)


@pytest.mark.parametrize("content", CONTENTS)
async def test_faulty_response_of_a_pull_by_single_rows_is_repeated_or_reported(
    clock: FakeClock, content: Content
) -> None:
    """A response to the request for the highest key is as long as a page."""
    unreported: list[int] = []
    for position in range(8):
        server = OneFault(numbered(range(5, 12)), content, position, counted=False)
        async with serving(server, clock) as client:
            pull = client.invoices.pull(page_size=1, ranges=1).decode_as(dict)
            received, is_complete = await keys_received(pull)
        if is_complete and sorted(received) != list(range(5, 12)):
            unreported.append(position)
    assert unreported == []


@pytest.mark.parametrize("ranges", [1, 4])
async def test_pull_without_the_highest_key_reports_it_missing(clock: FakeClock, ranges: int) -> None:
    """The server returns the row as the last one, but in no range."""
    server = OneFault(numbered(range(95)), None, None, counted=False)
    server.only_as_last = {94}
    async with serving(server, clock) as client:
        pull = client.invoices.pull(page_size=10, ranges=ranges).decode_as(dict)
        with pytest.raises(PaginationError, match="highest key, 94, was not received"):
            await pull.collect()
    assert [(each.after, each.until) for each in pull.report.missing] == [(93, None)]


async def test_highest_key_deleted_during_the_pull_is_not_missing(clock: FakeClock) -> None:
    server = OneFault(numbered(range(95)), None, None, counted=False)
    async with serving(server, clock) as client:
        pull = client.invoices.pull(page_size=10, ranges=1, strict=True).decode_as(dict)
        received: list[Any] = []
        async for row in pull:
            received.append(row["id"])
            if row["id"] == 50:
                server.missing = {94}
        assert received == list(range(94))


async def test_resumed_pull_reports_the_problems_of_earlier_pulls(clock: FakeClock) -> None:
    rows: list[dict[str, Any]] = numbered(range(40))
    rows[12]["totalAmount"] = "a lot"
    async with serving(OneFault(rows, None, None, counted=True), clock) as client:
        first = client.invoices.pull(page_size=10, ranges=1, on_bad_row="skip")
        pages = first.pages()
        await anext(pages)
        second = await anext(pages)
        await pages.aclose()
        rest = client.invoices.pull(
            page_size=10, ranges=1, on_bad_row="skip", resume=second.checkpoint.to_json()
        )
        assert len(await rest.collect()) == 20
        assert rest.report.bad_rows == 0
        assert rest.report.problems() == ["1 rows do not decode and were left out"]
