"""The contract of values applies to the caller's own types, even if msgspec decodes them by other rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar

import msgspec
import pytest

from aiwyn_async import ConfigurationError, DecodeError, deferred, materialize
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder
from aiwyn_async.models.invoices import Invoice


@dataclass
class AsDataclass:
    id: int
    totalAmount: Decimal | None = None  # noqa: N815 (as on the wire)


class AsTypedDict(TypedDict, total=False):
    id: int
    totalAmount: Decimal | None


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    id: int
    total_amount: Decimal | None = None


class Unset(msgspec.Struct, rename="camel"):
    id: int
    total_amount: Decimal | msgspec.UnsetType = msgspec.UNSET


class Wide(msgspec.Struct, rename="camel"):
    id: int
    total_amount: int | Decimal | None = None


class Bounded(msgspec.Struct, rename="camel"):
    id: Annotated[int, msgspec.Meta(ge=0)]
    total_amount: Decimal | None = None


OWN_TYPES: list[Any] = [AsDataclass, AsTypedDict, Strict, Unset, Wide, Bounded]


def decode(kind: Any, *rows: str) -> DecodedRows[Any]:
    body = f'{{"rows":[{",".join(rows)}]}}'.encode()
    return PageDecoder(kind, Envelope(("rows",))).decode(body)


def get_amount(row: Any) -> Any:
    if isinstance(row, dict):
        return row["totalAmount"]
    return row.totalAmount if isinstance(row, AsDataclass) else row.total_amount


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_own_type_rejects_invalid_amount(kind: Any) -> None:
    page = decode(
        kind, '{"id":1,"totalAmount":5.5}', '{"id":2,"totalAmount":"NaN"}', '{"id":3,"totalAmount":7}'
    )

    assert [bad.index for bad in page.bad] == [1]
    assert [get_amount(row) for row in page.rows] == [Decimal("5.5"), Decimal(7)]


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_own_type_matches_keys_in_another_case(kind: Any) -> None:
    page = decode(kind, '{"id":1,"total_amount":5.5}')

    assert [get_amount(row) for row in page.rows] == [Decimal("5.5")]


def test_own_type_that_forbids_unknown_fields_rejects_them() -> None:
    page = decode(Strict, '{"id":1,"other":2}', '{"id":2}')

    assert [bad.reason for bad in page.bad] == ["unknown field 'other'"]


def test_own_type_with_bounds_enforces_them() -> None:
    page = decode(Bounded, '{"id":-1}', '{"id":2}')

    assert [bad.index for bad in page.bad] == [0]


class NotDecodable(msgspec.Struct):
    amount: Decimal | str | None = None


def test_deferred_rejects_type_that_cannot_be_decoded() -> None:
    with pytest.raises(ConfigurationError, match="NotDecodable"):
        deferred(NotDecodable)


class Tree(msgspec.Struct, rename="camel"):
    id: int
    total_amount: Decimal | None = None
    parent: Tree | None = None
    children: list[Tree] = []


class Forest(msgspec.Struct):
    id: int
    tree: Tree | None = None


def test_own_type_may_contain_objects_of_its_own_type() -> None:
    row = '{"id":1,"total_amount":"5","parent":{"id":2,"totalAmount":7},"children":[{"id":3}]}'

    (tree,) = decode(Tree, row).rows
    assert tree == Tree(1, Decimal(5), Tree(2, Decimal(7)), [Tree(3)])
    assert decode(Forest, f'{{"id":1,"tree":{row}}}').rows == [Forest(1, tree)]
    assert [bad.error for bad in decode(Tree, '{"id":1,"parent":{"id":2,"totalAmount":"NaN"}}').bad] == [
        "parent.totalAmount: expected a number, got 'NaN'"
    ]


Amount = NewType("Amount", Decimal)
NotedAmount: Any = Annotated[Decimal, msgspec.Meta(description="in cents")]
T = TypeVar("T")


class Box(msgspec.Struct, Generic[T]):
    amount: T | None = None


class Tagged(msgspec.Struct, tag="fee"):
    amount: Decimal | None = None


class OtherTag(msgspec.Struct, tag="tax"):
    rate: Decimal | None = None


class AsArray(msgspec.Struct, array_like=True):
    amount: Decimal | None = None


class AsNamedTuple(NamedTuple):
    amount: Decimal | None = None


class Nested(msgspec.Struct):
    amount: Decimal | None = None
    below: list[Nested] = []


# The type of a field, its JSON with {} for an amount.
AMOUNTS: dict[str, tuple[Any, str]] = {
    "NewType": (Amount, "{}"),
    "NewType or null": (Amount | None, "{}"),
    "Annotated": (NotedAmount, "{}"),
    "Annotated or null": (NotedAmount | None, "{}"),
    "generic": (Box[Decimal], '{{"amount":{}}}'),
    "generic of a NewType": (Box[Amount] | None, '{{"amount":{}}}'),
    "tag": (Tagged, '{{"type":"fee","amount":{}}}'),
    "tags": (Tagged | OtherTag | None, '{{"type":"fee","amount":{}}}'),
    "tag or text": (Tagged | str, '{{"type":"fee","amount":{}}}'),
    "object or text": (Nested | str, '{{"amount":{}}}'),
    "array": (AsArray, "[{}]"),
    "named tuple": (AsNamedTuple, "[{}]"),
    "tuple": (tuple[str, Decimal], '["a",{}]'),
    "set": (set[Decimal], "[{}]"),
    "sequence": (Sequence[Decimal], "[{}]"),
    "list or text": (list[Decimal] | str, "[{}]"),
    "mapping": (Mapping[str, Decimal], '{{"a":{}}}'),
    "recursive": (Nested, '{{"below":[{{"amount":{}}}]}}'),
    "recursive list": (list[Nested], '[{{"below":[{{"amount":{}}}]}}]'),
}


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize("text", ['"1_0"', '"NaN"', "NaN", '"\\u0665"', "1e9999", "true"])
def test_amount_in_any_annotation_is_rejected(name: str, text: str) -> None:
    kind, json = AMOUNTS[name]
    row_type: Any = msgspec.defstruct("Row", [("id", int), ("value", kind)])
    row = f'{{"id":1,"value":{json.format(text)}}}'
    assert len(decode(row_type, row).bad) == 1
    page = decode(deferred(row_type), row)
    for each in page.rows:
        with pytest.raises(DecodeError):
            materialize(each)


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize("text", ["7", "7.5", '"7.5"', '" 7 "', "-0.10"])
def test_amount_in_any_annotation_is_exact(name: str, text: str) -> None:
    kind, json = AMOUNTS[name]
    row_type: Any = msgspec.defstruct("Row", [("id", int), ("value", kind)])
    row = f'{{"id":1,"value":{json.format(text)}}}'
    (decoded,) = decode(row_type, row).rows
    assert str(Decimal(text.strip('"').strip())) in repr(decoded)
    assert decode(row_type, row, '{"id":"x"}').rows == [decoded]
    assert list(map(materialize, decode(deferred(row_type), row).rows)) == [decoded]


@pytest.mark.parametrize(
    "kind",
    [NewType("Key", int), Annotated[int, "a key"], Annotated[int, msgspec.Meta(gt=0)]],
    ids=["NewType", "Annotated", "Meta"],
)
def test_integer_in_any_annotation_has_64_bits(kind: Any) -> None:
    row_type: Any = msgspec.defstruct("Row", [("id", kind)])
    page = decode(row_type, '{"id":9223372036854775807}', '{"id":9223372036854775808}')
    assert [row.id for row in page.rows] == [2**63 - 1]
    assert decode(row_type, '{"id":9223372036854775808}').rows == []


def test_fraction_beyond_a_float_is_rejected_in_a_union() -> None:
    row_type: Any = msgspec.defstruct("Row", [("rate", int | float | None)])
    page = decode(row_type, '{"rate":1e400}', '{"rate":0.5}', '{"rate":7}', '{"rate":null}')
    assert [row.rate for row in page.rows] == [0.5, 7, None]


def test_unknown_tag_is_rejected() -> None:
    row_type: Any = msgspec.defstruct("Row", [("id", int), ("fee", Tagged | OtherTag)])
    page = decode(
        row_type, '{"id":1,"fee":{"type":"other"}}', '{"id":2,"fee":{"type":["fee"]}}', '{"id":3,"fee":{}}'
    )
    assert len(page.bad) == 3


class Address(msgspec.Struct):
    city: str | None = None


def test_row_with_a_required_object_is_repaired() -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("address", Address)])
    page = decode(row_type, '{"id":"7","address":{"city":"Lyon"}}', '{"id":"x","address":{}}')
    assert [(row.id, row.address) for row in page.rows] == [(7, Address("Lyon"))]
    assert (page.repaired, len(page.bad)) == (1, 1)


class Shift(msgspec.Struct):
    begins: time | None = None
    amount: Decimal | None = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23:59:59.9999999", time(23, 59, 59, 999999)),
        ("10:11:12.1234567Z", time(10, 11, 12, 123456, UTC)),
        ("10:11:12+00:00", time(10, 11, 12, tzinfo=UTC)),
        ("10:11:12", time(10, 11, 12)),
        ("", None),
    ],
)
def test_digits_of_a_time_beyond_the_microsecond_are_dropped(text: str, expected: time | None) -> None:
    row = f'{{"begins":"{text}","amount":7}}'
    (shift,) = decode(Shift, row).rows
    assert shift == Shift(expected, Decimal(7))
    assert decode(Shift, row, '{"begins":"noon"}').rows == [shift]
    assert list(map(materialize, decode(deferred(Shift), row).rows)) == [shift]


@pytest.mark.parametrize(
    "text", ['"24:00:00"', '"23:59:60"', '"10:11"', '"noon"', "36000", "true", '"10:11:12+25:00"']
)
def test_time_that_does_not_exist_is_rejected(text: str) -> None:
    assert len(decode(Shift, f'{{"begins":{text}}}').bad) == 1
    assert len(decode(deferred(Shift), f'{{"begins":{text}}}').bad) == 1


class Zoned(msgspec.Struct):
    begins: Annotated[time, msgspec.Meta(tz=True)]
    ends: time | int | None = None


def test_digits_of_a_time_are_dropped_in_any_annotation() -> None:
    page = decode(Zoned, '{"begins":"10:11:12.1234567Z"}', '{"begins":"10:11:12"}')
    assert [row.begins for row in page.rows] == [time(10, 11, 12, 123456, UTC)]


class Priced(msgspec.Struct):
    id: int
    amount: Decimal | None = None
    parts: list[int] = []


@pytest.mark.parametrize("bad", ['"amount":true', '"parts":{}'])
def test_unknown_key_does_not_decode_deferred_fields(bad: str) -> None:
    page = decode(deferred(Priced), f'{{"id":1,{bad},"note":1}}', '{"id":2,"amount":7}')
    assert ([row.id for row in page.rows], page.bad) == ([1, 2], [])
    with pytest.raises(DecodeError, match="of the row with id 1"):
        materialize(page.rows[0])
    assert materialize(page.rows[1]) == Priced(2, Decimal(7))


class Line(msgspec.Struct):
    amount: Decimal | None = None


@pytest.mark.parametrize(
    ("kind", "json"),
    [(list[Line], '[{{"{}":1.5}}]'), (Line, '{{"{}":1.5}}'), (dict[str, Line], '{{"a":{{"{}":1.5}}}}')],
    ids=["list", "object", "mapping"],
)
def test_key_case_within_a_field_is_matched_beside_unknown_keys(kind: Any, json: str) -> None:
    decoder = PageDecoder(msgspec.defstruct("Row", [("id", int), ("value", kind)]), Envelope(("rows",)))
    row = '{{"id":1,"value":{},"note":1}}'
    usual, other = (row.format(json.format(key)) for key in ("amount", "AMOUNT"))
    pages = [decoder.decode(f'{{"rows":[{usual},{each}]}}'.encode()) for each in (usual, other, usual, other)]
    expected = pages[0].rows[0]
    assert "Decimal('1.5')" in repr(expected)
    assert [page.rows for page in pages] == [[expected, expected]] * 4


class Of(msgspec.Struct, Generic[T], rename="camel"):
    id: int
    total_amount: T | None = None
    due_date: datetime | None = None


def test_generic_row_type_is_decoded_by_the_contract() -> None:
    page = PageDecoder(Of[Decimal], Envelope(("rows",)), Invoice).decode(
        b'{"rows":[{"id":1,"total_amount":5.5},{"id":2,"totalAmount":"NaN"},'
        b'{"id":3,"dueDate":"2024-05-01T23:59:59.9999999Z"}]}'
    )
    assert [row.total_amount for row in page.rows] == [Decimal("5.5"), None]
    assert page.rows[1].due_date == datetime(2024, 5, 1, 23, 59, 59, 999999, UTC)
    assert [bad.index for bad in page.bad] == [1]


@pytest.mark.parametrize(
    "kind", [Annotated[dict[str, Any], msgspec.Meta(title="row")], NewType("Named", dict[str, Any])]
)
def test_named_dict_rows_have_exact_amounts(kind: Any) -> None:
    body = b'{"rows":[{"totalAmount":"12.50"},{"totalAmount":7}]}'
    page = PageDecoder(kind, Envelope(("rows",)), Invoice).decode(body)
    assert page.rows == [{"totalAmount": Decimal("12.50")}, {"totalAmount": Decimal(7)}]
    assert {type(row["totalAmount"]) for row in page.rows} == {Decimal}


class Price(msgspec.Struct, frozen=True, rename="camel"):
    unit_price: Decimal
    unit: str | msgspec.UnsetType = msgspec.UNSET


class Item(msgspec.Struct, frozen=True):
    price: Price | None = None


class Bill(msgspec.Struct, tag="bill"):
    item: Item
    items: list[Item] = []


class Refund(msgspec.Struct, tag="refund"):
    item: Item


class Boxed(msgspec.Struct, Generic[T]):
    value: T


class Part(msgspec.Struct):
    item: Item
    parts: list[Part] = []


class Pair(msgspec.Struct, array_like=True):
    item: Item


class PairTuple(NamedTuple):
    item: Item


class ItemDict(TypedDict):
    item: Item


@dataclass
class ItemData:
    item: Item


ITEM = '{"price":{"unitPrice":1.5}}'
OBJECT = f'{{"item":{ITEM}}}'


@pytest.mark.parametrize("price", ["1.5", '"1.5"', '1.5,"note":1'])
@pytest.mark.parametrize(
    ("kind", "json", "expected"),
    [
        (Bill, f'{{"type":"bill","item":{ITEM},"items":[{ITEM}]}}', lambda item: Bill(item, [item])),
        (Bill | Refund, f'{{"type":"refund","item":{ITEM}}}', Refund),
        (Boxed[Item], f'{{"value":{ITEM}}}', Boxed),
        (Part, f'{{"item":{ITEM},"parts":[{OBJECT}]}}', lambda item: Part(item, [Part(item)])),
        (Pair, f"[{ITEM}]", Pair),
        (PairTuple, f"[{ITEM}]", PairTuple),
        (ItemDict, OBJECT, lambda item: {"item": item}),
        (ItemData, OBJECT, ItemData),
        (frozenset[Item], f"[{ITEM}]", lambda item: frozenset([item])),
        (Item | Decimal, ITEM, lambda item: item),
    ],
)
def test_object_in_any_annotation_is_decoded(kind: Any, json: str, expected: Any, price: str) -> None:
    json = json.replace("1.5", price)
    value = expected(Item(Price(Decimal("1.5"))))
    row_type = msgspec.defstruct("Row", [("id", int), ("value", kind)])

    assert decode(row_type, f'{{"id":1,"value":{json}}}').rows == [row_type(1, value)]
    assert decode(deferred(row_type), f'{{"id":1,"value":{json}}}').rows[0].value == value
    if kind in {Bill, Part, Pair, Boxed[Item]}:
        assert decode(kind, json).rows == [value]
