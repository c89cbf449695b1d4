"""``F``: the conditions it builds, and the values and names it rejects."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import JSON, Column, Condition, F, to_where
from filter_helpers import ENCODER, Status, operand, untyped
from number_likes import Array, Bool, Float32, Int64, NotATime, Timedelta64, ZeroDimensions

X = untyped(F)


class Level(IntEnum):
    HIGH = 3


class Letters(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


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


def test_brackets_preserve_the_wire_name() -> None:
    assert (F["pms_invoice_number"] == "7").to_dict() == {"pms_invoice_number": {"_eq": "7"}}
    assert (F.client["has"] == "7").to_dict() == {"client": {"has": {"_eq": "7"}}}


def test_column_attributes_are_related_columns() -> None:
    assert F.client.main_office.name.like("A%").to_dict() == {
        "client": {"mainOffice": {"name": {"_like": "A%"}}}
    }


def test_has_nests_the_complete_condition() -> None:
    assert F.line_items.has((F.kind == "TAX") & (F.amount > 5)).to_dict() == {
        "lineItems": {"_and": [{"kind": {"_eq": "TAX"}}, {"amount": {"_gt": 5}}]}
    }


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
def test_decimals_preserve_every_digit(value: Decimal) -> None:
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
        (lambda: X.a == Timedelta64(), r"F\.a\._eq: .* got Timedelta64"),
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


def test_hasattr_is_false_for_private_names() -> None:
    assert not hasattr(F, "_repr_html_")
    assert not hasattr(F.a, "__len__")
