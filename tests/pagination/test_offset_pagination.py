"""Pagination by page number or offset, against a model of the server."""

# The model orders rows as a search does.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import random
from typing import Any, Literal, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aiwyn_async._http.session import Session
from aiwyn_async._pagination.offset import OffsetPagination
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.strategy import PageResult, PageStyle
from aiwyn_async.errors import PaginationLoopError
from list_model import Count, ListModel, Row, keys_of

Changes = list[list[tuple[Literal["insert", "insert at head", "delete"], int]]]

MANY = settings(max_examples=300, deadline=None)


@st.composite
def models(draw: st.DrawFn) -> tuple[ListModel, int]:
    """A server whose rows do not change, and a page size to request."""
    size = draw(st.integers(1, 9))
    number = draw(st.one_of(st.integers(0, 40), st.integers(0, 5).map(lambda pages: pages * size)))
    clamp = draw(st.one_of(st.just(10_000), st.integers(1, size)))
    min_size = draw(st.one_of(st.just(1), st.integers(1, 12)))
    count: Count = draw(st.sampled_from(("exact", "absent", "capped", "wrong", "null")))
    # A count that is capped at the end of a clamped page equals the rows received: undetectable.
    assume(not (count == "capped" and number > 7 and clamp < size))
    model = ListModel(
        draw(st.permutations(range(number))),
        skips=draw(st.booleans()),
        clamp=clamp,
        min_size=min_size,
        count=count,
    )
    return model, size


def max_requests(model: ListModel, size: int) -> int:
    real = max(model.min_size, min(size, model.clamp))
    # The end, the detection on the second page, and requests in flight discarded after a short page.
    return len(model.rows) // max(1, real) + 24


@MANY
@given(models())
def test_list_yields_every_row_once_in_order_with_few_requests(drawn: tuple[ListModel, int]) -> None:
    model, size = drawn
    pager = model.pager(size)
    assert asyncio.run(keys_of(pager)) == [row["id"] for row in model.rows]
    assert len(model.requests) <= max_requests(model, size)
    assert pager.report.duplicates == 0
    agrees = pager.report.total_count in {None, len(model.rows)}
    assert pager.report.complete == agrees, pager.report


@MANY
@given(models(), st.integers(1, 45))
def test_limit_yields_the_first_rows(drawn: tuple[ListModel, int], limit: int) -> None:
    model, size = drawn
    pager = model.pager(size, limit=limit)
    assert asyncio.run(keys_of(pager)) == [row["id"] for row in model.rows][:limit]
    assert pager.report.rows_yielded == min(limit, len(model.rows))


@MANY
@given(models(), st.sampled_from(("page", "offset")))
def test_declared_page_style_is_used(drawn: tuple[ListModel, int], page_style: PageStyle) -> None:
    model, size = drawn
    model.skips = page_style == "offset"
    assert asyncio.run(keys_of(model.pager(size, page_style=page_style))) == [row["id"] for row in model.rows]


async def keys_in_parts(model: ListModel, size: int, pages: list[int], limit: int | None) -> list[Any]:
    """Read these numbers of pages, each time with a new read from the last checkpoint's JSON."""
    keys: list[Any] = []
    resume: str | None = None
    for number in [*pages, 10_000]:
        pager = model.pager(size, resume=resume, limit=limit)
        pages_read = pager.pages()
        for _ in range(number):
            page = await anext(pages_read, None)
            if page is None:
                return keys
            keys += [row["id"] for row in page.items]
            resume = page.checkpoint.to_json()
        await pages_read.aclose()
    return keys


@MANY
@given(models(), st.lists(st.integers(1, 3), max_size=6), st.none() | st.integers(1, 45))
def test_resumed_read_yields_every_row_once(
    drawn: tuple[ListModel, int], pages: list[int], limit: int | None
) -> None:
    model, size = drawn
    assert asyncio.run(keys_in_parts(model, size, pages, limit)) == [row["id"] for row in model.rows][:limit]


@MANY
@given(models(), st.integers(1, 20), st.integers(1, 20))
def test_resumed_read_continues_after_a_smaller_limit(
    drawn: tuple[ListModel, int], first: int, more: int
) -> None:
    model, size = drawn

    async def read() -> list[Any]:
        before = model.pager(size, limit=first)
        keys = await keys_of(before)
        assert before.checkpoint is not None
        after = model.pager(size, limit=first + more, resume=before.checkpoint.to_json())
        return keys + await keys_of(after)

    assert asyncio.run(read()) == [row["id"] for row in model.rows][: first + more]


