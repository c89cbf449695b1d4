"""Decode pages of any envelope."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.models.invoices import Invoice
from invoice_pages import DECLARED, decode, page_of


@pytest.mark.parametrize(
    "body",
    [
        b'{"deid_invoice":[{"id":1}],"deid_invoice_aggregate":{"aggregate":{"count":7}}}',
        b'{"acme_invoice":[{"id":1}],"acme_invoice_aggregate":{"aggregate":{"count":7}}}',
        b'{"acme-1_invoice":[{"id":1}],"acme-1_invoice_aggregate":{"aggregate":{"count":7}}}',
        b'{"deid_invoice":[{"id":1}],"total":{"aggregate":{"count":7}}}',
        b'{"data":{"deid_invoice":[{"id":1}],"deid_invoice_aggregate":{"aggregate":{"count":7}}},"error":null,"meta":{}}',
        b'{"data":{"acme_invoice":[{"id":1}],"acme_invoice_aggregate":{"aggregate":{"count":"7"}}},"errors":[]}',
        b'{"data":[{"id":1}],"total":7}',
        b'{"notes":[{"id":9}],"acme_invoice":[{"id":1}],"total":7}',
        b'{"notes":[{"id":9}],"invoice":[{"id":1}],"total":7}',
        b'{"data":{"notes":[{"id":9}],"deid_invoice":[{"id":1}]},"total":7}',
        b'{"acme_invoice":[{"id":1}],"acme_aggregate":{"aggregate":{"count":7}}}',
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
        ('"\u0667"', None),
        (f'"{"7" * 31}"', None),
        ("true", None),
        ("1e999999999", None),
        ("{}", None),
        ("[]", None),
    ],
)
def test_count_is_a_number_or_none(count: str, expected: int | None) -> None:
    page = decode(page_of('{"id":1}', count=count))
    assert (len(page.rows), page.count) == (1, expected)


@pytest.mark.parametrize(
    "body", [b'{"deid_invoice":[{"id":1}]}', b'{"deid_invoice":[{"id":1}],"x":{"aggregate":{"count":5}}}']
)
def test_count_is_none_if_missing(body: bytes) -> None:
    assert decode(body).count is None


def test_decode_follows_an_envelope_that_changes_between_pages() -> None:
    decoder = PageDecoder(Invoice, DECLARED)
    bodies = (page_of('{"id":1}', count="3"), b'{"acme_invoice":[{"id":2}]}', page_of('{"id":3}', count="3"))
    assert [[each.id for each in decoder.decode(body).rows] for body in bodies] == [[1], [2], [3]]


def test_null_with_a_count_of_zero_is_a_page_without_rows() -> None:
    decoder = PageDecoder(Invoice, DECLARED)
    for _ in range(2):
        page = decoder.decode(b'{"deid_invoice":null,"deid_invoice_aggregate":{"aggregate":{"count":0}}}')
        assert (page.rows, page.count, page.bad) == ([], 0, [])
    assert [each.id for each in decoder.decode(page_of('{"id":1}', count="1")).rows] == [1]


@pytest.mark.parametrize("count", ["1", "null", '"many"', "false"])
def test_null_with_another_count_is_not_a_page(count: str) -> None:
    with pytest.raises(DecodeError, match="no single list of rows"):
        decode(
            f'{{"deid_invoice":null,"deid_invoice_aggregate":{{"aggregate":{{"count":{count}}}}}}}'.encode()
        )
    with pytest.raises(ApiError, match="no such column"):
        decode(
            b'{"deid_invoice":null,"deid_invoice_aggregate":{"aggregate":{"count":0}},'
            b'"error":"no such column"}'
        )


@pytest.mark.parametrize("errors", [b'[{"message":"no such column"}]', b'{"message":"no such column"}'])
@pytest.mark.parametrize("start", [b'{"errors":', b'{"data":null,"errors":', b'{"deid_invoice":[],"error":'])
def test_decode_raises_error_of_successful_response(start: bytes, errors: bytes) -> None:
    with pytest.raises(ApiError, match="no such column"):
        decode(start + errors + b"}")


FAILURES = [
    b'"statusCode":500',
    b'"status_code":"503"',
    b'"status":"error"',
    b'"status":"FAIL"',
    b'"Error":"timeout"',
    b'"meta":{"error":{"code":7}}',
    b'"meta":{"status":504}',
]
NO_FAILURES = [
    b'"statusCode":200',
    b'"status":404',
    b'"status":"ok"',
    b'"status":1001',
    b'"status":null',
    b'"Error":null',
    b'"errors":[]',
    b'"meta":{"error":null,"message":"no invoices"}',
    b'"message":"no invoices"',
    b'"took":500',
]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    "page",
    [
        b'{"deid_invoice":[],%b}',
        b'{"x":[],%b}',
        b'{"data":{"invoice":[],"total":0},%b}',
        b'{"data":{"invoice":[],%b}}',
    ],
)
def test_page_without_rows_may_say_that_it_failed(page: bytes, failure: bytes) -> None:
    assert isinstance(decode(page % failure).failure, ApiError)


def test_null_with_a_count_of_zero_may_say_that_it_failed() -> None:
    count = b'"deid_invoice_aggregate":{"aggregate":{"count":%d}}'
    page = b'{"deid_invoice":null,"status":"error",' + count + b"}"
    assert "no rows and status error" in str(decode(page % 0).failure)
    assert decode(page.replace(b"null", b"[]") % 30).failure is None  # its count proves that it did not


def test_page_of_bad_rows_did_not_fail() -> None:
    page = decode(b'{"deid_invoice":[{"id":[]}],"status":"error"}')
    assert page.bad
    assert page.failure is None


@pytest.mark.parametrize("extra", NO_FAILURES)
def test_page_without_rows_may_have_other_keys(extra: bytes) -> None:
    page = decode(b'{"deid_invoice":[],' + extra + b"}")
    assert (page.rows, page.failure) == ([], None)


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
