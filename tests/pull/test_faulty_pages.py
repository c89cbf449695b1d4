"""One faulty response at every position of a pull: every row arrives, or a problem is named."""

from __future__ import annotations

from typing import Any

import pytest

from aiwyn_async import PaginationError
from fake_clock import FakeClock
from one_fault import CONTENTS, Content, OneFault, keys_received, numbered, serving

WAYS: dict[str, dict[str, Any]] = {
    "1 range": {"ranges": 1},
    "1 range, ordered": {"ranges": 1, "ordered": True},
    "4 ranges": {"ranges": 4},
    "4 ranges, ordered": {"ranges": 4, "ordered": True},
    "passes": {"paging": "page"},
}


async def read(server: OneFault, clock: FakeClock, **options: Any) -> tuple[list[Any], bool]:
    """The keys that arrived, and whether the pull calls itself complete."""
    async with serving(server, clock) as client:
        return await keys_received(client.invoices.pull(page_size=10, **options).decode_as(dict))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("counted", [False, True])
async def test_one_faulty_response_is_made_good_or_named(
    clock: FakeClock, content: Content, way: str, counted: bool
) -> None:
    rows = numbered(range(5, 290, 3))
    keys = [row["id"] for row in rows]
    plain = OneFault(rows, None, None, counted=counted)
    found, is_complete = await read(plain, clock, **WAYS[way])
    assert sorted(found) == keys
    assert is_complete
    silent: list[int] = []
    for position in range(plain.requests):
        server = OneFault(rows, content, position, counted=counted)
        found, is_complete = await read(server, clock, **WAYS[way])
        assert len(found) == len(set(found))
        if is_complete and sorted(found) != keys:
            silent.append(position)
    assert silent == []


@pytest.mark.parametrize("content", ["empty", "short"])
@pytest.mark.parametrize("way", WAYS)
async def test_an_empty_or_short_page_loses_nothing(clock: FakeClock, content: Content, way: str) -> None:
    for position in range(15):
        server = OneFault(numbered(range(95)), content, position, counted=False)
        found, is_complete = await read(server, clock, **WAYS[way])
        assert (sorted(found), is_complete) == (list(range(95)), True)


@pytest.mark.parametrize("ranges", [1, 4])
async def test_the_highest_key_has_to_arrive(clock: FakeClock, ranges: int) -> None:
    """The server shows it when it is asked for the last row, and never in a range."""
    server = OneFault(numbered(range(95)), None, None, counted=False)
    server.only_as_last = {94}
    async with serving(server, clock) as client:
        pull = client.invoices.pull(page_size=10, ranges=ranges).decode_as(dict)
        with pytest.raises(PaginationError, match="highest key, 94, was not received"):
            await pull.collect()
    assert [(each.after, each.until) for each in pull.report.missing] == [(93, None)]


async def test_a_highest_key_that_is_deleted_meanwhile_is_no_problem(clock: FakeClock) -> None:
    server = OneFault(numbered(range(95)), None, None, counted=False)
    async with serving(server, clock) as client:
        pull = client.invoices.pull(page_size=10, ranges=1, strict=True).decode_as(dict)
        found: list[Any] = []
        async for row in pull:
            found.append(row["id"])
            if row["id"] == 50:
                server.missing = {94}
        assert found == list(range(94))


async def test_a_resumed_pull_names_the_problems_of_the_runs_before(clock: FakeClock) -> None:
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