@st.composite
def moving(draw: st.DrawFn) -> tuple[ListModel, int, Changes]:
    """A server whose list changes after each response; on small pages a skip looks like an insertion."""
    model = ListModel(
        list(range(draw(st.integers(0, 14)))),
        skips=draw(st.booleans()),
        count=draw(st.sampled_from(("exact", "absent"))),
    )
    change = st.tuples(st.sampled_from(("insert", "insert at head", "delete")), st.integers(0, 20))
    changes: Any = draw(st.lists(st.lists(change, max_size=3), max_size=8))
    return model, draw(st.sampled_from((1, 2, 2, 3, 3, 4, 7))), changes


def move(model: ListModel, changes: Changes) -> set[Any]:
    """Change the list after each response; the result retains the keys present throughout."""
    stay = {row["id"] for row in model.rows}
    fresh = iter(range(1000, 2000))

    def change(model: ListModel) -> None:
        for kind, position in changes.pop(0) if changes else []:
            if kind == "delete" and model.rows:
                stay.discard(model.rows.pop(position % len(model.rows))["id"])
            elif kind != "delete":
                model.rows.insert(0 if kind == "insert at head" else position, {"id": next(fresh)})

    model.after_each = change
    return stay


@settings(max_examples=600, deadline=None)
@given(moving(), st.booleans())
def test_changing_list_ends_and_is_not_reported_complete_against_the_evidence(
    drawn: tuple[ListModel, int, Changes], one_by_one: bool
) -> None:
    model, size, changes = drawn
    stay = move(model, changes)
    pager = model.pager(size)

    async def read() -> list[Any]:
        keys: list[Any] = []
        try:
            async for row in pager:
                keys.append(row["id"])
                if one_by_one:
                    await asyncio.sleep(0)
        except PaginationLoopError as error:
            assert error.checkpoint is not None  # noqa: PT017 (an outcome among two)
        return keys

    keys = asyncio.run(read())
    report = pager.report
    assert len(keys) == len(set(keys)) == report.rows_yielded
    assert len(model.requests) < 100
    evidence = report.duplicates > 0 or (
        model.count == "exact" and (report.total_count != report.rows_yielded or report.changed_during_read)
    )
    if report.complete:
        assert not (stay - set(keys) and evidence)
    if not evidence and not changes:
        assert report.duplicates == 0


def ignores_page(fields: dict[str, Any], rows: list[Row]) -> list[Row]:
    return rows[: fields["pageSize"]]


@pytest.mark.parametrize("keyless", [5, 12])
async def test_pages_of_known_rows_in_any_order_end_a_read(keyless: int) -> None:
    """As of a server that ignores `page` and has no order; rows without a key were new each time."""
    rows: list[Row] = [{"x": index} if index < keyless else {"id": index} for index in range(12)]
    model, rng = ListModel([], count="absent", rows=rows), random.Random(1)
    model.pages = lambda fields: rng.sample(model.rows, fields["pageSize"])
    with pytest.raises(PaginationLoopError):
        await model.pager(4).collect()
    assert len(model.requests) < 400


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("count", ["exact", "absent"])
@pytest.mark.parametrize("keys", ["ints", "none"])
async def test_server_that_ignores_page_raises_pagination_loop_error(
    size: int, count: Count, keys: str
) -> None:
    model = ListModel([], count=count, rows=[{"id": i} if keys == "ints" else {"x": i} for i in range(40)])
    model.pages = lambda fields: ignores_page(fields, model.rows)
    with pytest.raises(PaginationLoopError, match="keeps returning the same rows; it may ignore"):
        await model.pager(size).collect()
    assert len(model.requests) < 30, "a page of known rows is requested once more"


async def test_page_that_arrives_three_times_ends_the_read() -> None:
    model = ListModel(list(range(40)), count="absent")
    model.pages = lambda fields: ignores_page(fields, model.rows)
    with pytest.raises(PaginationLoopError):
        await model.pager(5).collect()
    assert {fields["page"] for fields in model.requests} == {0, 1, 2}


