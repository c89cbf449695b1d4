"""Decode the single object of a response."""

from __future__ import annotations

import pytest

from aiwyn_async._decoding.objects import decode_object
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.models.invoices import InvoiceDetail


@pytest.mark.parametrize(
    "body",
    [b'{"id":1,"unknown_key":0}', b'{"data":{"id":1},"error":null,"meta":{}}', b'{"data":{"id":1}}'],
)
def test_decode_object_accepts_bare_object_and_data(body: bytes) -> None:
    assert decode_object(body, InvoiceDetail) == InvoiceDetail(id=1)


@pytest.mark.parametrize("body", [b'{"id":1}', b'{"id":1,"unknown_key":0}', b'{"id":1,"totalAmount":""}'])
def test_decode_object_ignores_whitespace_around_it(body: bytes) -> None:
    assert decode_object(b" \t\r\n" + body + b"\n", InvoiceDetail) == InvoiceDetail(id=1)
    with pytest.raises(DecodeError):
        decode_object(b"\x0b" + body, InvoiceDetail)


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


@pytest.mark.parametrize(
    "body", [b'{"data":{"id":1,"\xff":1}}', b'{"data":{"id":1,"lineItems":[{"\xff":1}]}}']
)
def test_decode_object_raises_its_own_error_for_a_key_that_is_not_utf8(body: bytes) -> None:
    with pytest.raises(DecodeError, match="UTF-8"):
        decode_object(body, InvoiceDetail)
