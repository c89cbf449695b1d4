"""Rows that need a repair, and errors that quote the value which they could not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aiwyn_async._decoding.exact import exact_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS, InvalidValueError, as_money, as_timestamp, explain


class Loose(msgspec.Struct):
    id: int
    amounts: dict[str, Decimal] | None = None
    lines: list[int] | None = None
    extra: Any = None
    raw: msgspec.Raw = msgspec.Raw(b"null")


@dataclass
class LooseDataclass:
    id: int
    extra: Any
    raw: msgspec.Raw


def reason_of(row: bytes) -> tuple[str, str]:
    with pytest.raises(DECODING_ERRORS) as caught:
        exact_decoder(Loose)(row)
    assert isinstance(caught.value, Exception)
    return explain(caught.value)


def test_repaired_row_retains_values_of_dict_any_and_raw_fields() -> None:
    decoded = exact_decoder(Loose)(
        b'{"id":"7","amounts":{"x":"1.50","y":2},"lines":["3",4],'
        b'"extra":{"a":[1.10,{"b":12345678901234567.89}],"c":null},"raw":{"k":1.0}}'
    )
    assert decoded.is_repaired
    assert decoded.row.id == 7
    assert {key: str(amount) for key, amount in decoded.row.amounts.items()} == {"x": "1.50", "y": "2"}
    assert decoded.row.lines == [3, 4]
    assert decoded.row.extra == {"a": [Decimal("1.10"), {"b": Decimal("12345678901234567.89")}], "c": None}
    assert bytes(decoded.row.raw) == b'{"k":1.0}'


def test_repaired_dataclass_retains_values_without_a_kind() -> None:
    decoded = exact_decoder(LooseDataclass)(b'{"id":"7","extra":{"a":[1.10,{"b":1e5000}]},"raw":{"k":1.0}}')
    assert decoded.row.extra == {"a": [Decimal("1.10"), {"b": Decimal("1e5000")}]}
    assert bytes(decoded.row.raw) == b'{"k":1.0}'


@pytest.mark.parametrize(
    ("row", "reason", "path"),
    [
        (b"{}", "Object missing required field `id`", ""),
        (b"[1]", "expected an object, got a list", ""),
        (b'{"id":1,"lines":{"a":1}}', "expected a list, got an object", "lines"),
        (b'{"id":1,"lines":"a"}', "expected a list, got text", "lines"),
        (b'{"id":1,"lines":5}', "expected a list, got a scalar", "lines"),
        (b'{"id":1,"lines":[1,[]]}', "expected an integer, got a list", "lines[1]"),
        (b'{"id":1,"amounts":[]}', "expected an object, got a list", "amounts"),
        (b'{"id":1,"amounts":{"x":true}}', "expected a number, got true", "amounts.x"),
    ],
)
def test_error_of_a_row_has_a_reason_and_a_path(row: bytes, reason: str, path: str) -> None:
    assert reason_of(row) == (reason, path)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ([1], "a list"),
        ({"a": 1}, "an object"),
        ("x" * 100, f"'{'x' * 56}..."),
    ],
)
def test_error_quotes_the_value(value: object, quoted: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        as_money(value)
    assert caught.value.reason == f"expected a number, got {quoted}"


def test_error_quotes_an_integer_of_up_to_40_digits() -> None:
    for value, quoted in ((10**40 - 1, "9" * 40), (10**40, "an integer of more than 40 digits")):
        with pytest.raises(InvalidValueError) as caught:
            as_timestamp(value)
        assert caught.value.reason == f"expected an ISO 8601 timestamp, got {quoted}"


class Noted(msgspec.Struct):
    notes: str


@pytest.mark.parametrize("number", ["-0", "0", "7", "-0.0", "1e5", "1.50", "12345678901234567890123"])
def test_number_as_text_is_its_text_on_the_wire(number: str) -> None:
    decoded = exact_decoder(Noted)(f'{{"notes": {number} }}'.encode())
    assert (decoded.row.notes, decoded.is_repaired) == (number, True)