async def test_server_that_returns_all_rows_on_every_page_is_read_completely() -> None:
    model = ListModel(list(range(37)))
    model.pages = lambda _: model.rows
    pager = model.pager(10)
    assert await keys_of(pager) == list(range(37))
    assert pager.report.complete
    assert pager.report.stop_reason == "count"


@pytest.mark.parametrize("style", ["page", "offset"])
async def test_row_before_a_checkpoint_that_moved_behind_it_is_a_duplicate(style: PageStyle) -> None:
    model = ListModel(list(range(20)), count="absent", skips=style == "offset")
    pages = model.pager(5, page_style=style).pages()
    keys = [row["id"] for row in (await anext(pages)).items]
    page = await anext(pages)
    await pages.aclose()
    keys += [row["id"] for row in page.items]
    model.rows.insert(0, {"id": 20})
    rest = model.pager(5, page_style=style, resume=page.checkpoint)
    assert keys + await keys_of(rest) == list(range(20))
    assert rest.report.duplicates == 1


async def test_server_that_ignores_page_and_counts_the_page_raises_pagination_loop_error() -> None:
    model = ListModel(list(range(10)), count="capped")
    model.pages = lambda _: model.rows[:7]
    with pytest.raises(PaginationLoopError):
        await model.pager(7).collect()


@pytest.mark.parametrize("count", ["exact", "absent"])
async def test_two_alternating_pages_raise_pagination_loop_error(count: Count) -> None:
    model = ListModel(list(range(1000)), count=count)
    model.pages = lambda fields: model.rows[:5] if fields["page"] % 2 else model.rows[5:10]
    pager = model.pager(5)
    with pytest.raises(PaginationLoopError):
        await pager.collect()
    assert pager.report.rows_yielded == 10
    assert len(model.requests) < 30, "a page of known rows is requested once more"


async def test_page_repeated_by_inserted_rows_is_not_a_loop() -> None:
    """The second page is the first one again, once."""
    model = ListModel(list(range(20)))
    new = iter([[{"id": 100 + i} for i in range(5)]])

    def insert(model: ListModel) -> None:
        model.rows[:0] = next(new, list[Row]())

    model.after_each = insert
    pager = model.pager(5)
    assert await keys_of(pager) == list(range(20))
    assert pager.report.duplicates == 5
    assert not pager.report.complete


@pytest.mark.parametrize("count", ["exact", "absent"])
@pytest.mark.parametrize("size", [2, 3])
async def test_rows_of_an_unused_probe_are_yielded_from_their_page(size: int, count: Count) -> None:
    """Inserted rows make the second page begin with the second row, so that a probe reads a later page."""
    model = ListModel(list(range(30)), count=count)
    new = iter([[{"id": 100 + i} for i in range(size - 1)]])

    def insert(model: ListModel) -> None:
        model.rows[:0] = next(new, list[Row]())

    model.after_each = insert
    pager = model.pager(size)
    assert await keys_of(pager) == list(range(30))
    assert pager.report.duplicates == size - 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("skips", [False, True])
async def test_any_initial_depth_yields_the_same_rows(depth: int, skips: bool) -> None:
    model = ListModel(list(range(57)), skips=skips)
    query = Query(path="/things", fields={})
    pages: PageIterator[Any] = PageIterator(
        cast("Session", model), query, dict, ReadOptions(page_size=5), depth=depth
    )
    keys: list[int] = []
    while (rows := await pages.next_rows()) is not None:
        keys += [row["id"] for rows in (rows, *pages.buffered_blocks()) for row in rows]
    await pages.aclose()
    assert keys == list(range(57))


@pytest.mark.parametrize("without_key", [{4}, {5}, {4, 5}, {5, 6}, {9}, {10}])
@pytest.mark.parametrize("count", ["exact", "absent"])
async def test_row_without_a_key_is_yielded_once_if_page_is_an_offset(
    without_key: set[int], count: Count
) -> None:
    keys = [None if index in without_key else index for index in range(20)]
    pager = ListModel(keys, skips=True, count=count).pager(5)
    assert await keys_of(pager) == keys
    assert pager.report.duplicates == 0


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("count", ["exact", "absent"])
async def test_repeated_page_of_rows_without_keys_is_requested_again(count: Count, skips: bool) -> None:
    model = ListModel([], skips=skips, count=count, rows=[{"id": None, "x": i} for i in range(20)])
    right, numbers = model.pages, iter(range(99))
    model.pages = lambda fields: right(fields | {"page": 0} if next(numbers) == 1 else fields)
    pager = model.pager(5)
    assert [row["x"] async for row in pager] == list(range(20))
    assert pager.report.complete


