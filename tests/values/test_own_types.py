"""The contract of values holds for types of the caller's own, also where msgspec has rules of its own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from aiwyn_async import ConfigurationError, deferred
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder


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


OWN: list[Any] = [AsDataclass, AsTypedDict, Strict, Unset, Wide, Bounded]


def read(kind: Any, *rows: str) -> DecodedRows[Any]:
    body = f'{{"rows":[{",".join(rows)}]}}'.encode()
    return PageDecoder(kind, Envelope(("rows",))).decode(body)


def amount_of(row: Any) -> Any:
    if isinstance(row, dict):
        return row["totalAmount"]
    return row.totalAmount if isinstance(row, AsDataclass) else row.total_amount


@pytest.mark.parametrize("kind", OWN)
def test_own_types_refuse_what_is_not_an_amount(kind: Any) -> None:
    found = read(
        kind, '{"id":1,"totalAmount":5.5}', '{"id":2,"totalAmount":"NaN"}', '{"id":3,"totalAmount":7}'
    )

    assert [refusal.index for refusal in found.bad] == [1]
    assert [amount_of(row) for row in found.rows] == [Decimal("5.5"), Decimal(7)]


@pytest.mark.parametrize("kind", OWN)
def test_own_types_match_keys_in_another_spelling(kind: Any) -> None:
    found = read(kind, '{"id":1,"total_amount":5.5}')

    assert [amount_of(row) for row in found.rows] == [Decimal("5.5")]


def test_own_type_that_refuses_unknown_fields_still_does() -> None:
    found = read(Strict, '{"id":1,"other":2}', '{"id":2}')

    assert [refusal.reason for refusal in found.bad] == ["expected no field 'other'"]


def test_own_type_with_bounds_keeps_them() -> None:
    found = read(Bounded, '{"id":-1}', '{"id":2}')

    assert [refusal.index for refusal in found.bad] == [0]


class NotDecodable(msgspec.Struct):
    amount: Decimal | str | None = None


def test_deferred_refuses_a_type_that_no_row_can_be_decoded_as() -> None:
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


def test_own_types_may_hold_objects_of_their_own_type() -> None:
    row = '{"id":1,"total_amount":"5","parent":{"id":2,"totalAmount":7},"children":[{"id":3}]}'

    (tree,) = read(Tree, row).rows
    assert tree == Tree(1, Decimal(5), Tree(2, Decimal(7)), [Tree(3)])
    assert read(Forest, f'{{"id":1,"tree":{row}}}').rows == [Forest(1, tree)]
    assert [
        refusal.error for refusal in read(Tree, '{"id":1,"parent":{"id":2,"totalAmount":"NaN"}}').bad
    ] == ["parent.totalAmount: expected a number, got 'NaN'"]
