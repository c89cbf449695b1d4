"""The contract of values applies to the caller's own types, even if msgspec decodes them by other rules."""

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