async def test_repeated_page_of_rows_without_keys_is_reported() -> None:
    model = ListModel([], rows=[{"id": None, "x": i} for i in range(20)])
    right = model.pages
    model.pages = lambda fields: right(fields | {"page": 0} if fields["page"] == 2 else fields)
    pager = model.pager(5)
    assert len(await pager.collect()) == 20
    assert (pager.report.duplicates, pager.report.complete) == (5, False)


@pytest.mark.parametrize("count", ["exact", "absent"])
async def test_short_page_of_equal_rows_without_keys_is_no_overlap(count: Count) -> None:
    """Its row is equal to the second one of the page before, which it would be behind an offset."""
    model = ListModel([], count=count, rows=[{"id": None, "x": i} for i in [*range(10), 1]])
    pager = model.pager(10)
    assert [row["x"] async for row in pager] == [*range(10), 1]
    assert pager.report.complete


async def test_many_pages_take_one_request_each() -> None:
    model = ListModel(list(range(10_000)))
    assert len(await keys_of(model.pager(2))) == 10_000
    assert len(model.requests) == 5_001


@pytest.mark.parametrize(
    ("number", "limit", "pages"),
    [(40, None, 5), (39, None, 4), (41, None, 5), (40, 40, 4), (40, 1000, 5), (40, 30, 3)],
)
async def test_page_that_confirms_the_end_is_requested_with_the_last(
    number: int, limit: int | None, pages: int
) -> None:
    """If the count is a multiple of the page size; else the last page or the limit confirms the end."""
    pagination = OffsetPagination(10, limit=limit)
    assert pagination.next_request() is not None
    assert pagination.next_request() is None
    pagination.receive(PageResult(range(10), range(10), number))
    for page in range(1, pages):
        request = pagination.next_request()
        assert request is not None
        assert request.fields["page"] == page
    assert pagination.next_request() is None
    model = ListModel(list(range(number)))
    assert await keys_of(model.pager(10, limit=limit)) == list(range(min(number, limit or number)))
    assert [fields["page"] for fields in model.requests] == list(range(pages))


async def test_short_page_within_a_list_is_counted() -> None:
    model = ListModel(list(range(20)), count="absent")
    whole = model.pages
    model.pages = lambda fields: whole(fields)[: 3 if fields["page"] == 1 else 5]
    pager = model.pager(5)
    assert await keys_of(pager) == [*range(8), *range(10, 20)]
    assert pager.report.short_pages == 1
    assert not pager.report.complete


async def test_short_first_page_of_a_server_with_longer_pages_is_counted() -> None:
    """It looks as long as requested; the second page shows the server's own page size."""
    model = ListModel(list(range(70)), min_size=25, count="absent")
    whole = model.pages
    model.pages = lambda fields: whole(fields)[: 12 if fields["page"] == 0 else 25]
    pager = model.pager(10)
    assert await keys_of(pager) == [*range(12), *range(25, 70)]
    assert pager.report.problems() == ["1 pages had fewer rows than their neighbors, so rows may be missing"]


async def test_list_that_ends_with_an_empty_page_is_deduplicated() -> None:
    pager = ListModel(list(range(10)), count="absent").pager(5)
    assert await keys_of(pager) == list(range(10))
    assert pager.report.stop_reason == "empty_page"
    assert pager.report.deduplicated


async def test_list_without_a_key_is_not_deduplicated() -> None:
    model = ListModel(list(range(10)))
    query = Query(path="/things", fields={}, key="")
    pager = Pager(cast("Session", model), query, dict, ReadOptions.build("list", page_size=5))
    assert await keys_of(pager) == list(range(10))
    assert not pager.report.deduplicated


async def test_page_of_rows_with_null_keys_that_repeats_raises_pagination_loop_error() -> None:
    model = ListModel([], count="absent", rows=[{"id": None, "x": i} for i in range(40)])
    model.pages = lambda _: model.rows[:5]
    with pytest.raises(PaginationLoopError):
        await model.pager(5).collect()
    assert len(model.requests) < 30
