"""Pagination strategies against a model of the server, which paginates correctly or not."""

# The model orders rows as a search does.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aiwyn_async._http.messages import Request, Response
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.offset import OffsetPagination
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import ReadOptions
from aiwyn_async._pagination.strategy import PageResult, PageStyle
from aiwyn_async.errors import Attempt, PaginationError, PaginationLoopError

Count = Literal["exact", "absent", "capped", "wrong", "null"]
Row = dict[str, Any]
Changes = list[list[tuple[Literal["insert", "insert at head", "delete"], int]]]
MANY = settings(max_examples=300, deadline=None)


class Model:
    """Lists and searches one list of rows, and notes what it was asked."""

    def __init__(
        self,
        keys: list[Any],
        *,
        skips: bool = False,
        clamp: int = 10_000,
        at_least: int = 1,
        count: Count = "exact",
        rows: list[Row] | None = None,
    ) -> None:
        self.rows: list[Row] = [{"id": key} for key in keys] if rows is None else rows
        self.skips = skips
        self.clamp = clamp
        self.at_least = at_least
        self.count = count
        self.requests: list[dict[str, Any]] = []
        self.after_each: Callable[[Model], None] = lambda _: None
        self.pages: Callable[[dict[str, Any]], list[Row]] = self._page
        self.config = msgspec.defstruct("Options", [("max_concurrency", int, 8)])()

    async def call(self, request: Request) -> Response:
        fields = msgspec.json.decode(request.body or b"")
        self.requests.append(fields)
        matching = self.pages(fields)
        answer: Row = {"items": matching} | self._counted(fields)
        self.after_each(self)
        await asyncio.sleep(0)
        return Response(200, {}, msgspec.json.encode(answer), 0.0, (Attempt("200", 0.0),))

    def _page(self, fields: dict[str, Any]) -> list[Row]:
        size = max(self.at_least, min(fields["pageSize"], self.clamp))
        first = fields["page"] if self.skips else fields["page"] * size
        return self.rows[first : first + size]

    def _counted(self, fields: dict[str, Any]) -> Row:
        del fields
        number = len(self.rows)
        match self.count:
            case "exact":
                return {"total": number}
            case "capped":
                return {"total": min(number, 7)}
            case "wrong":
                return {"total": number + 3}
            case "null":
                return {"total": None}
            case _:
                return {}

    def pager(self, page_size: int, **options: Any) -> Pager[Row]:
        query = Query(path="/things", fields={}, page_style=options.pop("page_style", "auto"))
        return Pager(
            cast("Session", self), query, dict, ReadOptions.build("list", page_size=page_size, **options)
        )


async def keys_of(pager: Pager[Row]) -> list[Any]:
    return [row["id"] async for row in pager]


@st.composite
def models(draw: st.DrawFn) -> tuple[Model, int]:
    """A server that does not move, and a page size to ask it for."""
    size = draw(st.integers(1, 9))
    number = draw(st.one_of(st.integers(0, 40), st.integers(0, 5).map(lambda pages: pages * size)))
    clamp = draw(st.one_of(st.just(10_000), st.integers(1, size)))
    at_least = draw(st.one_of(st.just(1), st.integers(1, 12)))
    count: Count = draw(st.sampled_from(("exact", "absent", "capped", "wrong", "null")))
    # A count that is capped where a clamped page ends agrees with what came: no client can tell.
    assume(not (count == "capped" and number > 7 and clamp < size))
    model = Model(
        draw(st.permutations(range(number))),
        skips=draw(st.booleans()),
        clamp=clamp,
        at_least=at_least,
        count=count,
    )
    return model, size


def max_requests(model: Model, size: int) -> int:
    real = max(model.at_least, min(size, model.clamp))
    # The end, the second page's detection with a window in flight, and windows that a short page made void.
    return len(model.rows) // max(1, real) + 24


