"""Keyset pagination against a model of the server."""

# The expected order is that of the model.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async._http.session import Session
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async.errors import PaginationError
from list_model import Count, ListModel, Row, keys_of

MANY = settings(max_examples=300, deadline=None)


class Searched(ListModel):
    """A server that supports ``where`` and ``orderBy`` as far as keyset pagination uses them."""

    ignores_where = False
    ignores_order = False
    lowers_count_by = 0

    def _matching(self, fields: dict[str, Any]) -> list[Row]:
        rows = list(self.rows)
        if not self.ignores_where:
            rows = [row for row in rows if matches(fields.get("where", {}), row)]
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
        number = len(self._matching(fields)) - self.lowers_count_by
        return {"total": max(0, number)} if self.count == "exact" else {}

    def pager(self, page_size: int, **options: Any) -> Pager[Row]:
        order = options.pop("order", None)
        fields = {} if order is None else {"orderBy": order}
        query = Query(path="/things/search", fields=fields, by_key=True)
        return Pager(
            cast("Session", self), query, dict, ReadOptions.build("list", page_size=page_size, **options)
        )


def matches(where: Any, row: Row) -> bool:
    """Evaluate a condition as Hasura does: a comparison with null is never true."""
    return all(_clause_matches(key, inner, row) for key, inner in where.items())


def _clause_matches(key: str, inner: Any, row: Row) -> bool:
    match key:
        case "_and":
            return all(matches(each, row) for each in inner)
        case "_or":
            return any(matches(each, row) for each in inner)
        case "_not":
            return not matches(inner, row)
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

    def change(model: ListModel) -> None:
        for insert, key in changes.pop(0) if changes else []:
            known = {row["id"] for row in model.rows}
            if insert and key not in known:
                model.rows.insert(0, {"id": key})
            elif not insert and key in known:
                model.rows = [row for row in model.rows if row["id"] != key]
                stay.discard(key)

    model.after_each = change
    pager = model.pager(size)
    received = asyncio.run(keys_of(pager))
    assert len(received) == len(set(received))
    assert not stay - set(received)
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
        keys: list[Any] = []
        pages = model.pager(size, order=order).pages()
        resume = None
        for _ in range(cut):
            page = await anext(pages, None)
            if page is None:
                return keys
            keys += [row["id"] for row in page.items]
            resume = page.checkpoint.to_json()
        await pages.aclose()
        return keys + await keys_of(model.pager(size, order=order, resume=resume))

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


async def test_count_that_is_too_low_does_not_end_a_search_at_a_full_page() -> None:
    model = Searched(list(range(1, 24)), clamp=3)
    model.lowers_count_by = 2  # of the last 5 rows, it counts the 3 that it returns
    assert len(await model.pager(10).collect()) == 23


class CountsPages(Searched):
    """A server that counts only the rows of each page."""

    def _counted(self, fields: dict[str, Any]) -> Row:
        return {"total": len(self._page(fields))}


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 23])
async def test_ordered_search_of_a_server_that_counts_pages_is_complete(rows: int) -> None:
    model = CountsPages([], rows=[{"id": key, "rank": key // 2} for key in range(rows)])
    pager = model.pager(3, order=[{"rank": "desc"}], strict=True)
    assert len(await pager.collect()) == rows
    assert pager.report.total_count == rows


async def test_growing_count_is_not_a_problem_if_rows_cannot_shift() -> None:
    model = Searched(list(range(10)))
    new = iter([{"id": 50}])
    model.after_each = lambda model: model.rows.extend([row] if (row := next(new, None)) else [])
    pager = model.pager(3, strict=True)
    assert len(await pager.collect()) == 11
    assert pager.report.changed_during_read


async def test_row_before_a_checkpoint_that_arrives_again_is_a_duplicate() -> None:
    model = Searched(list(range(10)), count="absent")
    right, at_8 = model.pages, {"id": {"_gt": 8}}
    model.pages = lambda fields: right(fields) if fields.get("where") != at_8 else model.rows[8:]
    page = await model.pager(9)
    rest = model.pager(9, resume=page.checkpoint)
    assert [row["id"] for row in page.items] + await keys_of(rest) == list(range(10))
    assert rest.report.duplicates == 1
