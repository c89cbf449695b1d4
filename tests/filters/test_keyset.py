"""``keyset_after``: its conditions page through any table once."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import Direction, F, to_where
from aiwyn_async.filters._keyset import keyset_after
from aiwyn_async.filters._validation import order_columns

DIRECTIONS: tuple[Direction, ...] = (
    "asc",
    "desc",
    "asc_nulls_first",
    "asc_nulls_last",
    "desc_nulls_first",
    "desc_nulls_last",
)


def test_keyset_after_compares_a_single_column() -> None:
    assert keyset_after([(("id",), "asc")], [42]) == {"id": {"_gt": 42}}
    assert keyset_after([(("id",), "desc")], [42]) == {"id": {"_lt": 42}}


def test_keyset_after_handles_ties_and_nulls() -> None:
    order = order_columns([F.created_at.desc(nulls="last"), F.id.asc()])
    assert keyset_after(order, ["2024-01-01", 42]) == {
        "_or": [
            {"createdAt": {"_lt": "2024-01-01"}},
            {"createdAt": {"_is_null": True}},
            {"_and": [{"createdAt": {"_eq": "2024-01-01"}}, {"id": {"_gt": 42}}]},
        ]
    }
    assert keyset_after(order, [None, 42]) == {
        "_and": [{"createdAt": {"_is_null": True}}, {"id": {"_gt": 42}}],
    }


@pytest.mark.parametrize(
    ("order", "row", "message"),
    [
        ([], [], "values: got 0 for 0 columns"),
        ([(("id",), "asc")], [], "values: got 0 for 1 columns"),
        ([(("id",), "asc")], [None], "unique"),
        ([(("id",), "up")], [1], "'up' is not a direction"),
        ([(("a",), "up"), (("id",), "asc")], [None, 1], "direction"),
        ([(("a",), "asc"), (("id",), "asc")], [float("nan"), 1], "finite"),
    ],
)
def test_keyset_after_rejects_an_invalid_keyset(order: Any, row: list[object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        keyset_after(order, row)


Row = dict[str, Any]
Path = tuple[str, ...]


def compare(operator: str, value: Any, bound: Any) -> bool | None:
    """Compare as SQL does: with null, the result is neither true nor false."""
    if operator == "_is_null":
        return (value is None) is bound
    if value is None:
        return None
    return cast("bool", {"_eq": value == bound, "_gt": value > bound, "_lt": value < bound}[operator])


def meets(row: Row, where: Any) -> bool | None:
    """Evaluate a condition as Hasura does; a relation requires a related row that meets the rest."""
    (key, inner) = next(iter(where.items()))
    if key == "_and":
        parts = [meets(row, part) for part in inner]
        return False if False in parts else None if None in parts else True
    if key == "_or":
        parts = [meets(row, part) for part in inner]
        return True if True in parts else None if None in parts else False
    if key == "_not":
        met = meets(row, inner)
        return None if met is None else not met
    if key == "client":
        return row["client"] is not None and meets(row["client"], inner) is True
    return compare(*next((operator, row[key], bound) for operator, bound in inner.items()))


def value_at(row: Row, path: Path) -> Any:
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    return value


def postgres_sorted(rows: Sequence[Row], order: Sequence[tuple[Path, Direction]]) -> list[Row]:
    ordered = list(rows)
    for path, direction in reversed(order):
        known = [row for row in ordered if value_at(row, path) is not None]
        nulls = [row for row in ordered if value_at(row, path) is None]
        known.sort(key=lambda row: value_at(row, path), reverse=direction.startswith("desc"))
        nulls_first = direction in {"desc", "desc_nulls_first", "asc_nulls_first"}
        ordered = nulls + known if nulls_first else known + nulls
    return ordered


small = st.none() | st.integers(0, 2)
tables = st.lists(
    st.fixed_dictionaries(
        {
            "a": small,
            "b": st.none() | st.sampled_from("xy"),
            "client": st.none() | st.fixed_dictionaries({"name": st.none() | st.sampled_from("pq")}),
        }
    ),
    max_size=25,
).map(lambda rows: [{**row, "id": index} for index, row in enumerate(rows)])
paths: list[Path] = [("a",), ("b",), ("client", "name")]


@st.composite
def orders(draw: st.DrawFn) -> list[tuple[Path, Direction]]:
    directions = st.sampled_from(DIRECTIONS)
    chosen = draw(st.lists(st.sampled_from(paths), unique=True))
    return [*((path, draw(directions)) for path in chosen), (("id",), draw(directions))]


@given(tables, orders(), st.integers(1, 4))
def test_keyset_after_pages_through_each_row_once_in_order(
    table: list[Row], order: list[tuple[Path, Direction]], page_size: int
) -> None:
    received: list[Row] = []
    where: Any = {"_and": []}
    while page := postgres_sorted([row for row in table if meets(row, where)], order)[:page_size]:
        received += page
        assert len(received) <= len(table)
        where = to_where(keyset_after(order, [value_at(page[-1], path) for path, _ in order]))
    assert received == postgres_sorted(table, order)
