"""Rows in another spelling than declared arrive whole."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aiwyn_async.models.engagements import EngagementSearchRow
from aiwyn_async.models.envelopes import Envelope, EnvelopeReader, decode_object
from aiwyn_async.models.invoices import Invoice, InvoiceDetail

SNAKE = (
    b'{"rows": [{"id": 1, "total_amount": 12.50, "line_items": [{"unit_price": "3"}]},'
    b' {"id": 2, "total_amount": null}]}'
)


def test_snake_case_rows_of_a_camel_case_type_arrive_whole_nested_ones_too() -> None:
    found = EnvelopeReader(Invoice, Envelope(("rows",))).read(SNAKE)
    first, second = found.rows
    assert first.total_amount == Decimal("12.50")
    assert first.line_items is not None
    assert first.line_items[0].unit_price == Decimal(3)
    assert (second.id, second.total_amount) == (2, None)
    assert found.repaired == 2


def test_camel_case_rows_of_a_snake_case_type_arrive_whole() -> None:
    body = b'{"engagements": [{"id": 8, "startDt": "2024-03-15", "clientId": 420}]}'
    (row,) = EnvelopeReader(EngagementSearchRow, Envelope(("engagements",))).read(body).rows
    assert (str(row.start_dt), row.client_id) == ("2024-03-15", 420)


def test_a_day_given_as_a_time_is_its_day() -> None:
    row = b'{"engagements": [{"id": 8, "start_dt": "2024-03-15T00:00:00Z"}]}'
    (found,) = EnvelopeReader(EngagementSearchRow, Envelope(("engagements",))).read(row).rows
    assert str(found.start_dt) == "2024-03-15"


def test_one_object_in_another_spelling_arrives_whole() -> None:
    assert decode_object(b'{"id": 1, "invoice_number": "A"}', InvoiceDetail).invoice_number == "A"


def test_rows_that_are_empty_but_for_their_key_are_left_alone() -> None:
    found = EnvelopeReader(Invoice, Envelope(("rows",))).read(b'{"rows": [{"id": 1, "invoiceNumber": null}]}')
    assert found.rows == [Invoice(id=1)]
    assert found.repaired == 0


def test_a_type_of_single_words_is_never_looked_at_twice() -> None:
    class Plain(msgspec.Struct):
        id: int
        name: str | None = None

    found = EnvelopeReader(Plain, Envelope(("rows",))).read(b'{"rows": [{"id": 1, "na_me": "x"}]}')
    assert found.rows == [Plain(1)]
