"""Keys in another case than declared are matched to their fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aiwyn_async import deferred
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async.models.engagements import EngagementSearchRow
from aiwyn_async.models.invoices import Invoice, InvoiceDetail

SNAKE = (
    b'{"rows": [{"id": 1, "total_amount": 12.50, "line_items": [{"unit_price": "3"}]},'
    b' {"id": 2, "total_amount": null}]}'
)


def test_camel_case_type_decodes_snake_case_rows_and_nested_objects() -> None:
    page = PageDecoder(Invoice, Envelope(("rows",))).decode(SNAKE)
    first, second = page.rows
    assert first.total_amount == Decimal("12.50")
    assert first.line_items is not None
    assert first.line_items[0].unit_price == Decimal(3)
    assert (second.id, second.total_amount) == (2, None)
    assert page.repaired == 0


def test_snake_case_type_decodes_camel_case_rows() -> None:
    body = b'{"engagements": [{"id": 8, "startDt": "2024-03-15", "clientId": 420}]}'
    (row,) = PageDecoder(EngagementSearchRow, Envelope(("engagements",))).decode(body).rows
    assert (str(row.start_dt), row.client_id) == ("2024-03-15", 420)


def test_date_field_decodes_day_of_timestamp() -> None:
    row = b'{"engagements": [{"id": 8, "start_dt": "2024-03-15T00:00:00Z"}]}'
    (page,) = PageDecoder(EngagementSearchRow, Envelope(("engagements",))).decode(row).rows
    assert str(page.start_dt) == "2024-03-15"


def test_decode_object_matches_keys_in_another_case() -> None:
    assert decode_object(b'{"id": 1, "invoice_number": "A"}', InvoiceDetail).invoice_number == "A"


def test_row_with_only_a_key_is_not_repaired() -> None:
    page = PageDecoder(Invoice, Envelope(("rows",))).decode(b'{"rows": [{"id": 1, "invoiceNumber": null}]}')
    assert page.rows == [Invoice(id=1)]
    assert page.repaired == 0


@pytest.mark.parametrize(
    "key", ["total_amount", "TotalAmount", "total-amount", "TOTAL_AMOUNT", "totalamount"]
)
@pytest.mark.parametrize("kind", [Invoice, deferred(Invoice)])
def test_key_case_is_matched_per_key(key: str, kind: Any) -> None:
    """All other keys are as declared, so that only one key of a page differs."""
    row = f'{{"id":1,"invoiceNumber":"A","{key}":5.5,"clientId":3}}'
    body = f'{{"rows":[{row},{{"id":2,"totalAmount":7.5}},{row}]}}'.encode()

    page = PageDecoder(kind, Envelope(("rows",))).decode(body)

    assert [each.total_amount for each in page.rows] == [Decimal("5.5"), Decimal("7.5"), Decimal("5.5")]
    assert page.unknown == {}


def test_key_case_of_two_keys_for_one_field_is_not_matched() -> None:
    rows = b'{"id":1,"total_amount":5.5,"TotalAmount":6.5},{"id":2,"totalAmount":1.5,"total_amount":9}'
    body = b'{"rows":[%s]}' % rows

    page = PageDecoder(Invoice, Envelope(("rows",))).decode(body)

    assert [each.total_amount for each in page.rows] == [None, Decimal("1.5")]
    assert page.unknown == {"total_amount": 0, "TotalAmount": 0}


class Twice(msgspec.Struct):
    id: int
    total: int | None = None
    Total: int | None = None


def test_key_case_of_two_fields_that_differ_in_case_is_exact() -> None:
    body = b'{"rows":[{"id":1,"Total":1},{"id":2,"total":2},{"id":3,"TOTAL":3}]}'

    page = PageDecoder(Twice, Envelope(("rows",))).decode(body)

    assert [(each.total, each.Total) for each in page.rows] == [(None, 1), (2, None), (None, None)]


class Plain(msgspec.Struct):
    id: int
    name: str | None = None


def test_key_case_of_own_type_is_matched_beside_unknown_keys() -> None:
    decoder = PageDecoder(Plain, Envelope(("rows",)))
    first = b'{"rows":[{"id":1,"name":"a","other":1},{"id":2,"name":"b","other":2}]}'
    second = b'{"rows":[{"id":3,"name":"c","other":1},{"id":4,"na_me":"d","other":2}]}'

    page = [[each.name for each in decoder.decode(body).rows] for body in (first, first, second)]

    assert page == [["a", "b"], ["a", "b"], ["c", "d"]]
