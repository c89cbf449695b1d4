"""From the bytes of a page to its rows and its count, whatever a tenant's server makes of them."""

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


def read(body: bytes, kind: Any = Invoice, declared: Envelope | None = DECLARED) -> DecodedRows[Any]:
    return PageDecoder(kind, declared).decode(body)


def page_of(*rows: str, count: str = "1") -> bytes:
    text = (
        f'{{"deid_invoice":[{",".join(rows)}],"deid_invoice_aggregate":{{"aggregate":{{"count":{count}}}}}}}'
    )
    return text.encode()


def row(fields: str) -> Invoice:
    """One row whose fields come as given, and that must not need the good will of its neighbours."""
    (found,) = read(page_of(f'{{"id":1,{fields}}}')).rows
    assert isinstance(found, Invoice)
    return found


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
def test_the_rows_and_the_count_are_found_in_every_shape(body: bytes) -> None:
    found = read(body)
    assert [(each.id, found.count) for each in found.rows] == [(1, 7)]


@pytest.mark.parametrize(
    ("count", "told"),
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
def test_a_count_is_a_number_or_unknown(count: str, told: int | None) -> None:
    found = read(page_of('{"id":1}', count=count))
    assert (len(found.rows), found.count) == (1, told)


@pytest.mark.parametrize("body", [b'{"deid_invoice":[{"id":1}]}', b'{"deid_invoice":[{"id":1}],"x":5}'])
def test_without_a_count_there_is_none(body: bytes) -> None:
    assert read(body).count is None


def test_a_reader_follows_a_shape_that_changes_from_page_to_page() -> None:
    reader = PageDecoder(Invoice, DECLARED)
    bodies = (page_of('{"id":1}', count="3"), b'{"acme_invoice":[{"id":2}]}', page_of('{"id":3}', count="3"))
    assert [[each.id for each in reader.decode(body).rows] for body in bodies] == [[1], [2], [3]]


@pytest.mark.parametrize("errors", [b'[{"message":"no such column"}]', b'{"message":"no such column"}'])
@pytest.mark.parametrize("start", [b'{"errors":', b'{"data":null,"errors":', b'{"deid_invoice":[],"error":'])
def test_an_error_in_a_success_is_an_error(start: bytes, errors: bytes) -> None:
    with pytest.raises(ApiError, match="no such column"):
        read(start + errors + b"}")


def test_an_error_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises((ApiError, DecodeError)):
        read(b'{"errors":[{"message":"\xff"}]}')


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
def test_what_has_no_rows_tells_the_keys_it_has(body: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text) as caught:
        read(body)
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
        # The misfit stands before the place where the body breaks off.
        page_of('{"id":null}', '{"id":2}')[:40],
    ],
)
@pytest.mark.parametrize("kind", [Invoice, dict, msgspec.Raw])
def test_what_is_no_json_is_told_as_such(body: bytes, kind: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        read(body, kind)
    assert caught.value.malformed


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_give_rows_or_a_typed_error(body: bytes) -> None:
    for text in (body, b'{"deid_invoice":[' + body + b"]}", page_of('{"id":1}', '{"id":' * 2)[: len(body)]):
        for kind in (Invoice, dict):
            try:
                read(text, kind)
            except (DecodeError, ApiError):
                continue


# Rows


def test_unknown_statuses_and_fields_are_no_misfit() -> None:
    found = read(page_of('{"id":1,"status":"ARCHIVED","paymentStatus":"?","madeUp":{"x":[1]}}'))
    assert (found.rows[0].status, found.rows[0].payment_status, found.bad) == ("ARCHIVED", "?", [])


def test_everything_but_the_key_may_be_null() -> None:
    nulls = ",".join(f'"{field.encode_name}":null' for field in msgspec.structs.fields(Invoice)[1:])
    assert read(page_of(f'{{"id":1,{nulls}}}')).rows == [Invoice(id=1)]


@pytest.mark.parametrize(
    ("text", "key"), [("45678", 45678), ('"45678"', "45678"), ('"inv-7"', "inv-7"), ("7.0", 7), ("-3", -3)]
)
def test_a_key_is_a_number_or_a_string(text: str, key: object) -> None:
    assert read(page_of(f'{{"id":{text}}}')).rows[0].id == key


def test_a_row_that_is_mended_keeps_its_other_values() -> None:
    mended = row('"clientId":7720,"reference":42,"issueDate":"2024-01-01","clientEmail":"5"')
    assert (mended.client_id, mended.reference, mended.client_email) == (7720, "42", "5")
    assert mended.issue_date == datetime(2024, 1, 1)  # noqa: DTZ001 (naive as it came)


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
def test_money_is_exact_as_a_number_or_a_string(text: str, amount: str, neighbour: str) -> None:
    assert str(row(f'"totalAmount":{text}{neighbour}').total_amount) == amount


@pytest.mark.parametrize("kind", [dict, dict[str, Any]])
@pytest.mark.parametrize("other", ["", ',{"id":2'])
def test_money_in_a_dict_is_exact_too(kind: Any, other: str) -> None:
    del other
    (found,) = read(page_of('{"id":1,"totalAmount":12345678901234567.89}'), kind).rows
    assert found["totalAmount"] == Decimal("12345678901234567.89")


@pytest.mark.parametrize(
    "text", ["1e999999999", '"1e999999999"', "1e-999999999", '"NaN"', '"-Infinity"', '"1_000.5"']
)
@pytest.mark.parametrize("neighbour", ["", ',{"id":2}'])
def test_money_that_is_not_a_finite_number_of_sane_length_refuses_its_row(text: str, neighbour: str) -> None:
    found = read(page_of(f'{{"id":1,"totalAmount":{text}}}{neighbour}'))
    assert [refusal.path for refusal in found.bad] == ["totalAmount"]
    assert len(found.rows) == bool(neighbour)


@pytest.mark.parametrize("text", ["1e999999999", '"1e999999999"'])
def test_a_huge_exponent_never_becomes_a_number_of_a_billion_digits(text: str) -> None:
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
def test_a_datetime_is_as_on_the_wire(text: str, expected: datetime) -> None:
    found = row(f'"dueDate":"{text}"').due_date
    assert found == expected
    assert found is not None
    assert (found.tzinfo is None) == (expected.tzinfo is None)


@pytest.mark.parametrize(
    "text", ["20240101", '"20240101"', "1704067200000", '"soon"', '"2024-13-01"', "true"]
)
def test_what_may_mean_two_dates_is_no_date(text: str) -> None:
    """Read as seconds since 1970, 20240101 would be a day in August 1970."""
    found = read(page_of(f'{{"id":1,"dueDate":{text}}}'))
    assert found.rows == []
    assert found.bad[0].path == "dueDate"


class Own(msgspec.Struct, frozen=True):
    id: int
    paid: bool | None = None
    share: float | None = None


def test_an_own_struct_takes_numbers_in_quotes_and_yes_as_one() -> None:
    found = read(page_of('{"id":"7","paid":1,"share":"0.5"}', '{"id":8.0,"paid":"false"}'), Own)
    assert found.rows == [Own(7, paid=True, share=0.5), Own(8, paid=False)]
    assert found.repaired == 2


@pytest.mark.parametrize("index", [0, 3, 999])
def test_one_bad_row_costs_no_other(index: int) -> None:
    rows = [f'{{"id":{i},"totalAmount":{i}.10}}' for i in range(1000)]
    rows[index] = '{"id":5,"madeUp": 1, "totalAmount":{"x":"\u00e9"}}'
    found = read(page_of(*rows))
    assert [each.id for each in found.rows] == [i for i in range(1000) if i != index]
    assert found.bad == [
        RowError(index, "expected a number, got an object", "totalAmount", rows[index].encode())
    ]
    assert found.repaired == 0


def test_all_rows_may_be_bad() -> None:
    found = read(page_of("5", "null", "[]", '{"id":null}', '{"id":1,"lineItems":[{"amount":"x"}]}', "{}"))
    assert (found.rows, len(found.bad)) == ([], 6)
    assert found.bad[4].error == "lineItems[0].amount: expected a number, got 'x'"


def test_invalid_utf8_is_one_bad_row_and_its_bytes_are_kept_but_not_quoted() -> None:
    found = read(page_of('{"id":1}', '{"id":2,"notes":"@"}').replace(b"@", b"\xff\xfe"))
    assert [each.id for each in found.rows] == [1]
    refusal = found.bad[0]
    assert (refusal.index, refusal.raw) == (1, b'{"id":2,"notes":"\xff\xfe"}')
    assert "xff" not in refusal.error


def test_a_key_given_twice_counts_as_its_last() -> None:
    assert read(page_of('{"id":1,"id":2}')).rows[0].id == 2


@pytest.mark.parametrize(
    "body",
    [b'{"id":1,"unknown_key":0}', b'{"data":{"id":1},"error":null,"meta":{}}', b'{"data":{"id":1}}'],
)
def test_an_object_is_bare_or_inside_data(body: bytes) -> None:
    assert decode_object(body, InvoiceDetail) == InvoiceDetail(id=1)


def test_an_object_that_does_not_fit_tells_where() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_object(b'{"id":1,"totalAmount":[]}', InvoiceDetail)
    assert caught.value.location == "$.totalAmount"


@pytest.mark.parametrize("start", [b'{"data":null', b'{"id":1', b'{"id":1,"data":null', b'{"data":{"id":1}'])
@pytest.mark.parametrize("told", [b'"errors":[{"message":"gone"}]', b'"error":"gone"'])
def test_an_object_beside_an_error_is_none(start: bytes, told: bytes) -> None:
    with pytest.raises(ApiError, match="gone"):
        decode_object(start + b"," + told + b"}", InvoiceDetail)


def test_an_error_that_is_told_by_a_text_is_none() -> None:
    found = decode_object(b'{"id":1,"notes":"\\"error\\":1, \\"errors\\":1"}', InvoiceDetail)
    assert found.notes == '"error":1, "errors":1'


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
def test_any_invoices_split_into_any_pages_come_back_as_they_were(rows: list[Invoice], size: int) -> None:
    reader = PageDecoder(Invoice, None)
    pages = [rows[first : first + size] for first in range(0, len(rows), size)]
    bodies = [encode_json({"items": page, "total": len(rows)}) for page in pages]
    assert [each for body in bodies for each in reader.decode(body).rows] == rows
    assert [msgspec.json.decode(raw, type=Invoice) for b in bodies for raw in reader.raw_items(b)] == rows


def test_reader_finds_torn_rows_in_an_envelope_that_is_not_declared() -> None:
    reader = PageDecoder(Invoice, Envelope(("deid_invoice",)))
    for body in (
        b'{"data":[{"id":1},{"id":2,"notes":"a\tb"},{"id":3}],"total":3}',
        b'{"data":{"deid_invoice":[{"id":1},{"id":2,"notes":"a\tb"},{"id":3}]}}',
    ):
        found = reader.decode(body)

        assert [row.id for row in found.rows] == [1, 3]
        assert [refusal.index for refusal in found.bad] == [1]
        assert len(reader.raw_items(body)) == 3


def test_reader_ignores_half_surrogate_pairs_beside_the_rows() -> None:
    body = rb'{"meta":{"a":"\ud83d"},"deid_invoice":[{"id":1}]}'

    assert [row.id for row in PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).rows] == [1]


@pytest.mark.parametrize("total", [b'"\xe9"', b"9" * 5000])
def test_reader_takes_an_unreadable_count_for_none(total: bytes) -> None:
    body = b'{"total":' + total + b',"deid_invoice":[{"id":1}]}'

    assert PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).count is None


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"2024-05-01T23:59:59\u002e9999999Z", "2024-05-01T23:59:59.999999+00:00"),
        (r"2024-05-01\u005423:59:59.9999999Z", "2024-05-01T23:59:59.999999+00:00"),
    ],
)
def test_reader_cuts_digits_of_a_timestamp_that_is_written_with_escapes(sent: str, meant: str) -> None:
    body = f'{{"deid_invoice":[{{"id":1,"dueDate":"{sent}"}}]}}'.encode()

    (row,) = PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body).rows

    assert row.due_date == datetime.fromisoformat(meant)
