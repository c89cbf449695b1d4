"""``F``: the JSON it builds, the errors it raises, and that ``keyset_after`` pages through any table."""

import copy
import math
import pickle
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import reduce
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import JSON, Column, Condition, Direction, F, Order, to_order_by, to_where
from aiwyn_async.filters._conditions import MAX_DEPTH
from aiwyn_async.filters._keyset import keyset_after
from aiwyn_async.filters._validation import order_columns
from number_likes import Array, Bool, Float32, Int64, NotATime, ZeroDimensions

ENCODER = msgspec.json.Encoder(decimal_format="number")
DIRECTIONS: tuple[Direction, ...] = (
    "asc",
    "desc",
    "asc_nulls_first",
    "asc_nulls_last",
    "desc_nulls_first",
    "desc_nulls_last",
)


class Status(Enum):
    POSTED = "POSTED"
    CLOSED = "CLOSED"


class Level(IntEnum):
    HIGH = 3


class Letters(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


def operand(condition: Condition) -> JSON:
    """Return the one value of a condition on one column."""
    (comparison,) = condition.to_dict().values()
    assert isinstance(comparison, dict)
    (value,) = comparison.values()
    return value


def untyped(value: object) -> Any:
    """Return a value that a type checker would reject."""
    return value


X = untyped(F)


def joined_and(one: Condition, other: Condition) -> Condition:
    return one & other


def joined_or(one: Condition, other: Condition) -> Condition:
    return one | other


# JSON


def test_to_where_builds_the_documented_search() -> None:
    where = (
        (F.invoice_number.ilike("%2024%") | F.description.ilike("%service%"))
        & F.status.in_("POSTED", "CLOSED")
        & (F.created_at >= datetime(2024, 1, 1, tzinfo=UTC))
        & (F.due_date >= date(2024, 1, 1))
    )
    assert ENCODER.encode(to_where(where)) == (
        b'{"_and":[{"_or":[{"invoiceNumber":{"_ilike":"%2024%"}},{"description":{"_ilike":"%service%"}}]},'
        b'{"status":{"_in":["POSTED","CLOSED"]}},{"createdAt":{"_gte":"2024-01-01T00:00:00Z"}},'
        b'{"dueDate":{"_gte":"2024-01-01"}}]}'
    )


@pytest.mark.parametrize(
    ("condition", "comparison"),
    [
        (F.a == 1, {"_eq": 1}),
        (F.a != 1, {"_neq": 1}),
        (F.a > 1, {"_gt": 1}),
        (F.a >= 1, {"_gte": 1}),
        (F.a < 1, {"_lt": 1}),
        (F.a <= 1, {"_lte": 1}),
        (F.a.in_(1, 2), {"_in": [1, 2]}),
        (F.a.not_in([1, 2]), {"_nin": [1, 2]}),
        (F.a.like("x%"), {"_like": "x%"}),
        (F.a.not_like("x%"), {"_nlike": "x%"}),
        (F.a.ilike("x%"), {"_ilike": "x%"}),
        (F.a.not_ilike("x%"), {"_nilike": "x%"}),
        (F.a.regex("^x"), {"_regex": "^x"}),
        (F.a.iregex("^x"), {"_iregex": "^x"}),
        (F.a.is_null(), {"_is_null": True}),
        (F.a.is_null(False), {"_is_null": False}),  # noqa: FBT003 - as documented
    ],
)
def test_operators_have_their_wire_names(condition: Condition, comparison: dict[str, JSON]) -> None:
    assert condition.to_dict() == {"a": comparison}


@pytest.mark.parametrize(
    ("condition", "comparison"),
    [
        (F.a.contains("50%"), {"_like": "%50\\%%"}),
        (F.a.startswith("a_b"), {"_like": "a\\_b%"}),
        (F.a.endswith("C:\\"), {"_like": "%C:\\\\"}),
        (F.a.contains(""), {"_like": "%%"}),
        (F.a.contains("x", ignore_case=True), {"_ilike": "%x%"}),
        (F.a.startswith("x", ignore_case=True), {"_ilike": "x%"}),
        (F.a.endswith("x", ignore_case=True), {"_ilike": "%x"}),
        (F.a.like("a\\\\"), {"_like": "a\\\\"}),
        (F.a.regex("a\\"), {"_regex": "a\\"}),
    ],
)
def test_contains_escapes_literal_text(condition: Condition, comparison: dict[str, JSON]) -> None:
    assert condition.to_dict() == {"a": comparison}


def test_between_includes_both_ends() -> None:
    assert F.a.between(1, 5).to_dict() == {"_and": [{"a": {"_gte": 1}}, {"a": {"_lte": 5}}]}


LETTERS = st.text(st.sampled_from("ab%_\\"), max_size=6)


@given(text=LETTERS, value=LETTERS)
def test_literal_patterns_match_like_str_methods(text: str, value: str) -> None:
    """The pattern matches its text literally."""
    for condition, expected in (
        (F.a.contains(text), text in value),
        (F.a.startswith(text), value.startswith(text)),
        (F.a.endswith(text), value.endswith(text)),
    ):
        assert is_like(cast("str", operand(condition)), value) == expected


def is_like(pattern: str, value: str) -> bool:
    """Return whether SQL's LIKE matches, with a backslash as the escape character."""
    parts = re.findall(r"\\(.)|([%_])|(.)", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(
        wild[special] if special else re.escape(escaped or plain) for escaped, special, plain in parts
    )
    return re.fullmatch(regex, value, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: X.a.startwith("x"), r"F\.a\.startwith.* did you mean startswith\(\)\?"),
        (lambda: X.a.start_with("x"), r"startswith\(\)"),
        (lambda: X.a.starts_with("x"), r"startswith\(\)"),
        (lambda: X.a.contain("x"), r"contains\(\)"),
        (X.a.isnull, r"is_null\(\)"),
        (X.a.isNull, r"is_null\(\)"),
        (lambda: X.a.notin(1), r"not_in\(\)"),
        (lambda: X.client.name.i_like("x"), r"F\.client\.name\.iLike.* did you mean ilike\(\)\?"),
        (lambda: X.a.qqqq("x"), "the methods are in_, not_in, like"),
    ],
)
def test_misspelt_method_suggests_the_closest(use: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use()


def test_value_on_the_left_reverses_the_comparison() -> None:
    assert (date(2024, 1, 1) <= F.due_date).to_dict() == {"dueDate": {"_gte": "2024-01-01"}}


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("due_date", "dueDate"),
        ("pms_ref", "pmsRef"),
        ("line_items", "lineItems"),
        ("dueDate", "dueDate"),
        ("status", "status"),
        ("address_2", "address2"),
        ("line_2_text", "line2Text"),
        ("from_", "from"),
        ("a__b", "aB"),
    ],
)
def test_attribute_name_becomes_camel_case(name: str, wire: str) -> None:
    column = cast("Column", getattr(F, name))
    assert (column == 1).to_dict() == {wire: {"_eq": 1}}


