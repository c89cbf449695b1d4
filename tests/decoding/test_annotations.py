"""Values of rare annotations follow the contract of values, or the row is bad."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NewType

import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._decoding.checked_types import checked
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.exact import exact_decoder
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder


class Row(msgspec.Struct):
    amount: Decimal | None = None
    at: datetime | None = None


class Line(msgspec.Struct, array_like=True):
    amount: Decimal
    count: int = 3


new_type: Any = NewType  # type checkers refuse some that users have at run time
NAMED_ROW = new_type("NamedRow", Row)


def decode(row_type: Any, row: str) -> DecodedRows[Any]:
    decoder: PageDecoder[Any] = PageDecoder(row_type, Envelope(("rows",)))
    return decoder.decode(f'{{"rows":[{row}]}}'.encode())


def decode_field(kind: Any, value: str) -> Any:
    page = decode(msgspec.defstruct("Holder", [("value", kind)]), f'{{"value":{value}}}')
    return page.rows[0].value if page.rows else None


@pytest.mark.parametrize("row_type", [NAMED_ROW, Annotated[Row, "named"], Row | None])
def test_row_type_behind_a_name_or_in_a_union_is_exact(row_type: Any) -> None:
    aiwyn = AiwynClient(base_url="http://127.0.0.1:9", token="unused")
    kind: Any = aiwyn.invoices.list().decode_as(row_type).row_type
    assert not decode(kind, '{"amount":"NaN"}').rows
    (row,) = decode(kind, '{"at":"2024-01-01T23:59:59.9999999Z"}').rows
    assert row.at == datetime(2024, 1, 1, 23, 59, 59, 999999, UTC)


def test_keys_of_a_dict_are_exact() -> None:
    assert decode_field(dict[Decimal, int], '{"1.50":"2"}') == {Decimal("1.50"): 2}
    assert decode_field(dict[int, int], '{"1":"2"}') == {1: 2}
    assert decode_field(dict[Decimal, int], '{"NaN":2}') is None
    (key,) = decode_field(dict[datetime, int], '{"2024-01-01T23:59:59.9999999Z":1}')
    assert key == datetime(2024, 1, 1, 23, 59, 59, 999999, UTC)


def test_items_beyond_the_fields_of_a_list_are_unknown_fields() -> None:
    page = decode(msgspec.defstruct("Holder", [("line", Line)]), '{"line":[1.5,3,7]}')
    assert page.rows[0].line == Line(Decimal("1.5"), 3)
    assert list(page.unknown) == ["line"]


def test_repaired_row_decodes_after_many_other_types() -> None:
    inner = msgspec.defstruct("Inner", [("amount", Decimal | None, None)])
    outer = msgspec.defstruct("Outer", [("id", int), ("lines", list[inner] | None, None)])  # type: ignore[valid-type]
    exact_decoder(outer)
    for size in range(600):
        checked(Annotated[str, msgspec.Meta(max_length=size)])
    (row,) = decode(outer, '{"id":"1","lines":[{"amount":1.5}]}').rows
    assert row.lines[0].amount == Decimal("1.5")