@MANY
@given(models())
def test_list_yields_every_row_once_in_order_with_few_requests(drawn: tuple[Model, int]) -> None:
    model, size = drawn
    pager = model.pager(size)
    assert asyncio.run(keys_of(pager)) == [row["id"] for row in model.rows]
    assert len(model.requests) <= max_requests(model, size)
    assert pager.report.duplicates == 0
    agrees = pager.report.total_count in {None, len(model.rows)}
    assert pager.report.complete == agrees, pager.report


@MANY
@given(models(), st.integers(1, 45))
def test_limit_yields_the_first_rows(drawn: tuple[Model, int], limit: int) -> None:
    model, size = drawn
    pager = model.pager(size, limit=limit)
    assert asyncio.run(keys_of(pager)) == [row["id"] for row in model.rows][:limit]
    assert pager.report.rows_yielded == min(limit, len(model.rows))


@MANY
@given(models(), st.sampled_from(("page", "offset")))
def test_declared_page_style_is_used(drawn: tuple[Model, int], page_style: PageStyle) -> None:
    model, size = drawn
    model.skips = page_style == "offset"
    assert asyncio.run(keys_of(model.pager(size, page_style=page_style))) == [row["id"] for row in model.rows]


async def in_pieces(model: Model, size: int, pages: list[int], limit: int | None) -> list[Any]:
    """Walk so many pages, then go on in a new walk from the checkpoint's JSON, and so on."""
    found: list[Any] = []
    resume: str | None = None
    for number in [*pages, 10_000]:
        pager = model.pager(size, resume=resume, limit=limit)
        walked = pager.pages()
        for _ in range(number):
            page = await anext(walked, None)
            if page is None:
                return found
            found += [row["id"] for row in page.items]
            resume = page.checkpoint.to_json()
        await walked.aclose()
    return found


@MANY
@given(models(), st.lists(st.integers(1, 3), max_size=6), st.none() | st.integers(1, 45))
def test_resumed_read_yields_every_row_once(
    drawn: tuple[Model, int], pages: list[int], limit: int | None
) -> None:
    model, size = drawn
    assert asyncio.run(in_pieces(model, size, pages, limit)) == [row["id"] for row in model.rows][:limit]


@MANY
@given(models(), st.integers(1, 20), st.integers(1, 20))
def test_resumed_read_continues_after_a_smaller_limit(
    drawn: tuple[Model, int], first: int, more: int
) -> None:
    model, size = drawn

    async def read() -> list[Any]:
        before = model.pager(size, limit=first)
        found = await keys_of(before)
        assert before.checkpoint is not None
        after = model.pager(size, limit=first + more, resume=before.checkpoint.to_json())
        return found + await keys_of(after)

    assert asyncio.run(read()) == [row["id"] for row in model.rows][: first + more]


@st.composite
def moving(draw: st.DrawFn) -> tuple[Model, int, Changes]:
    """A server whose list changes after each answer; small pages, where a skip looks like an insertion."""
    model = Model(
        list(range(draw(st.integers(0, 14)))),
        skips=draw(st.booleans()),
        count=draw(st.sampled_from(("exact", "absent"))),
    )
    change = st.tuples(st.sampled_from(("insert", "insert at head", "delete")), st.integers(0, 20))
    changes: Any = draw(st.lists(st.lists(change, max_size=3), max_size=8))
    return model, draw(st.sampled_from((1, 2, 2, 3, 3, 4, 7))), changes


def move(model: Model, changes: Changes) -> set[Any]:
    """Change the list after each answer; the keys that stay throughout are what is left in the result."""
    stay = {row["id"] for row in model.rows}
    fresh = iter(range(1000, 2000))

    def change(model: Model) -> None:
        for what, place in changes.pop(0) if changes else []:
            if what == "delete" and model.rows:
                stay.discard(model.rows.pop(place % len(model.rows))["id"])
            elif what != "delete":
                model.rows.insert(0 if what == "insert at head" else place, {"id": next(fresh)})

    model.after_each = change
    return stay


