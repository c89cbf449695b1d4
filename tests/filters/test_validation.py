"""``to_where`` and ``to_order_by``: raw objects are checked, and any input is rejected or encoded."""

import math
from functools import reduce
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import JSON, Column, Condition, F, Order, to_order_by, to_where
from aiwyn_async.filters._conditions import MAX_DEPTH
from aiwyn_async.filters._validation import order_columns
from filter_helpers import ENCODER, Status, untyped
from number_likes import Array, Int64, NotATime


def test_to_where_accepts_conditions_in_a_dict() -> None:
    assert to_where({"_and": [F.a == 1, {"id": {"_gt": 5}}], "client": F.name == "x"}) == {
        "_and": [{"a": {"_eq": 1}}, {"id": {"_gt": 5}}],
        "client": {"name": {"_eq": "x"}},
    }


def test_to_where_preserves_none_and_an_empty_dict() -> None:
    assert to_where(None) is None
    assert to_where({}) == {}


def deep(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"a": {"_eq": 1}}
    for _ in range(levels - 2):
        tree = {"_not": tree}
    return tree


WRONG_TREES: list[tuple[Any, str]] = [
    ([], "where: expected a condition or a dict, got list"),
    ("status", "expected a condition or a dict, got 'status'"),
    (F.a, "expected a condition or a dict, got Column"),
    ({"a": 5}, r"where\.a: expected a condition or a dict, got int"),
    (
        {"a": {"gt": 5}},
        r"where\.a\.gt: expected a condition or a dict, got int; write the operator as \"_gt\"",
    ),
    ({"a": {"_eq": None}}, r"where\.a\._eq: cannot compare with None; use is_null\(\)"),
    ({"a": {"_gt": float("nan")}}, "finite"),
    ({"a": {"_equals": 1}}, r"where\.a: unknown operator '_equals'; use one of _and"),
    ({"_xor": []}, "unknown operator '_xor'"),
    ({"_eq": 1}, "outside a column"),
    ({"a": {"_and": [{"_eq": 1}]}}, "outside a column"),
    ({"a": {"_eq": 1, "b": {"_eq": 2}}}, "split it into two"),
    ({"_and": {"a": {"_eq": 1}}}, r"where\._and: expected a list, got dict"),
    ({"_or": "a"}, "expected a list"),
    ({"_or": [[]]}, r"where\._or\[0\]"),
    ({"_and": [{"a": {"_eq": 1}}, {"b": {"_in": [1, b""]}}]}, r"where\._and\[1\]\.b\._in\[1\]"),
    ({"_not": [{}]}, r"where\._not: .* got list"),
    ({"a": {"_is_null": "true"}}, "expected True or False, got 'true'"),
    ({"a": {"_is_null": 1}}, "expected True or False, got int"),
    ({"a": {"_in": "ABC"}}, "expected a list"),
    ({"a": {"_in": ("A",)}}, "expected a list, got tuple"),
    ({"a": {"_nin": {"A"}}}, "expected a list, got set"),
    ({"a": {"_in": []}}, "at least one value"),
    ({"a": {"_in": [None]}}, "is_null"),
    ({"a": {"_eq": [1]}}, "got list"),
    ({"a": {"_ilike": 5}}, "pattern"),
    ({"a": {"_like": "a\\"}}, r"where\.a\._like: the pattern ends in a lone backslash"),
    ({"a": {"_gte": NotATime()}}, r"where\.a\._gte: not a time"),
    ({"a": {"_in": Array(1)}}, "expected a list"),
    ({5: {"_eq": 1}}, "expected a str as the key, got int"),
    ({"": {"_eq": 1}}, "empty"),
    ({"a\tb": {"_eq": 1}}, "control"),
    ({"a": {"\x7f": {"_eq": 1}}}, "control"),
    ({"\ud800": {"_eq": 1}}, "control"),
    (deep(MAX_DEPTH + 1), "64 objects deep"),
]


