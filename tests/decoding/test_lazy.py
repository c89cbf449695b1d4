"""Rows whose amounts, lists and nested objects are decoded when they are first read."""

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
        "lineItems": st.lists(lines).map(lambda items: f"[{','.join(map(to_json, items))}]"),
        "payments": st.sampled_from(["[]", "null"]),
        "subtotal": amounts,
        "taxAmount": amounts,
        "totalAmount": amounts,
        "paidAmount": amounts,
        "outstandingAmount": amounts,
    },
).map(lambda row: to_json(row).encode())


def to_json(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


@given(rows_of_json, st.permutations(NAMES))
def test_deferred_fields_equal_those_of_plain_row_in_any_order_of_access(
    row: bytes, names: list[str]
) -> None:
    plain, lazy = decode(row), decode_deferred(row)
    for name in [*names, *names]:
        value = getattr(lazy, name)
        assert value == getattr(plain, name)
        assert type(value) is type(getattr(plain, name))
        assert str(value) == str(getattr(plain, name))


@given(rows_of_json, st.sets(st.sampled_from(COSTLY)))
def test_deferred_row_behaves_as_plain_row(row: bytes, read: set[str]) -> None:
    plain, lazy = decode(row), decode_deferred(row)
    for name in read:
        getattr(lazy, name)
    assert isinstance(lazy, Invoice)
    assert lazy == plain
    assert plain == lazy
    assert lazy == decode_deferred(row)
    assert lazy != decode(b'{"id":0}')
    assert not (lazy != plain)  # noqa: SIM202 (it has a method of its own)
    assert not (plain != lazy)  # noqa: SIM202
    assert lazy != cast("Any", 5)
    assert hash(lazy) == hash(plain)
    assert repr(lazy) == repr(plain)
    assert copy.copy(lazy) == plain
    assert pickle.loads(pickle.dumps(lazy)) == plain
    assert msgspec.structs.replace(lazy, id=5) == msgspec.structs.replace(plain, id=5)
    assert type(materialize(lazy)) is Invoice
    assert msgspec.structs.asdict(materialize(lazy)) == msgspec.structs.asdict(plain)
    assert materialize(plain) is plain


def test_rich_prints_deferred_row_as_plain_row() -> None:
    row = b'{"id":1,"totalAmount":12.50}'
    shown = [io.StringIO(), io.StringIO()]
    for text, lazy in zip(shown, (decode(row), decode_deferred(row)), strict=True):
        Console(file=text).print(lazy)
    assert shown[1].getvalue() == f"Deferred{shown[0].getvalue()}"
    assert "12.50" in shown[1].getvalue()


@pytest.mark.parametrize("value", ['"a lot"', "true", "[1]", "{}", '"\udcff"', "[" * 200 + "]" * 200])
def test_deferred_field_with_invalid_value_raises_and_others_decode(value: str) -> None:
    row = f'{{"id":1,"totalAmount":{value},"paidAmount":2.50}}'.encode("utf-8", "surrogateescape")
    lazy = decode_deferred(row)
    for _ in range(2):
        with pytest.raises(DecodeError, match=r"^cannot decode totalAmount of the row with id 1: ") as caught:
            _ = lazy.total_amount
        assert caught.value.location == "totalAmount"
        assert "xff" not in str(caught.value)
    assert lazy.paid_amount == Decimal("2.50")
    with pytest.raises(DecodeError, match="totalAmount"):
        materialize(lazy)


def test_materialized_row_does_not_reference_its_page() -> None:
    page = b'{"deid_invoice":[{"id":1,"totalAmount":12.50}],"total":%d}' % 1
    decoder: PageDecoder[Invoice] = PageDecoder(deferred(Invoice), None)
    decoder.decode(page)
    unread = sys.getrefcount(page)
    rows = decoder.decode(page).rows
    assert sys.getrefcount(page) > unread
    materialized = [materialize(row) for row in rows]
    del rows
    assert sys.getrefcount(page) == unread
    assert materialized[0].total_amount == Decimal("12.50")


@dataclass
class Data:
    amount: Decimal


class Point(msgspec.Struct):
    x: Decimal


class Renamed(msgspec.Struct, rename={"total": "sum total"}):
    """A Struct that is neither frozen nor keyword-only."""

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


def test_deferred_accepts_any_struct() -> None:
    plain, lazy_type = row_decoder(Renamed), deferred(Renamed)
    assert deferred(lazy_type) is lazy_type
    assert deferred(Renamed) is lazy_type
    row = (
        b'{"name":"a","sum total":1.10,"points":[{"x":1.0}],"pair":[2.00,3],"table":{"k":4.0},'
        b'"data":{"amount":5.0},"anything":6.10,"flags":[1]}'
    )
    lazy: Renamed = row_decoder(lazy_type)(row)[0]
    assert (lazy.total, lazy.points) == (Decimal("1.10"), [Point(Decimal("1.0"))])
    assert lazy == plain(row)[0]
    bare: Renamed = row_decoder(lazy_type)(b'{"name":"a","sum total":1}')[0]
    assert bare == plain(b'{"name":"a","sum total":1}')[0]
    assert bare.points is not row_decoder(lazy_type)(b'{"name":"b","sum total":1}')[0].points
    with pytest.raises(DECODING_ERRORS, match="sum total"):
        row_decoder(lazy_type)(b'{"name":"a"}')
    with pytest.raises(DecodeError, match="sum total"):
        _ = row_decoder(lazy_type)(b'{"name":"a","sum total":"much"}')[0].total
    with pytest.raises(DecodeError, match="points"):
        _ = row_decoder(lazy_type)(b'{"name":"a","sum total":1,"points":[{"x":1},{"x":1},{"x":1}]}')[0].points
    assert deferred(Cheap) is Cheap


def test_deferred_rows_preserve_order() -> None:
    low, high = (row_decoder(deferred(Price))(b'{"amount":%d}' % amount)[0] for amount in (9, 10))
    assert (low < high, low <= high, low > high, low >= high) == (True, True, False, False)
    assert low < Price(Decimal(10))
    assert sorted([high, low]) == [low, high]
    with pytest.raises(TypeError):
        _ = decode_deferred(b'{"id":1}') < decode_deferred(b'{"id":2}')  # type: ignore[operator]


@pytest.mark.parametrize("kind", [dict, msgspec.Raw, 5, Invoice(id=1)])
def test_deferred_rejects_types_that_are_not_structs(kind: Any) -> None:
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


@pytest.mark.parametrize("tag", [True, str.lower, "bill", 7])
def test_deferred_row_has_the_tag_of_its_type(tag: Any) -> None:
    tagged: Any = msgspec.defstruct("Tagged", [("amount", Decimal)], tag=tag, tag_field="kind")
    row = msgspec.json.encode(tagged(Decimal(5)))
    lazy_type: Any = deferred(tagged)

    assert row_decoder(lazy_type)(row)[0] == tagged(Decimal(5))
    with pytest.raises(DECODING_ERRORS, match="kind"):
        row_decoder(lazy_type)(b'{"kind":"DeferredTagged","amount":5}')
