"""The compiled SQL selects what the plain-Python oracle selects."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.order_by import compile_order
from aiwyn_async.sandbox._data.where import compile_where, split_key_range
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Relation, Resource
from aiwyn_async.sandbox._declarations.fields import instant_text
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES, RESOURCES
from where_oracle import like, matches

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "100"))
EMPTY: dict[str, Any] = {}
STORE = Database(invoices=100, seed=3)
STORE.open()


def shown_as(kind: Kind, value: Any) -> Any:
    """Return the value of a column as a row shows it."""
    if value is None or kind not in {Kind.BOOLEAN, Kind.INSTANT}:
        return value
    return bool(value) if kind is Kind.BOOLEAN else instant_text(value)


def whole_rows(resource: Resource) -> dict[Any, Any]:
    """Return the rows of a resource by id, with the fields that rows do not show."""
    ids = list(STORE.ids(resource))
    text = b"[" + STORE.rows_json(resource, ids) + b"]"
    result = dict(zip(ids, json.loads(text, parse_float=Decimal), strict=True))
    for column in resource.columns:
        if not column.shown:
            for row_id, value in STORE.query(f"SELECT id, {column.sql} FROM {resource.name}"):
                result[int(str(row_id))][column.key] = shown_as(column.kind, value)
    return result


ROWS: dict[str, dict[Any, Any]] = {name: whole_rows(resource) for name, resource in RESOURCES.items()}


@pytest.fixture(scope="module", autouse=True)
def _close_the_store() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    yield
    STORE.close()


def cells(resource: Resource, column: Column) -> list[Any]:
    """Return the values of a column, so that conditions match often."""
    return sorted({row[column.key] for row in ROWS[resource.name].values()} - {None})


def operands(column: Column, values: list[Any]) -> st.SearchStrategy[Any]:
    stored = st.sampled_from(values)
    match column.kind:
        case Kind.DECIMAL:
            near = st.tuples(stored, st.sampled_from(["0", "0.01", "-0.01", "0.005"])).map(
                lambda pair: pair[0] + Decimal(pair[1])
            )
            number = near | st.integers(-10, 10**30).map(Decimal)
            return number.map(float).filter(lambda x: x < 1e9) | number.map(str)
        case Kind.INSTANT:
            return stored | st.sampled_from(
                ["2019-02-01", "2024-03-15T10:30:00+02:00", "1990-01-01T00:00:00"]
            )
        case Kind.INTEGER:
            return stored | st.integers(-(2**70), 2**70)
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.TEXT:
            return stored | st.text("aePx%_\\ é", max_size=4)


def like_patterns(values: list[str]) -> st.SearchStrategy[str]:
    def cut(pair: tuple[str, int, int]) -> str:
        text, start, length = pair
        return "%" + text[start : start + length].replace("e", "_", 1) + "%"

    made = st.tuples(st.sampled_from(values), st.integers(0, 9), st.integers(0, 6)).map(cut)
    return (
        made | st.sampled_from(["%", "", "_%", "100\\%%", "under\\_%", "%É%", "P%"]) | st.sampled_from(values)
    )


REGEXES = st.sampled_from(["^INV-20(19|2[0-9])", "a.*e", "[0-9]{3}$", "^$", "tax|audit", "É"])


def operators(column: Column) -> list[str]:
    every = ["_eq", "_neq", "_gt", "_gte", "_lt", "_lte", "_in", "_nin", "_is_null"]
    if column.kind is Kind.TEXT:
        every += ["_like", "_nlike", "_ilike", "_nilike", "_regex", "_iregex"]
    return every


def conditions(column: Column, values: list[Any]) -> st.SearchStrategy[Any]:
    if not values:
        return st.fixed_dictionaries({"_is_null": st.booleans()})
    value = operands(column, values)
    optional: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("_eq", "_neq", "_gt", "_gte", "_lt", "_lte"), value),
        **dict.fromkeys(("_in", "_nin"), st.lists(value, max_size=4)),
        "_is_null": st.booleans(),
    }
    if column.kind is Kind.TEXT:
        optional |= dict.fromkeys(("_like", "_nlike", "_ilike", "_nilike"), like_patterns(values))
        optional |= dict.fromkeys(("_regex", "_iregex"), REGEXES)
    one = st.sampled_from(sorted(optional)).flatmap(
        lambda name: st.fixed_dictionaries({name: optional[name]})
    )
    return one | st.tuples(one, one).map(lambda pair: pair[0] | pair[1]) | st.just(EMPTY)


def leaves(resource: Resource) -> st.SearchStrategy[Any]:
    def leaf(column: Column) -> st.SearchStrategy[Any]:
        return conditions(column, cells(resource, column)).map(lambda result: {column.wire: result})

    return st.one_of([leaf(column) for column in resource.columns])


def within(*names: str) -> Callable[[Any], Any]:
    """Return a function that nests a tree under names, the last one innermost."""

    def wrap(tree: Any) -> Any:
        for name in reversed(names):
            tree = {name: tree}
        return tree

    return wrap


def nested_leaves() -> st.SearchStrategy[Any]:
    result: list[st.SearchStrategy[Any]] = [leaves(CLIENTS).map(within("client"))]
    for nested in INVOICES.nested:
        for column in nested.columns:
            values = sorted(
                {item[column.wire] for row in ROWS["invoices"].values() for item in row[nested.wire]}
            )
            result.append(conditions(column, values).map(within(nested.wire, column.wire)))
    return st.one_of(result)


TREES: st.SearchStrategy[Any] = st.recursive(
    leaves(INVOICES) | nested_leaves() | st.just(EMPTY),
    lambda trees: (
        st.lists(trees, max_size=3).map(lambda items: {"_and": items})
        | st.lists(trees, max_size=3).map(lambda items: {"_or": items})
        | trees.map(lambda tree: {"_not": tree})
        | trees.map(lambda tree: {"_and": tree})
        | st.tuples(trees, trees).map(lambda pair: pair[0] | pair[1])
    ),
    max_leaves=8,
)


def expected_ids(tree: Any, resource: Resource = INVOICES) -> list[int]:
    return [
        row_id
        for row_id, row in ROWS[resource.name].items()
        if matches(resource, tree, row, lambda name, key: ROWS[name].get(key))
    ]


@settings(max_examples=EXAMPLES, deadline=None)
@given(TREES)
def test_where_selects_as_the_oracle(tree: Any) -> None:
    selected = STORE.select(INVOICES, tree, ())
    expected = expected_ids(tree)
    assert list(selected.page(0, 1000)) == expected
    assert selected.count == len(expected)


def samples(column: Column, values: list[Any], operator: str) -> list[Any]:
    """Return operands that match, that do not, and that match in another case."""
    if operator == "_is_null":
        return [True, False]
    if operator.endswith("regex"):
        return ["^inv-20(19|2[0-9])", "[0-9]{3}$", "^$", "TAX|audit", "a.*e", "e$"]
    if operator.endswith("like"):
        text = str(values[len(values) // 2])
        return [text, text.upper(), text[:3].lower() + "%", "%" + text[2:], "_" + text[1:], "%", "", "%\\_%"]
    some: list[Any] = [values[0], values[len(values) // 2], values[-1]]
    if column.kind is Kind.DECIMAL:
        some = [str(value) for value in some] + [str(values[0] + Decimal("0.001")), "-1"]
    return [[], some[:1], some] if operator in {"_in", "_nin"} else some


def no_relation(name: str, key: object) -> None:
    raise AssertionError(f"a condition on a column followed {name} {key}")


EVERY_COLUMN = [
    pytest.param(resource, column, id=f"{resource.name}.{column.wire}")
    for resource in RESOURCES.values()
    for column in resource.columns
]


@pytest.mark.parametrize(("resource", "column"), EVERY_COLUMN)
def test_where_supports_each_operator_on_each_column(resource: Resource, column: Column) -> None:
    values = cells(resource, column) or ["x"]
    rows = ROWS[resource.name]
    row_of_cell = {row[column.key]: row for row in rows.values()}  # rows with equal cells match alike
    for operator in operators(column):
        for operand in samples(column, values, operator):
            leaf = {column.wire: {operator: operand}}
            for tree in (leaf, {"_not": leaf}):
                matching = {
                    cell for cell, row in row_of_cell.items() if matches(resource, tree, row, no_relation)
                }
                result = list(STORE.select(resource, tree, ()).page(0, 1000))
                assert result == [key for key, row in rows.items() if row[column.key] in matching], tree


EVERY_RELATION = [
    pytest.param(resource, relation, id=f"{resource.name}.{relation.wire}")
    for resource in RESOURCES.values()
    for relation in resource.relations
]


@pytest.mark.parametrize(("resource", "relation"), EVERY_RELATION)
def test_where_follows_each_relation(resource: Resource, relation: Relation) -> None:
    target = RESOURCES[relation.resource]
    some = sorted(ROWS[relation.resource])[0:30:4]
    for tree in ({}, {"id": {"_in": some}}, {"_not": {"id": {"_in": some}}}):
        for condition in ({relation.wire: tree}, {"_not": {relation.wire: tree}}):
            assert list(STORE.select(resource, condition, ()).page(0, 1000)) == expected_ids(
                condition, resource
            )
    order = compile_order(resource, [{relation.wire: {target.columns[0].wire: "desc"}}, {"id": "asc"}])
    assert STORE.select(resource, {}, order).count == len(ROWS[resource.name])


@settings(max_examples=60, deadline=None)
@given(TREES, st.integers(39_990, 40_150), st.integers(39_990, 40_150), st.sampled_from(["asc", "desc"]))
def test_key_bounds_select_a_slice_in_order(tree: Any, low: int, high: int, direction: str) -> None:
    """The bounds are split off the tree; the selection must be the same."""
    bounded = {"_and": [tree, {"id": {"_gt": low}}, {"_and": [{"id": {"_lte": high}}]}]}
    order = compile_order(INVOICES, [{"id": direction}])
    every = [row_id for row_id in STORE.select(INVOICES, tree, ()).page(0, 1000) if low < row_id <= high]
    selected = STORE.select(INVOICES, bounded, order)
    condition = every if direction == "asc" else every[::-1]
    assert selected.count == len(condition)
    assert [row for skip in range(0, 160, 7) for row in selected.page(skip, 7)] == condition


def test_split_key_range_returns_bounds_and_rest() -> None:
    status = {"status": {"_eq": "PAID"}}
    assert split_key_range({**status, "id": {"_gt": 5, "_lte": 9}}) == (6, 9, status)
    assert split_key_range({"_and": [{"id": {"_gt": 5}}, {"id": {"_gte": 8}}, status]}) == (
        8,
        None,
        {"_and": [status]},
    )
    assert split_key_range({"_or": [{"id": {"_gt": 5}}]}) == (None, None, {"_or": [{"id": {"_gt": 5}}]})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"nope": {"_eq": 1}}, "unknown field"),
        ({"_xor": []}, "unknown operator"),
        ({"status": {"_almost": "PAID"}}, "unknown operator"),
        ({"status": {"_eq": None}}, "use _is_null"),
        ({"status": {"_eq": 5}}, "expected text"),
        ({"status": {"_in": "PAID"}}, "expected a list"),
        ({"status": {"_like": "oops\\"}}, "LIKE pattern must not end with escape character"),
        ({"status": {"_regex": "("}}, r"invalid regular expression: parentheses \(\) not balanced"),
        ({"status": {"_regex": "a" * 300}}, "longer"),
        ({"id": {"_like": "1%"}}, "unknown operator"),
        ({"id": {"_eq": True}}, "expected integer"),
        ({"totalAmount": {"_gt": "much"}}, "not a number"),
        ({"totalAmount": {"_gt": "NaN"}}, "finite"),
        ({"createdAt": {"_gt": "yesterday"}}, "ISO date-time"),
        ({"createdAt": {"_is_null": "no"}}, "true or false"),
        ({"createdAt": 5}, "expected an object"),
        ([], "expected an object"),
        (None, "expected an object"),
    ],
)
def test_where_rejects_bad_trees_with_their_path(tree: Any, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        compile_where(INVOICES, tree)


def test_where_rejects_deep_trees_and_accepts_wide_ones() -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"_not": deep}
    with pytest.raises(BadRequestError, match="deeper"):
        compile_where(INVOICES, deep)
    ids = list(STORE.ids(INVOICES))
    wide = {"_or": [{"id": {"_eq": row_id}} for row_id in ids * 20]}
    assert STORE.select(INVOICES, wide, ()).count == len(ids)
    long = {"id": {"_in": list(range(100_000))}}
    assert STORE.select(INVOICES, long, ()).count == len(ids)


@pytest.mark.parametrize(
    "order",
    [[{"id": "up"}], [{"id": "asc", "status": "asc"}], [{"nope": "asc"}], ["id"], [{"client": "asc"}], 5],
)
def test_order_by_rejects_bad_terms(order: Any) -> None:
    with pytest.raises(BadRequestError, match="orderBy"):
        compile_order(INVOICES, order)


def test_nulls_sort_as_the_largest_value() -> None:
    """In Postgres they are last ascending and first descending."""
    for direction in ("asc", "desc"):
        order = compile_order(INVOICES, [{"reference": direction}, {"id": "asc"}])
        rows = [ROWS["invoices"][i]["reference"] for i in STORE.select(INVOICES, {}, order).page(0, 1000)]
        named = [value for value in rows if value is not None]
        blanks: list[Any] = [None] * (len(rows) - len(named))
        assert named == sorted(named, reverse=direction == "desc")
        assert rows == (named + blanks if direction == "asc" else blanks + named)


@pytest.mark.parametrize("column", ["updatedAt", "totalAmount"])  # with an index and without
def test_nulls_of_not_nullable_columns_sort_as_the_largest_value(column: str) -> None:
    with contextlib.closing(Database(invoices=100, seed=7)) as store:
        store.open()
        sql = INVOICES.by_wire[column].sql
        with store.connection as connection:
            connection.execute(f"UPDATE invoices SET {sql} = NULL WHERE id % 7 = 0")
        blanks = {row_id for row_id in store.ids(INVOICES) if row_id % 7 == 0}
        for direction in ("asc", "desc"):
            order = compile_order(INVOICES, [{column: direction}, {"id": "asc"}])
            rows = store.select(INVOICES, {}, order).page(0, 1000)
            assert set(rows[-len(blanks) :] if direction == "asc" else rows[: len(blanks)]) == blanks
            assert len(rows) == 100


def test_order_by_follows_relations() -> None:
    order = compile_order(INVOICES, [{"client": {"name": "desc"}}, {"id": "asc"}])
    rows = [ROWS["invoices"][i] for i in STORE.select(INVOICES, {}, order).page(0, 1000)]
    assert rows == sorted(
        sorted(rows, key=lambda row: row["id"]), key=lambda row: row["clientName"], reverse=True
    )


def test_oracle_like_matches() -> None:
    assert like("a%c_", "abbcd")
    assert like("100\\%", "100%")
    assert not like("100\\%", "100x")
    assert like("%", "")
    assert not like("_", "")