@settings(max_examples=1500, deadline=None)
@given(moving(), st.booleans())
def test_changing_list_ends_and_is_not_reported_complete_against_the_evidence(
    drawn: tuple[Model, int, Changes], one_by_one: bool
) -> None:
    model, size, changes = drawn
    stay = move(model, changes)
    pager = model.pager(size)

    async def read() -> list[Any]:
        found: list[Any] = []
        try:
            async for row in pager:
                found.append(row["id"])
                if one_by_one:
                    await asyncio.sleep(0)
        except PaginationLoopError as error:
            assert error.checkpoint is not None  # noqa: PT017 (an outcome among two)
        return found

    found = asyncio.run(read())
    report = pager.report
    assert len(found) == len(set(found)) == report.rows_yielded
    assert len(model.requests) < 100
    evidence = report.duplicates > 0 or (
        model.count == "exact" and (report.total_count != report.rows_yielded or report.changed_during_read)
    )
    if report.complete:
        assert not (stay - set(found) and evidence)
    if not evidence and not changes:
        assert report.duplicates == 0


def ignores_page(fields: dict[str, Any], rows: list[Row]) -> list[Row]:
    return rows[: fields["pageSize"]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("count", ["exact", "absent"])
@pytest.mark.parametrize("keys", ["ints", "none"])
async def test_server_that_ignores_page_raises_pagination_loop_error(
    size: int, count: Count, keys: str
) -> None:
    model = Model([], count=count, rows=[{"id": i} if keys == "ints" else {"x": i} for i in range(40)])
    model.pages = lambda fields: ignores_page(fields, model.rows)
    with pytest.raises(PaginationLoopError, match="same page twice; it may ignore the `page` parameter"):
        await model.pager(size).collect()
    assert len(model.requests) < 30, "a page of known rows is requested once more"


async def test_page_that_arrives_three_times_ends_the_read() -> None:
    model = Model(list(range(40)), count="absent")
    model.pages = lambda fields: ignores_page(fields, model.rows)
    with pytest.raises(PaginationLoopError):
        await model.pager(5).collect()
    assert {fields["page"] for fields in model.requests} == {0, 1, 2}


async def test_server_that_returns_all_rows_on_every_page_is_read_completely() -> None:
    model = Model(list(range(37)))
    model.pages = lambda _: model.rows
    pager = model.pager(10)
    assert await keys_of(pager) == list(range(37))
    assert pager.report.complete
    assert pager.report.stop_reason == "count"


@pytest.mark.parametrize("count", ["exact", "absent"])
async def test_two_alternating_pages_raise_pagination_loop_error(count: Count) -> None:
    model = Model(list(range(1000)), count=count)
    model.pages = lambda fields: model.rows[:5] if fields["page"] % 2 else model.rows[5:10]
    pager = model.pager(5)
    with pytest.raises(PaginationLoopError):
        await pager.collect()
    assert pager.report.rows_yielded == 10
    assert len(model.requests) < 30, "a page of known rows is requested once more"


async def test_page_repeated_by_inserted_rows_is_not_a_loop() -> None:
    """The second page is then the first one again, once."""
    model = Model(list(range(20)))
    new = iter([[{"id": 100 + i} for i in range(5)]])

    def insert(model: Model) -> None:
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
    model = Model(list(range(30)), count=count)
    new = iter([[{"id": 100 + i} for i in range(size - 1)]])

    def insert(model: Model) -> None:
        model.rows[:0] = next(new, list[Row]())

    model.after_each = insert
    pager = model.pager(size)
    assert await keys_of(pager) == list(range(30))
    assert pager.report.duplicates == size - 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("skips", [False, True])
async def test_any_initial_depth_yields_the_same_rows(depth: int, skips: bool) -> None:
    model = Model(list(range(57)), skips=skips)
    query = Query(path="/things", fields={})
    options: Any = {"limit": None, "on_bad_row": "raise", "resumed": False}
    pages: PageIterator[Any] = PageIterator(
        cast("Session", model), query, query.pagination(5, None, None), dict, depth=depth, **options
    )
    keys: list[int] = []
    while (rows := await pages.next_rows()) is not None:
        keys += [row["id"] for rows in (rows, *pages.blocks_at_hand()) for row in rows]
    await pages.aclose()
    assert keys == list(range(57))


async def test_many_pages_take_one_request_each() -> None:
    model = Model(list(range(10_000)))
    assert len(await keys_of(model.pager(2))) == 10_000
    assert len(model.requests) == 5_001


@pytest.mark.parametrize(
    ("number", "limit", "pages"),
    [(40, None, 5), (39, None, 4), (41, None, 5), (40, 40, 4), (40, 1000, 5), (40, 30, 3)],
)
async def test_page_that_confirms_the_end_is_requested_with_the_last(
    number: int, limit: int | None, pages: int
) -> None:
    """Where the count makes full pages; else the last page confirms it, or the limit does."""
    walk = OffsetPagination(10, limit=limit)
    assert walk.next_request() is not None
    assert walk.next_request() is None
    walk.receive(PageResult(range(10), range(10), number))
    for page in range(1, pages):
        ask = walk.next_request()
        assert ask is not None
        assert ask.fields["page"] == page
    assert walk.next_request() is None
    model = Model(list(range(number)))
    assert await keys_of(model.pager(10, limit=limit)) == list(range(min(number, limit or number)))
    assert [fields["page"] for fields in model.requests] == list(range(pages))


# By key


class Searched(Model):
    """Answers ``where`` and ``orderBy`` as far as a walk by key asks them."""

    ignores_where = False
    ignores_order = False

    def _matching(self, fields: dict[str, Any]) -> list[Row]:
        rows = list(self.rows)
        if not self.ignores_where:
            rows = [row for row in rows if holds(fields.get("where", {}), row)]
        if not self.ignores_order:
            for order in reversed(fields["orderBy"]):
                ((column, direction),) = order.items()
                nulls_last = direction == "asc" or direction.endswith("nulls_last")
                down = direction.startswith("desc")
                with_value = [row for row in rows if row[column] is not None]
                without = [row for row in rows if row[column] is None]
                with_value.sort(key=lambda row: row[column], reverse=down)
                rows = with_value + without if nulls_last else without + with_value
        return rows

    def _page(self, fields: dict[str, Any]) -> list[Row]:
        return self._matching(fields)[: min(fields["pageSize"], self.clamp)]

    def _counted(self, fields: dict[str, Any]) -> Row:
        return {"total": len(self._matching(fields))} if self.count == "exact" else {}

    def pager(self, page_size: int, **options: Any) -> Pager[Row]:
        order = options.pop("order", None)
        fields = {} if order is None else {"orderBy": order}
        query = Query(path="/things/search", fields=fields, by_key=True)
        return Pager(
            cast("Session", self), query, dict, ReadOptions.build("list", page_size=page_size, **options)
        )


def holds(where: Any, row: Row) -> bool:
    """Hasura's meaning of a condition: a comparison with null holds for nothing."""
    return all(_clause_holds(key, inner, row) for key, inner in where.items())


def _clause_holds(key: str, inner: Any, row: Row) -> bool:
    match key:
        case "_and":
            return all(holds(each, row) for each in inner)
        case "_or":
            return any(holds(each, row) for each in inner)
        case "_not":
            return not holds(inner, row)
        case _:
            return all(_compares(operator, row[key], operand) for operator, operand in inner.items())


def _compares(operator: str, value: Any, operand: Any) -> bool:
    if operator == "_is_null":
        return bool((value is None) == operand)
    if value is None:
        return False
    return bool({"_gt": value > operand, "_lt": value < operand, "_eq": value == operand}[operator])


@MANY
@given(
    st.sets(st.integers(-50, 50), max_size=25),
    st.integers(1, 6),
    st.lists(st.lists(st.tuples(st.booleans(), st.integers(-60, 60)), max_size=4), max_size=10),
    st.sampled_from(("exact", "absent")),
    st.sampled_from((10_000, 2)),
)
def test_keyset_yields_every_stable_row_once(
    keys: set[int], size: int, changes: list[list[tuple[bool, int]]], count: Count, clamp: int
) -> None:
    model = Searched(sorted(keys, reverse=True), count=count, clamp=clamp)
    stay = set(keys)

    def change(model: Model) -> None:
        for insert, key in changes.pop(0) if changes else []:
            known = {row["id"] for row in model.rows}
            if insert and key not in known:
                model.rows.insert(0, {"id": key})
            elif not insert and key in known:
                model.rows = [row for row in model.rows if row["id"] != key]
                stay.discard(key)

    model.after_each = change
    pager = model.pager(size)
    found = asyncio.run(keys_of(pager))
    assert len(found) == len(set(found))
    assert not stay - set(found)
    assert pager.report.duplicates == 0


@MANY
@given(
    st.lists(st.none() | st.integers(0, 3), max_size=20),
    st.integers(1, 4),
    st.sampled_from(("asc", "desc", "asc_nulls_first", "desc_nulls_last")),
    st.sampled_from(("asc", "desc")),
    st.integers(1, 5),
)
def test_keyset_follows_order_by_with_ties_and_nulls_and_resumes(
    values: list[int | None], size: int, direction: str, key_direction: str, cut: int
) -> None:
    rows = [{"id": index, "rank": value} for index, value in enumerate(values)]
    model = Searched([], rows=rows)
    order = [{"rank": direction}, {"id": key_direction}]
    expected = [row["id"] for row in model._matching({"orderBy": order})]

    async def read() -> list[Any]:
        found: list[Any] = []
        pages = model.pager(size, order=order).pages()
        resume = None
        for _ in range(cut):
            page = await anext(pages, None)
            if page is None:
                return found
            found += [row["id"] for row in page.items]
            resume = page.checkpoint.to_json()
        await pages.aclose()
        return found + await keys_of(model.pager(size, order=order, resume=resume))

    assert asyncio.run(read()) == expected


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_server_that_ignores_where_raises_pagination_error(size: int) -> None:
    model = Searched(list(range(30)))
    model.ignores_where = True
    with pytest.raises(PaginationError):
        await model.pager(size).collect()
    assert len(model.requests) < 4


@pytest.mark.parametrize("order", [None, [{"rank": "asc"}], [{"rank": "desc"}]])
async def test_server_that_ignores_order_by_raises_pagination_error(order: Any) -> None:
    model = Searched([], rows=[{"id": 40 - i, "rank": (i * 7) % 10} for i in range(40)])
    model.ignores_order = True
    with pytest.raises(PaginationError, match="did not return rows in the requested order"):
        await model.pager(5, order=order).collect()


async def test_ignored_order_of_one_row_pages_shows_in_the_count() -> None:
    model = Searched(list(range(30, 0, -1)))
    model.ignores_order = True
    pager = model.pager(1)
    await pager.collect()
    assert not pager.report.complete


async def test_rows_without_order_columns_raise_pagination_error() -> None:
    with pytest.raises(PaginationError, match=r"some rows lack the order_by columns \(id\)"):
        await Searched([], rows=[{"id": None, "x": 1}]).pager(5).collect()
    model = Searched([], rows=[{"id": 1, "x": 1}])
    model.ignores_order = True
    with pytest.raises(PaginationError, match=r"client\.name"):
        await model.pager(5, order=[{"client": {"name": "asc"}}]).collect()


async def test_growing_count_is_not_a_problem_if_rows_cannot_shift() -> None:
    model = Searched(list(range(10)))
    new = iter([{"id": 50}])
    model.after_each = lambda model: model.rows.extend([row] if (row := next(new, None)) else [])
    pager = model.pager(3, strict=True)
    assert len(await pager.collect()) == 11
    assert pager.report.changed_during_read