@pytest.mark.parametrize(("where", "message"), WRONG_TREES)
def test_to_where_rejects_an_invalid_dict_with_its_path(where: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        to_where(untyped(where))


@pytest.mark.parametrize(
    ("where", "sent"),
    [
        ({"tags": {"_contains": ["a", Int64(1)]}}, {"tags": {"_contains": ["a", 1]}}),
        ({"a": {"_has_key": "x", "_eq": Status.POSTED}}, {"a": {"_has_key": "x", "_eq": "POSTED"}}),
        ({"a": {"_cast": {"String": {"_ilike": "1%"}}}}, {"a": {"_cast": {"String": {"_ilike": "1%"}}}}),
        ({"_exists": {"_where": F.a == 1}}, {"_exists": {"_where": {"a": {"_eq": 1}}}}),
        (
            {"_or": [{"client": {"x": {"_st_d_within": None}}}]},
            {"_or": [{"client": {"x": {"_st_d_within": None}}}]},
        ),
        ({"_not": {"a": {"_niregex": "x"}}}, {"_not": {"a": {"_niregex": "x"}}}),
    ],
)
def test_to_where_sends_unknown_operators_only_if_allowed(where: object, sent: object) -> None:
    assert to_where(untyped(where), allow_unknown_operators=True) == sent
    with pytest.raises(ConfigurationError, match=r"unknown operator .*allow_unknown_operators=True"):
        to_where(untyped(where))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"a": {"_contains": [math.nan]}}, r"where\.a\._contains\[0\]: NaN"),
        ({"a": {"_contains": object()}}, r"where\.a\._contains: .* got object"),
        ({"a": {"_contains": {"": 1}}}, r"where\.a\._contains.*empty"),
        ({"a": {"_contains": 1, "_in": []}}, "at least one value"),
        ({"a": {"_contains": 1, "b": {"_eq": 1}}}, "split it into two"),
        ({"_eq": 1}, "outside a column"),
        (deep(MAX_DEPTH + 1), "64 objects deep"),
        ({"_x": deep(MAX_DEPTH + 1)}, "64 objects deep"),
    ],
)
def test_to_where_checks_the_rest_if_unknown_operators_are_allowed(where: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        to_where(untyped(where), allow_unknown_operators=True)


def test_to_where_bounds_the_depth() -> None:
    assert to_where(deep(MAX_DEPTH)) == deep(MAX_DEPTH)
    loop: dict[str, Any] = {}
    loop["_and"] = [loop]
    with pytest.raises(ConfigurationError, match="deep"):
        to_where(loop)
    condition = F.a == 1
    for _ in range(5000):
        condition = ~condition
    with pytest.raises(ConfigurationError, match="deep"):
        condition.to_dict()


def test_errors_shorten_a_long_value() -> None:
    with pytest.raises(ConfigurationError) as info:
        to_where({"a": {"_in": "secret" * 1000}})
    assert len(str(info.value)) < 100


# Order


@pytest.mark.parametrize(
    ("order_by", "wire"),
    [
        (None, []),
        ([], []),
        (F.invoice_number.asc(), [{"invoiceNumber": "asc"}]),
        ([F.invoice_number.asc(), F.created_at.desc()], [{"invoiceNumber": "asc"}, {"createdAt": "desc"}]),
        ((F.a.asc(nulls="first"),), [{"a": "asc_nulls_first"}]),
        (F.a.desc(nulls="last"), [{"a": "desc_nulls_last"}]),
        ({"a": "asc"}, [{"a": "asc"}]),
        ([{"a": "asc"}, F.b.desc()], [{"a": "asc"}, {"b": "desc"}]),
        ({"client": {"name": "asc"}}, [{"client": {"name": "asc"}}]),
        ([F.client.name.asc(), F.name.asc()], [{"client": {"name": "asc"}}, {"name": "asc"}]),
    ],
)
def test_to_order_by_returns_one_key_objects(order_by: Any, wire: list[JSON]) -> None:
    assert to_order_by(order_by) == wire
    assert to_order_by(cast("Any", wire)) == wire


@pytest.mark.parametrize(
    ("order_by", "message"),
    [
        ("createdAt", "expected an order, got 'createdAt'"),
        (["createdAt"], r"order_by\[0\]"),
        (F.a, "expected an order, got Column"),
        ([F.a.asc(), {"b": "up"}], r"order_by\[1\]: .* got 'up'"),
        ({"a": "ASC"}, "'ASC'"),
        ({"a": None}, "got None"),
        ({"a": ["asc"]}, "got list"),
        ({"a": "asc", "b": "asc"}, "one key, got 2 keys"),
        ({}, "0 keys"),
        ({"a": {}}, "0 keys"),
        ("asc", "expected an order"),
        ([F.a.asc(), F.b.asc(), {"a": "desc"}], "order_by: a is repeated"),
        ({"": "asc"}, "empty"),
        ({"a\n": "asc"}, "control"),
        ({"_and": "asc"}, "underscore"),
        ({1: "asc"}, "expected a str as the key, got int"),
        (5, "got int"),
        (Order(("a",), untyped("sideways")), "'sideways'"),
        (reduce(lambda inner, _: {"a": inner}, range(99), cast("Any", "asc")), "deep"),
    ],
)
def test_to_order_by_rejects_an_invalid_order(order_by: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        to_order_by(untyped(order_by))


def test_order_columns_returns_paths_and_directions() -> None:
    assert order_columns([{"client": {"name": "desc_nulls_last"}}, F.id.desc()]) == [
        (("client", "name"), "desc_nulls_last"),
        (("id",), "desc"),
    ]


# Any input


# Any condition, any input

names = st.sampled_from(["a", "due_date", "client", "x2"])
values = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.uuids()
    | st.sampled_from(Status)
)
columns = st.lists(names, min_size=1, max_size=3).map(
    lambda path: reduce(lambda column, name: column[name], path[1:], F[path[0]])
)
# A pattern that ends in a lone backslash is refused, see above.
patterns = st.text(st.characters(exclude_categories=["Cs"])).filter(
    lambda pattern: (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 0
)
leaves = (
    st.builds(Column.__eq__, columns, values)
    | st.builds(Column.__gt__, columns, values)
    | st.builds(Column.in_, columns, st.lists(values, min_size=1, max_size=3))
    | st.builds(Column.ilike, columns, patterns)
    | st.builds(Column.is_null, columns, st.booleans())
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Condition.__and__, inner, inner)
        | st.builds(Condition.__or__, inner, inner)
        | st.builds(Condition.__invert__, inner)
        | st.builds(Column.has, columns, inner)
    ),
    max_leaves=12,
)


