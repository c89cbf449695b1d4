"""Decode rows with values of any form."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.exact import exact_decoder
from aiwyn_async._decoding.pages import PageDecoder, RowError
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async.models.invoices import Invoice
from invoice_pages import decode, page_of


def row(fields: str) -> Invoice:
    """Decode one row with these fields."""
    (invoice,) = decode(page_of(f'{{"id":1,{fields}}}')).rows
    assert isinstance(invoice, Invoice)
    return invoice


def test_row_with_unknown_status_and_field_decodes() -> None:
    page = decode(page_of('{"id":1,"status":"ARCHIVED","paymentStatus":"?","madeUp":{"x":[1]}}'))
    assert (page.rows[0].status, page.rows[0].payment_status, page.bad) == ("ARCHIVED", "?", [])


def test_row_may_have_null_in_all_fields_but_the_key() -> None:
    nulls = ",".join(f'"{field.encode_name}":null' for field in msgspec.structs.fields(Invoice)[1:])
    assert decode(page_of(f'{{"id":1,{nulls}}}')).rows == [Invoice(id=1)]


@pytest.mark.parametrize(
    ("text", "key"), [("45678", 45678), ('"45678"', "45678"), ('"inv-7"', "inv-7"), ("7.0", 7), ("-3", -3)]
)
def test_key_is_a_number_or_text(text: str, key: object) -> None:
    assert decode(page_of(f'{{"id":{text}}}')).rows[0].id == key


def test_repaired_row_preserves_its_other_values() -> None:
    repaired = row('"clientId":7720,"reference":42,"issueDate":"2024-01-01","clientEmail":"5"')
    assert (repaired.client_id, repaired.reference, repaired.client_email) == (7720, "42", "5")
    assert repaired.issue_date == datetime(2024, 1, 1)  # noqa: DTZ001 (naive on the wire)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12345678901234567.89", "12345678901234567.89"),
        ('"12345678901234567.89"', "12345678901234567.89"),
        ("20.00", "20.00"),
        ('"20.00"', "20.00"),
        ('" 20.00 "', "20.00"),
        ("-0.01", "-0.01"),
        ("5", "5"),
        ("1e3", "1E+3"),
    ],
)
@pytest.mark.parametrize("neighbour", ["", ',"reference":1'])
def test_money_is_exact_as_a_number_or_text(text: str, amount: str, neighbour: str) -> None:
    assert str(row(f'"totalAmount":{text}{neighbour}').total_amount) == amount


@pytest.mark.parametrize("kind", [dict, dict[str, Any]])
def test_money_in_dict_row_is_exact(kind: Any) -> None:
    (decoded,) = decode(page_of('{"id":1,"totalAmount":12345678901234567.89}'), kind).rows
    assert decoded["totalAmount"] == Decimal("12345678901234567.89")


@pytest.mark.parametrize(
    "text", ["1e999999999", '"1e999999999"', "1e-999999999", '"NaN"', '"-Infinity"', '"1_000.5"']
)
@pytest.mark.parametrize("neighbour", ["", ',{"id":2}'])
def test_money_beyond_limits_is_a_bad_row(text: str, neighbour: str) -> None:
    page = decode(page_of(f'{{"id":1,"totalAmount":{text}}}{neighbour}'))
    assert [bad.path for bad in page.bad] == ["totalAmount"]
    assert len(page.rows) == bool(neighbour)


@pytest.mark.parametrize("text", ["1e999999999", '"1e999999999"'])
def test_integer_with_huge_exponent_is_rejected(text: str) -> None:
    class Own(msgspec.Struct):
        id: int

    with pytest.raises(DECODING_ERRORS):
        exact_decoder(Own)(f'{{"id":{text}}}'.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T10:11:12", datetime(2024, 2, 29, 10, 11, 12)),  # noqa: DTZ001
        ("2024-02-29T10:11:12Z", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29T10:11:12+00:00", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
        ("2024-02-29T10:11:12.345678", datetime(2024, 2, 29, 10, 11, 12, 345678)),  # noqa: DTZ001
        ("2024-02-29", datetime(2024, 2, 29)),  # noqa: DTZ001
        ("2024-02-29 10:11:12", datetime(2024, 2, 29, 10, 11, 12)),  # noqa: DTZ001
        ("2024-02-29 10:11:12+00", datetime(2024, 2, 29, 10, 11, 12, tzinfo=UTC)),
    ],
)
def test_datetime_is_as_on_the_wire(text: str, expected: datetime) -> None:
    due_date = row(f'"dueDate":"{text}"').due_date
    assert due_date == expected
    assert due_date is not None
    assert (due_date.tzinfo is None) == (expected.tzinfo is None)


@pytest.mark.parametrize(
    "text", ["20240101", '"20240101"', "1704067200000", '"soon"', '"2024-13-01"', "true"]
)
def test_ambiguous_date_is_a_bad_row(text: str) -> None:
    """Read as seconds since 1970, 20240101 would be a day in August 1970."""
    page = decode(page_of(f'{{"id":1,"dueDate":{text}}}'))
    assert page.rows == []
    assert page.bad[0].path == "dueDate"


class Own(msgspec.Struct, frozen=True):
    id: int
    paid: bool | None = None
    share: float | None = None


def test_own_struct_accepts_quoted_numbers_and_one_as_true() -> None:
    page = decode(page_of('{"id":"7","paid":1,"share":"0.5"}', '{"id":8.0,"paid":"false"}'), Own)
    assert page.rows == [Own(7, paid=True, share=0.5), Own(8, paid=False)]
    assert page.repaired == 2


@pytest.mark.parametrize("index", [0, 3, 999])
def test_bad_row_does_not_affect_other_rows(index: int) -> None:
    rows = [f'{{"id":{i},"totalAmount":{i}.10}}' for i in range(1000)]
    rows[index] = '{"id":5,"madeUp": 1, "totalAmount":{"x":"\u00e9"}}'
    page = decode(page_of(*rows))
    assert [each.id for each in page.rows] == [i for i in range(1000) if i != index]
    assert page.bad == [
        RowError(index, "expected a number, got an object", "totalAmount", rows[index].encode())
    ]
    assert page.repaired == 0


def test_page_may_have_only_bad_rows() -> None:
    page = decode(page_of("5", "null", "[]", '{"id":null}', '{"id":1,"lineItems":[{"amount":"x"}]}', "{}"))
    assert (page.rows, len(page.bad)) == ([], 6)
    assert page.bad[4].error == "lineItems[0].amount: expected a number, got 'x'"


def test_invalid_utf8_is_one_bad_row_with_its_bytes_in_raw_only() -> None:
    page = decode(page_of('{"id":1}', '{"id":2,"notes":"@"}').replace(b"@", b"\xff\xfe"))
    assert [each.id for each in page.rows] == [1]
    bad = page.bad[0]
    assert (bad.index, bad.raw) == (1, b'{"id":2,"notes":"\xff\xfe"}')
    assert "xff" not in bad.error


def test_repeated_key_has_its_last_value() -> None:
    assert decode(page_of('{"id":1,"id":2}')).rows[0].id == 2


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (r"2024-05-01T23:59:59\u002e9999999Z", "2024-05-01T23:59:59.999999+00:00"),
        (r"2024-05-01\u005423:59:59.9999999Z", "2024-05-01T23:59:59.999999+00:00"),
    ],
)
def test_decode_truncates_digits_of_escaped_timestamp(sent: str, expected: str) -> None:
    body = f'{{"deid_invoice":[{{"id":1,"dueDate":"{sent}"}}]}}'.encode()

    (row,) = PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).rows

    assert row.due_date == datetime.fromisoformat(expected)


@pytest.mark.parametrize("number", [f"0.{'1' * 1500}", f"{'1' * 1001}.5", "0e-2500", "1e-1001"])
def test_dict_rows_refuse_the_amounts_that_typed_rows_refuse(number: str) -> None:
    body = page_of(f'{{"id":1,"totalAmount":{number}}},{{"id":2,"totalAmount":5.5}}')
    envelope = Envelope(("deid_invoice",))
    errors: list[str] = []
    for row_type in (Invoice, dict[str, Any]):
        decoded = PageDecoder(row_type, envelope, Invoice).decode(body)
        assert len(decoded.rows) == 1
        errors += [bad.error.lower() for bad in decoded.bad]
    assert errors == [errors[0]] * 2
    assert "totalamount: expected a number of at most 1000 digits" in errors[0]
