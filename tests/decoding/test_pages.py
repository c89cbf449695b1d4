"""Decode pages and objects of any envelope, with values of any form."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.exact import exact_decoder
from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder, RowError
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.models.invoices import Invoice, InvoiceDetail

DECLARED = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))


def decode(body: bytes, kind: Any = Invoice, declared: Envelope | None = DECLARED) -> DecodedRows[Any]:
    return PageDecoder(kind, declared).decode(body)


def page_of(*rows: str, count: str = "1") -> bytes:
    text = (
        f'{{"deid_invoice":[{",".join(rows)}],"deid_invoice_aggregate":{{"aggregate":{{"count":{count}}}}}}}'
    )
    return text.encode()


def row(fields: str) -> Invoice:
    """Decode one row with these fields."""
    (invoice,) = decode(page_of(f'{{"id":1,{fields}}}')).rows
    assert isinstance(invoice, Invoice)
    return invoice


# Shapes


@pytest.mark.parametrize(
    "body",
    [
        b'{"deid_invoice":[{"id":1}],"deid_invoice_aggregate":{"aggregate":{"count":7}}}',
        b'{"acme_invoice":[{"id":1}],"acme_invoice_aggregate":{"aggregate":{"count":7}}}',
        b'{"deid_invoice":[{"id":1}],"total":{"aggregate":{"count":7}}}',
        b'{"data":{"deid_invoice":[{"id":1}],"deid_invoice_aggregate":{"aggregate":{"count":7}}},"error":null,"meta":{}}',
        b'{"data":{"acme_invoice":[{"id":1}],"acme_invoice_aggregate":{"aggregate":{"count":"7"}}},"errors":[]}',
        b'{"data":[{"id":1}],"total":7}',
        b'{"invoice":[{"id":1}],"totalCount":7.0,"warnings":[]}',
        b'{"deid_invoice_aggregate":{"aggregate":{"count":7}},"other":{"x":[1]},"deid_invoice":[{"id":1}]}',
    ],
)
def test_decode_finds_rows_and_count_in_any_envelope(body: bytes) -> None:
    page = decode(body)
    assert [(each.id, page.count) for each in page.rows] == [(1, 7)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ("null", None),
        ('"12"', 12),
        ("12.0", 12),
        ("-1", None),
        ('"many"', None),
        ("true", None),
        ("1e999999999", None),
        ("{}", None),
        ("[]", None),
    ],
)
def test_count_is_a_number_or_none(count: str, expected: int | None) -> None:
    page = decode(page_of('{"id":1}', count=count))
    assert (len(page.rows), page.count) == (1, expected)


@pytest.mark.parametrize("body", [b'{"deid_invoice":[{"id":1}]}', b'{"deid_invoice":[{"id":1}],"x":5}'])
def test_count_is_none_if_missing(body: bytes) -> None:
    assert decode(body).count is None


def test_decode_follows_an_envelope_that_changes_between_pages() -> None:
    decoder = PageDecoder(Invoice, DECLARED)
    bodies = (page_of('{"id":1}', count="3"), b'{"acme_invoice":[{"id":2}]}', page_of('{"id":3}', count="3"))
    assert [[each.id for each in decoder.decode(body).rows] for body in bodies] == [[1], [2], [3]]


@pytest.mark.parametrize("errors", [b'[{"message":"no such column"}]', b'{"message":"no such column"}'])
@pytest.mark.parametrize("start", [b'{"errors":', b'{"data":null,"errors":', b'{"deid_invoice":[],"error":'])
def test_decode_raises_error_of_successful_response(start: bytes, errors: bytes) -> None:
    with pytest.raises(ApiError, match="no such column"):
        decode(start + errors + b"}")


def test_decode_raises_for_undecodable_error() -> None:
    with pytest.raises((ApiError, DecodeError)):
        decode(b'{"errors":[{"message":"\xff"}]}')


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"null", "expected a JSON object"),
        (b"[]", "expected a JSON object"),
        (b'"x"', "expected a JSON object"),
        (b"7", "expected a JSON object"),
        (b"{}", "its keys: none"),
        (b'{"rows":{},"total":3}', "its keys: rows, total"),
        (b'{"a":[],"b":[]}', "its keys: a, b"),
        (b'{"deid_invoice":null}', "its keys: deid_invoice"),
        (b'{"data":{"a":1},"meta":[]}', "its keys: a, data, meta"),
    ],
)
def test_decode_error_names_keys_of_response_without_rows(body: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text) as caught:
        decode(body)
    assert not caught.value.malformed


DEEP = b'{"id":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"deid_invoice":[{"id":1},{"i',
        b'{"deid_invoice":[{"id":1}]} trailing',
        b'\xef\xbb\xbf{"deid_invoice":[]}',
        b'{"other":' + b"[" * 100_000,
        # A bad row is before the position where the body is truncated.
        page_of('{"id":null}', '{"id":2}')[:40],
    ],
)
@pytest.mark.parametrize("kind", [Invoice, dict, msgspec.Raw])
def test_decode_error_of_invalid_json_is_malformed(body: bytes, kind: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body, kind)
    assert caught.value.malformed


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_decode_of_any_bytes_returns_rows_or_raises_typed_error(body: bytes) -> None:
    for text in (body, b'{"deid_invoice":[' + body + b"]}", page_of('{"id":1}', '{"id":' * 2)[: len(body)]):
        for kind in (Invoice, dict):
            try:
                decode(text, kind)
            except (DecodeError, ApiError):
                continue


# Rows


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
    "body",
    [b'{"id":1,"unknown_key":0}', b'{"data":{"id":1},"error":null,"meta":{}}', b'{"data":{"id":1}}'],
)
def test_decode_object_accepts_bare_object_and_data(body: bytes) -> None:
    assert decode_object(body, InvoiceDetail) == InvoiceDetail(id=1)


def test_decode_object_error_has_location() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_object(b'{"id":1,"totalAmount":[]}', InvoiceDetail)
    assert caught.value.location == "$.totalAmount"


@pytest.mark.parametrize("start", [b'{"data":null', b'{"id":1', b'{"id":1,"data":null', b'{"data":{"id":1}'])
@pytest.mark.parametrize("error", [b'"errors":[{"message":"gone"}]', b'"error":"gone"'])
def test_decode_object_raises_error_beside_object(start: bytes, error: bytes) -> None:
    with pytest.raises(ApiError, match="gone"):
        decode_object(start + b"," + error + b"}", InvoiceDetail)


def test_decode_object_ignores_errors_in_text() -> None:
    invoice = decode_object(b'{"id":1,"notes":"\\"error\\":1, \\"errors\\":1"}', InvoiceDetail)
    assert invoice.notes == '"error":1, "errors":1'


amounts = st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=4)
instants = st.none() | st.datetimes(timezones=st.none() | st.just(UTC))
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
invoices = st.builds(
    Invoice,
    id=st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    status=texts,
    client_name=texts,
    total_amount=amounts,
    due_date=instants,
    created_at=instants,
)


@given(st.lists(invoices, max_size=8), st.integers(1, 4))
def test_decode_round_trips_any_pages_of_invoices(rows: list[Invoice], size: int) -> None:
    decoder = PageDecoder(Invoice, None)
    pages = [rows[first : first + size] for first in range(0, len(rows), size)]
    bodies = [encode_json({"items": page, "total": len(rows)}) for page in pages]
    assert [each for body in bodies for each in decoder.decode(body).rows] == rows
    assert [msgspec.json.decode(raw, type=Invoice) for b in bodies for raw in decoder.raw_items(b)] == rows


def test_decode_splits_malformed_rows_in_undeclared_envelope() -> None:
    decoder = PageDecoder(Invoice, Envelope(("deid_invoice",)))
    for body in (
        b'{"data":[{"id":1},{"id":2,"notes":"a\tb"},{"id":3}],"total":3}',
        b'{"data":{"deid_invoice":[{"id":1},{"id":2,"notes":"a\tb"},{"id":3}]}}',
    ):
        page = decoder.decode(body)

        assert [row.id for row in page.rows] == [1, 3]
        assert [bad.index for bad in page.bad] == [1]
        assert len(decoder.raw_items(body)) == 3


def test_decode_ignores_lone_surrogates_beside_the_rows() -> None:
    body = rb'{"meta":{"a":"\ud83d"},"deid_invoice":[{"id":1}]}'

    assert [row.id for row in PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).rows] == [1]


@pytest.mark.parametrize("total", [b'"\xe9"', b"9" * 5000])
def test_count_is_none_if_undecodable(total: bytes) -> None:
    body = b'{"total":' + total + b',"deid_invoice":[{"id":1}]}'

    assert PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).count is None


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