@given(conditions)
def test_to_where_does_not_change_a_condition(condition: Condition) -> None:
    tree = condition.to_dict()
    assert to_where(condition) == to_where(tree) == tree
    msgspec.json.decode(ENCODER.encode(tree))


any_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters())
    | st.binary()
    | st.just(F.a)
)
any_keys = (
    st.sampled_from(["_and", "_or", "_not", "_eq", "_in", "_is_null", "_ilike", "_foo", "a", "b"])
    | st.text(st.characters(), max_size=4)
    | st.integers()
)
anything = st.recursive(
    any_scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(any_keys, inner, max_size=3)
        | st.tuples(inner)
        | st.frozensets(st.integers(), max_size=2)
    ),
    max_leaves=20,
)


@given(st.dictionaries(any_keys, anything, max_size=3) | anything)
def test_to_where_rejects_or_encodes_any_input(where: object) -> None:
    try:
        checked = to_where(untyped(where))
    except ConfigurationError:
        return
    msgspec.json.decode(ENCODER.encode(checked))
    assert to_where(checked) == checked


@given(st.lists(st.dictionaries(any_keys, anything, max_size=2), max_size=3) | anything)
def test_to_order_by_rejects_or_encodes_any_input(order_by: object) -> None:
    try:
        checked = to_order_by(untyped(order_by))
    except ConfigurationError:
        return
    msgspec.json.decode(ENCODER.encode(checked))