def test_brackets_keep_the_wire_name() -> None:
    assert (F["pms_invoice_number"] == "7").to_dict() == {"pms_invoice_number": {"_eq": "7"}}
    assert (F.client["has"] == "7").to_dict() == {"client": {"has": {"_eq": "7"}}}


def test_column_attributes_are_related_columns() -> None:
    assert F.client.main_office.name.like("A%").to_dict() == {
        "client": {"mainOffice": {"name": {"_like": "A%"}}}
    }


def test_has_nests_the_whole_condition() -> None:
    assert F.line_items.has((F.kind == "TAX") & (F.amount > 5)).to_dict() == {
        "lineItems": {"_and": [{"kind": {"_eq": "TAX"}}, {"amount": {"_gt": 5}}]}
    }


def test_chains_of_one_operator_are_flat() -> None:
    a, b, c = F.a == 1, F.b == 2, F.c == 3
    leaves = [{"a": {"_eq": 1}}, {"b": {"_eq": 2}}, {"c": {"_eq": 3}}]
    assert (a & b & c).to_dict() == (a & (b & c)).to_dict() == {"_and": leaves}
    assert (a | b | c).to_dict() == (a | (b | c)).to_dict() == {"_or": leaves}
    assert (a & b | c).to_dict() == {"_or": [{"_and": leaves[:2]}, leaves[2]]}
    assert (~a & b).to_dict() == {"_and": [{"_not": leaves[0]}, leaves[1]]}


def test_long_chain_is_flat() -> None:
    assert (
        len(cast("list[JSON]", reduce(joined_or, [F.id == n for n in range(1000)]).to_dict()["_or"])) == 1000
    )


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (date(2024, 1, 1), b'"2024-01-01"'),
        (datetime(2024, 1, 1, 5, 6, 7), b'"2024-01-01T05:06:07"'),  # noqa: DTZ001 - the lists accept naive times
        (datetime(2024, 1, 1, tzinfo=UTC), b'"2024-01-01T00:00:00Z"'),
        (datetime(2024, 1, 1, microsecond=5, tzinfo=UTC), b'"2024-01-01T00:00:00.000005Z"'),
        (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-5))), b'"2024-01-01T05:00:00Z"'),
        (Decimal("0.10"), b"0.10"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("-12345678901234567890.123456789"), b"-12345678901234567890.123456789"),
        (True, b"true"),
        (7, b"7"),
        (0.5, b"0.5"),
        ("text", b'"text"'),
        (Letters("text"), b'"text"'),
        (Status.POSTED, b'"POSTED"'),
        (Level.HIGH, b"3"),
        (Int64(5), b"5"),
        (Float32(0.5), b"0.5"),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_values_are_encoded_for_the_api(value: Any, wire: bytes) -> None:
    assert ENCODER.encode(operand(F.a == value)) == wire
    assert ENCODER.encode(to_where({"a": {"_eq": value}})) == b'{"a":{"_eq":' + wire + b"}}"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=9))
