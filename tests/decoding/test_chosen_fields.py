"""Decode the keys and the chosen fields of a page at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiwyn_async._decoding.chosen_fields import ChosenRows, choose_fields, key_and_fields
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async.models.invoices import Invoice
from invoice_pages import DECLARED, page_of

NAMES = ("totalAmount", "id", "lineItems")
FEW, MANY = 3, 2_000  # a page of many rows is decoded in blocks


def decoder() -> PageDecoder[Any]:
    chosen: Any = choose_fields(Invoice, NAMES)
    return PageDecoder(key_and_fields(chosen, "id"), DECLARED)


def blocks_of(body: bytes) -> tuple[list[Any], list[bytes]]:
    rows: object = decoder().decode(body).rows
    assert isinstance(rows, ChosenRows)
    return list(rows), rows.blocks


def row(number: int, more: str = "") -> str:
    return (
        f'{{"id":{number},"notes":"{"x" * 80}","totalAmount":{number}.50,"lineItems":[{{"odd": 1.0}}]{more}}}'
    )


@pytest.mark.parametrize("length", [FEW, MANY])
def test_page_has_its_keys_and_the_json_of_the_chosen_fields(length: int) -> None:
    keys, blocks = blocks_of(page_of(*map(row, range(length))))
    assert keys == list(range(length))
    assert blocks[0].startswith(b'{"totalAmount":0.50,"id":0,"lineItems":[{"odd": 1.0}]},{')
    assert (len(blocks) > 1) == (length == MANY)
    chosen = json.loads(b"[%s]" % b",".join(blocks))
    assert [(each["id"], list(each)) for each in chosen] == [(key, list(NAMES)) for key in range(length)]


def test_key_is_retained_as_the_server_wrote_it() -> None:
    keys, blocks = blocks_of(page_of('{"id":-0}', '{"id":"t\\u00fc"}'))
    assert (keys, blocks) == ([0, "tü"], [b'{"id":-0},{"id":"t\\u00fc"}'])


@pytest.mark.parametrize("length", [FEW, MANY])
@pytest.mark.parametrize("odd", [row(1, ',"region":"n"'), '{"ID":1,"notes":"x"}'])
def test_page_with_another_key_has_its_keys_alone(length: int, odd: str) -> None:
    pages = decoder()
    rows = [*map(row, range(length)), odd]
    for _ in range(2):
        page = pages.decode(page_of(*rows))
        assert not isinstance(page.rows, ChosenRows)
        assert page.rows == [*range(length), 1]
        assert not page.bad


def test_row_without_a_valid_key_is_decoded_as_in_a_read_of_keys() -> None:
    page = decoder().decode(page_of(row(1), '{"notes":"x"}', '{"id":[]}', row(4)))
    assert page.rows == [1, None, 4]
    assert [bad.index for bad in page.bad] == [2]


def test_truncated_page_raises_as_any_other() -> None:
    body = page_of(*map(row, range(MANY)))
    whole = decoder()
    with pytest.raises(Exception, match="not valid JSON"):
        whole.decode(body[: len(body) // 2])
    assert isinstance(whole.decode(body).rows, ChosenRows)
