"""Rows whose costly fields wait as bytes until somebody reads them."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aiwyn_async import ConfigurationError, DecodeError, Invoice, deferred, materialize
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._decoding.row_decoder import row_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS

NAMES = [field.name for field in msgspec.structs.fields(Invoice)]
COSTLY = [name for name in NAMES if name.endswith(("amount", "subtotal", "items", "payments"))]

decode = msgspec.json.Decoder(Invoice).decode
decode_deferred = msgspec.json.Decoder(deferred(Invoice)).decode

numbers = st.decimals(allow_nan=False, allow_infinity=False)
amounts = st.one_of(
    st.just("null"), numbers.map("{:f}".format), numbers.map('"{:f}"'.format), st.integers().map(str)
)
lines = st.fixed_dictionaries(
    {"id": st.integers(0, 9).map(str)}, optional={"amount": amounts, "description": st.just('"a]}"')}
)
rows_of_json = st.fixed_dictionaries(
    {"id": st.integers(1, 9).map(str)},
    optional={
        "status": st.sampled_from(['"POSTED"', '"odd"', "null"]),
        "description": st.text().map(msgspec.json.encode).map(bytes.decode),
        "lineItems": st.lists(lines).map(lambda found: f"[{','.join(map(written, found))}]"),
        "payments": st.sampled_from(["[]", "null"]),
        "subtotal": amounts,
        "taxAmount": amounts,
        "totalAmount": amounts,
        "paidAmount": amounts,
        "outstandingAmount": amounts,
    },
).map(lambda row: written(row).encode())


def written(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


@given(rows_of_json, st.permutations(NAMES))
def test_every_field_is_what_it_is_in_a_plain_row_in_whatever_order_they_are_read(
    row: bytes, names: list[str]
) -> None:
    plain, found = decode(row), decode_deferred(row)
    for name in [*names, *names]:
        value = getattr(found, name)
        assert value == getattr(plain, name)
        assert type(value) is type(getattr(plain, name))
        assert str(value) == str(getattr(plain, name))


@given(rows_of_json, st.sets(st.sampled_from(COSTLY)))
def test_a_row_passes_for_a_plain_one_whatever_of_it_was_read(row: bytes, read: set[str]) -> None:
    plain, found = decode(row), decode_deferred(row)
    for name in read:
        getattr(found, name)
    assert isinstance(found, Invoice)
    assert found == plain
    assert plain == found
    assert found == decode_deferred(row)
    assert found != decode(b'{"id":0}')
    assert not (found != plain)  # noqa: SIM202 (it has a method of its own)
    assert not (plain != found)  # noqa: SIM202
    assert found != cast("Any", 5)
    assert hash(found) == hash(plain)
    assert repr(found) == repr(plain)
    assert copy.copy(found) == plain
    assert pickle.loads(pickle.dumps(found)) == plain
    assert msgspec.structs.replace(found, id=5) == msgspec.structs.replace(plain, id=5)
    assert type(materialize(found)) is Invoice
    assert msgspec.structs.asdict(materialize(found)) == msgspec.structs.asdict(plain)
    assert materialize(plain) is plain


def test_rich_shows_it_as_a_plain_one() -> None:
    row = b'{"id":1,"totalAmount":12.50}'
    shown = [io.StringIO(), io.StringIO()]
    for text, found in zip(shown, (decode(row), decode_deferred(row)), strict=True):
        Console(file=text).print(found)
    assert shown[1].getvalue() == f"Deferred{shown[0].getvalue()}"
    assert "12.50" in shown[1].getvalue()


@pytest.mark.parametrize("value", ['"a lot"', "true", "[1]", "{}", '"\udcff"', "[" * 200 + "]" * 200])
def test_a_value_that_does_not_fit_is_told_by_its_field_and_costs_no_other(value: str) -> None:
    row = f'{{"id":1,"totalAmount":{value},"paidAmount":2.50}}'.encode("utf-8", "surrogateescape")
    found = decode_deferred(row)
    for _ in range(2):
        with pytest.raises(DecodeError, match=r"^cannot decode totalAmount of the row with id 1: ") as told:
            _ = found.total_amount
        assert told.value.location == "totalAmount"
        assert "xff" not in str(told.value)
    assert found.paid_amount == Decimal("2.50")
    with pytest.raises(DecodeError, match="totalAmount"):
        materialize(found)


def test_a_settled_row_holds_no_page() -> None:
    page = b'{"deid_invoice":[{"id":1,"totalAmount":12.50}],"total":%d}' % 1
    reader: PageDecoder[Invoice] = PageDecoder(deferred(Invoice), None)
    reader.decode(page)
    unread = sys.getrefcount(page)
    rows = reader.decode(page).rows
    assert sys.getrefcount(page) > unread
    kept = [materialize(row) for row in rows]
    del rows
    assert sys.getrefcount(page) == unread
    assert kept[0].total_amount == Decimal("12.50")


@dataclass
class Data:
    amount: Decimal


class Point(msgspec.Struct):
    x: Decimal


class Odd(msgspec.Struct, rename={"total": "sum total"}):
    """Neither frozen nor keyword-only."""

    name: str
    total: Decimal
    points: Annotated[list[Point], msgspec.Meta(max_length=2)] = msgspec.field(default_factory=list[Point])
    pair: tuple[Decimal, int] | None = None
    table: dict[str, Decimal] = {}
    data: Data | None = None
    anything: Any = None
    flags: frozenset[int] = frozenset()


class Price(msgspec.Struct, order=True):
    amount: Decimal


class Cheap(msgspec.Struct):
    name: str | None


def test_any_struct_can_be_deferred() -> None:
    plain, made = row_decoder(Odd), deferred(Odd)
    assert deferred(made) is made
    assert deferred(Odd) is made
    row = (
        b'{"name":"a","sum total":1.10,"points":[{"x":1.0}],"pair":[2.00,3],"table":{"k":4.0},'
        b'"data":{"amount":5.0},"anything":6.10,"flags":[1]}'
    )
    found: Odd = row_decoder(made)(row)[0]
    assert (found.total, found.points) == (Decimal("1.10"), [Point(Decimal("1.0"))])
    assert found == plain(row)[0]
    bare: Odd = row_decoder(made)(b'{"name":"a","sum total":1}')[0]
    assert bare == plain(b'{"name":"a","sum total":1}')[0]
    assert bare.points is not row_decoder(made)(b'{"name":"b","sum total":1}')[0].points
    with pytest.raises(DECODING_ERRORS, match="sum total"):
        row_decoder(made)(b'{"name":"a"}')
    with pytest.raises(DecodeError, match="sum total"):
        _ = row_decoder(made)(b'{"name":"a","sum total":"much"}')[0].total
    with pytest.raises(DecodeError, match="points"):
        _ = row_decoder(made)(b'{"name":"a","sum total":1,"points":[{"x":1},{"x":1},{"x":1}]}')[0].points
    assert deferred(Cheap) is Cheap


def test_rows_that_have_an_order_keep_it() -> None:
    low, high = (row_decoder(deferred(Price))(b'{"amount":%d}' % amount)[0] for amount in (9, 10))
    assert (low < high, low <= high, low > high, low >= high) == (True, True, False, False)
    assert low < Price(Decimal(10))
    assert sorted([high, low]) == [low, high]
    with pytest.raises(TypeError):
        _ = decode_deferred(b'{"id":1}') < decode_deferred(b'{"id":2}')  # type: ignore[operator]


@pytest.mark.parametrize("kind", [dict, msgspec.Raw, 5, Invoice(id=1)])
def test_what_is_no_struct_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="such as Invoice"):
        deferred(kind)


class Mutable(msgspec.Struct, rename="camel"):
    id: int
    total_amount: Decimal | None = None

    def __post_init__(self) -> None:
        self.total_amount = self.total_amount or Decimal(0)


def test_deferred_row_of_a_mutable_type_can_be_changed() -> None:
    (row,) = msgspec.json.decode(b'[{"id":1,"totalAmount":5.5}]', type=list[deferred(Mutable)])  # type: ignore[misc]

    assert row.total_amount == Decimal("5.5")
    row.total_amount = Decimal(7)
    assert (row.total_amount, materialize(row)) == (Decimal(7), Mutable(1, Decimal(7)))