def test_decimals_keep_every_digit(value: Decimal) -> None:
    assert msgspec.json.decode(ENCODER.encode(operand(F.a == value)), type=Decimal) == value


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        (("ABC",), ["ABC"]),
        (("B", "A"), ["B", "A"]),
        ((["B", "A"],), ["B", "A"]),
        ((("B", "A"),), ["B", "A"]),
        ((iter("BA"),), ["B", "A"]),
        (({"C", "A", "B"},), ["A", "B", "C"]),
        ((frozenset({2, "A", 1}),), [1, 2, "A"]),
        (({Status.POSTED, Status.CLOSED},), ["CLOSED", "POSTED"]),
        ((Status,), ["POSTED", "CLOSED"]),
        ((7,), [7]),
        ((Array(Int64(2), Int64(1)),), [2, 1]),
        ((Int64(7),), [7]),
    ],
)
def test_in_accepts_values_or_one_collection(arguments: tuple[Any, ...], wire: list[JSON]) -> None:
    assert operand(F.a.in_(*arguments)) == wire


def test_to_dict_and_to_where_copy_their_input() -> None:
    condition = F.a.in_(1, 2) & (F.b == 1)
    cast("list[JSON]", condition.to_dict()["_and"]).clear()
    assert condition.to_dict() == {"_and": [{"a": {"_in": [1, 2]}}, {"b": {"_eq": 1}}]}
    raw = {"a": {"_in": [1, 2]}}
    checked = to_where(raw)
    raw["a"]["_in"].append(3)
    assert checked == {"a": {"_in": [1, 2]}}


def test_to_where_accepts_conditions_in_a_dict() -> None:
    assert to_where({"_and": [F.a == 1, {"id": {"_gt": 5}}], "client": F.name == "x"}) == {
        "_and": [{"a": {"_eq": 1}}, {"id": {"_gt": 5}}],
        "client": {"name": {"_eq": "x"}},
    }


def test_to_where_keeps_none_and_an_empty_dict() -> None:
    assert to_where(None) is None
    assert to_where({}) == {}


# Errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: X.a == None, "is_null"),  # noqa: E711
        (lambda: X.a != None, "is_null"),  # noqa: E711
        (lambda: X.a > None, "is_null"),
        (lambda: X.a.in_(None), "is_null"),
        (lambda: X.a.in_(1, None), r"F\.a\.in_\[1\].*is_null"),
        (lambda: X.a.in_(math.nan), "finite"),
        (lambda: X.a == math.inf, "finite"),
        (lambda: X.a == Decimal("NaN"), "finite"),
        (lambda: X.a == Decimal("sNaN"), "finite"),
        (lambda: X.a == Decimal("-Infinity"), "finite"),
        (lambda: X.a == Decimal("1E+101"), "round"),
        (lambda: X.a == Decimal("1E-101"), "round"),
        (lambda: X.a == Decimal("1E+999999"), "round"),
        (lambda: X.a == 10**100, "digits"),
        (lambda: X.a == X.b, r"F\.a\._eq: expected a str, number, .* got Column"),
        (lambda: X.a.in_(X.b), r"F\.a\.in_\[0\]: expected .* got Column"),
        (X.a.in_, "at least one value"),
        (lambda: X.a.in_([]), "at least one value"),
        (lambda: X.a.not_in(set()), "at least one value"),
        (lambda: X.a.in_(["A"], ["B"]), r"F\.a\.in_\[0\]: .* got list"),
        (lambda: X.a.in_(b"AB"), "got bytes"),
        (lambda: X.a.in_({"A": 1}), "got dict"),
        (lambda: X.a == {1}, "got set"),
        (lambda: X.a == (1,), "got tuple"),
        (lambda: X.a == b"x", "got bytes"),
        (lambda: X.a == object(), "got object"),
        (lambda: X.a == "\ud800", "surrogate"),
        (lambda: X.a.like(5), "pattern"),
        (lambda: X.a.regex(None), "pattern"),
        (lambda: X.a.is_null(None), "expected True or False, got None"),
        (lambda: X.a.is_null(1), "expected True or False, got int"),
        (lambda: X.a.has(None), r"F\.a\.has"),
        (lambda: X.a == NotATime(), r"F\.a\._eq: not a time \(NaT\)"),
        (lambda: X.a.in_(NotATime()), r"F\.a\.in_\[0\]: not a time"),
        (lambda: X.a == Float32(math.nan), r"F\.a\._eq: NaN"),
        (lambda: X.a.in_(Array(1, Float32(math.nan))), r"F\.a\.in_\[1\]: NaN"),
        (lambda: X.a == Array(1, 2), r"F\.a\._eq: .* got Array"),
        (lambda: X.a == ZeroDimensions(), r"F\.a\._eq: .* got ZeroDimensions"),
        (lambda: X.a.in_(ZeroDimensions()), r"F\.a\.in_\[0\]: .* got ZeroDimensions"),
        (lambda: X.a == Bool(), r"F\.a\._eq: .* got Bool"),
        (lambda: X.a == datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "years 1 to 9999"),
        (lambda: X.a.like("50%\\"), r"F\.a\._like: the pattern ends in a lone backslash"),
        (lambda: X.a.ilike("\\"), "lone backslash"),
        (lambda: X.a.not_like("a\\\\\\"), "lone backslash"),
        (lambda: X.a.not_ilike("a\\"), "lone backslash"),
        (lambda: X.a.contains(5), r"F\.a\.contains: expected a str, got int"),
        (lambda: X.a.startswith(None), r"F\.a\.startswith"),
        (lambda: X.a.endswith(b"x"), r"F\.a\.endswith"),
        (lambda: X.a.contains("\ud800"), "surrogate"),
        (lambda: X.a.between(None, 2), "is_null"),
        (lambda: X.a.between(1, math.nan), r"F\.a\._lte"),
        (lambda: X.a.asc(nulls="middle"), "nulls must be .* got 'middle'"),
        (lambda: X._eq, "underscore"),
        (lambda: X.client._eq, r"F\.client.*underscore"),
        (lambda: X["_eq"], "underscore"),
        (lambda: X[""], "empty"),
        (lambda: X["a\nb"], "control"),
        (lambda: getattr(X, "a\x00"), "control"),
        (lambda: X.a["\x85"], "control"),
        (lambda: X[0], "str"),
        (lambda: list(X.a), "str"),
    ],
)
def test_builder_rejects_invalid_values_and_names(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


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


@pytest.mark.parametrize(
    "use",
    [
        lambda: (F.a == 1) and (F.b == 2),
        lambda: (F.a == 1) or (F.b == 2),
        lambda: not F.a.is_null(),
        lambda: 1 < F.a < 5,
        lambda: bool(F.a == 1),
    ],
)
def test_condition_has_no_truth_value(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"& \| ~"):
        use()


@pytest.mark.parametrize(
    "use",
    [
        lambda: (F.a == 1) & untyped(F.b),
        lambda: (F.a == 1) | untyped({"b": {"_eq": 1}}),
        lambda: untyped(1) & untyped(F.b) == 2,
        lambda: {untyped(F.a)},
    ],
)
def test_forgotten_parentheses_and_hashing_raise_type_error(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        use()


# Objects


def test_objects_are_immutable() -> None:
    for thing in (F, F.a, F.a == 1, F.a.asc()):
        with pytest.raises((AttributeError, TypeError)):
            untyped(thing).name = "x"


def test_repr_shows_the_expression() -> None:
    assert repr(F.client.due_date) == "F.client.dueDate"
    assert repr(F["pms_invoice_number"]) == "F['pms_invoice_number']"
    assert repr((F.a == "x") & F.b.is_null()) == (
        "Condition({'_and': [{'a': {'_eq': 'x'}}, {'b': {'_is_null': True}}]})"
    )


def test_objects_can_be_copied_and_pickled() -> None:
    condition = (F.client.name == "x") & (F.a > Decimal(1))
    for duplicate in (copy.deepcopy(condition), cast("Condition", pickle.loads(pickle.dumps(condition)))):
        assert duplicate.to_dict() == condition.to_dict()
    assert (
        repr(pickle.loads(pickle.dumps(F.client.name))) == repr(copy.copy(F.client.name)) == "F.client.name"
    )
    assert pickle.loads(pickle.dumps(F.a.asc())) == F.a.asc()
    assert repr(copy.copy(F).a) == "F.a"


def test_hasattr_is_false_for_private_names() -> None:
    assert not hasattr(F, "_repr_html_")
    assert not hasattr(F.a, "__len__")


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
leaves = (
    st.builds(Column.__eq__, columns, values)
    | st.builds(Column.__gt__, columns, values)
    | st.builds(Column.in_, columns, st.lists(values, min_size=1, max_size=3))
    | st.builds(Column.ilike, columns, st.text(st.characters(exclude_categories=["Cs"])))
    | st.builds(Column.is_null, columns, st.booleans())
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(joined_and, inner, inner)
        | st.builds(joined_or, inner, inner)
        | inner.map(lambda condition: ~condition)
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


# The keyset condition


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
