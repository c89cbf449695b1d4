"""A page decoded in blocks yields the same rows as a page decoded in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiwyn_async._decoding import blocks
from aiwyn_async._decoding.blocks import split_into_blocks
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.lazy import deferred
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._decoding.plain_types import materialize
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async.errors import DecodeError
from aiwyn_async.models.invoices import Invoice

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "75"))
PLAIN = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))
WRAPPED = Envelope(("data", "deid_invoice"), ("data", "deid_invoice_aggregate", "aggregate", "count"))

# Texts that look like the boundary between two rows, and objects that begin as rows do.
texts = st.text(max_size=6) | st.sampled_from(
    [
        '},{"id":1,"invoiceNumber":',
        '"},{"id":2,"invoiceNumber":"',
        "]}",
        '\\"},{',
        '[{"id":3,"invoiceNumber":',
    ]
)
ids = st.integers(-5, 10**6) | texts
inner = st.fixed_dictionaries({"id": ids, "invoiceNumber": texts})
rows = st.lists(
    st.fixed_dictionaries(
        {"id": ids, "invoiceNumber": texts},
        optional={
            "notes": texts,
            "totalAmount": st.decimals(-(10**9), 10**9, places=2),
            "lineItems": st.lists(inner, max_size=3),
            "unknown": st.lists(inner | st.lists(inner, max_size=2), max_size=3) | inner,
        },
    ),
    min_size=1,
    max_size=12,
)


def page_of(rows: list[Any], envelope: Envelope, indent: int | None) -> bytes:
    page: dict[str, Any] = {
        "deid_invoice": rows,
        "deid_invoice_aggregate": {"aggregate": {"count": len(rows)}},
    }
    body = msgspec.json.Encoder(decimal_format="number").encode(
        {"data": page, "error": None} if envelope is WRAPPED else page
    )
    return body if indent is None else msgspec.json.format(body, indent=indent)


def trained_decoder(kind: Any, envelope: Envelope) -> PageDecoder[Any]:
    """Return a decoder that has decoded a page with this envelope."""
    decoder: PageDecoder[Any] = PageDecoder(kind, envelope)
    decoder.decode(page_of([{"id": 1, "invoiceNumber": "1"}], envelope, None))
    return decoder


def decode_in_blocks(
    decoder: PageDecoder[Any], pieces: Sequence[bytes]
) -> tuple[list[Any], int | None, bool] | None:
    """Return the rows decoded in blocks, the count, and whether all blocks decode."""
    blocks = decoder.decode_blocks(pieces)
    if blocks is None:
        return None
    rows: list[Any] = []
    try:
        while blocks.remaining:
            rows += blocks.decode_next()
    except DECODING_ERRORS:
        return rows, blocks.count, False
    return rows, blocks.count, True


def materialized(rows: list[Any]) -> list[Any]:
    """Return materialized rows; for one with an invalid deferred value, the text of its error."""

    def read(row: Any) -> Any:
        try:
            return materialize(row)
        except DecodeError as error:
            return str(error)

    return [read(row) for row in rows]


kinds = st.sampled_from([Invoice, deferred(Invoice), dict, msgspec.Raw])
envelopes = st.sampled_from([PLAIN, WRAPPED])
indents = st.sampled_from([None, 0, 1])
positions = st.lists(st.floats(0, 1), max_size=8)


def split_at(body: bytes, positions: Sequence[float]) -> list[bytes]:
    """Split a body at some positions, as fractions of its length."""
    ends = [0, *sorted(round(position * len(body)) for position in positions), len(body)]
    return [body[start:end] for start, end in pairwise(ends)]


@pytest.fixture(params=[1, 40, 250])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("block_bytes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=EXAMPLES, deadline=None)
@given(rows, kinds, envelopes, indents, positions)
def test_blocks_have_the_rows_of_the_page(
    rows: list[Any], kind: Any, envelope: Envelope, indent: int | None, positions: list[float]
) -> None:
    body = page_of(rows, envelope, indent)
    decoder = trained_decoder(kind, envelope)
    page = decoder.decode(body)
    result = decode_in_blocks(decoder, split_at(body, positions))
    if result is None:
        return
    decoded, count, is_complete = result
    assert decoded == page.rows[: len(decoded)]
    assert count == len(rows)
    assert len(decoded) == len(rows) or not is_complete


@pytest.mark.usefixtures("block_bytes")
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2 * EXAMPLES, deadline=None
)
@given(rows, kinds, envelopes, st.data())
def test_blocks_of_damaged_page_do_not_decode_differently(
    rows: list[Any], kind: Any, envelope: Envelope, data: st.DataObject
) -> None:
    """If every block decodes, the page does, and to the same rows."""
    body = page_of(rows, envelope, data.draw(indents))
    start = data.draw(st.integers(0, len(body)))
    removed = data.draw(st.integers(0, 3))
    inserted = data.draw(
        st.sampled_from([b"", b"{", b"}", b"[", b"]", b'"', b",", b"\\", b"},{", b"\xff", b"]]", b"1"])
    )
    damaged = body[:start] + inserted + body[start + removed :]
    decoder = trained_decoder(kind, envelope)
    result = decode_in_blocks(decoder, split_at(damaged, data.draw(positions)))
    if result is None or not result[2]:
        return
    decoded, count, _ = result
    page = decoder.decode(damaged)
    assert (materialized(decoded), count) == (materialized(page.rows), page.count)


@pytest.mark.parametrize(
    "positions", [[], [0.5], [0.3, 0.31, 0.9], [position / 40 for position in range(1, 40)]]
)
def test_split_into_blocks_splits_at_block_size(
    positions: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    body = page_of([{"id": n, "invoiceNumber": "x" * 50} for n in range(200)], PLAIN, None)
    split = split_into_blocks(split_at(body, positions), PLAIN.items)
    assert split is not None
    assert split.head == b'{"deid_invoice":['
    runs = [b"".join(block) for block in split.blocks]
    assert [run[:6] for run in runs] == [b'{"id":'] * len(runs)
    # A row boundary split between two pieces is not detected.
    assert all(1000 < len(run) < 1300 for run in runs)
    assert split.head + b",".join([*runs, b"".join(split.end)]) == body


def test_split_into_blocks_needs_pieces_with_row_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    body = page_of([{"id": n, "invoiceNumber": "1"} for n in range(9)], PLAIN, None)
    for size in (1, 5, 19):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        assert split_into_blocks(pieces, PLAIN.items) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"deid_invoice":null}',
        b'{"deid_invoice":[]}',
        b'{"deid_invoice":[{}]}',
        b'{"deid_invoice":[{"id":1}]}',
        b'{"deid_invoice":[{"id":[1],"invoiceNumber":"1"},{"id":[2],"invoiceNumber":"1"}]}',
        b'{"errors":[],"deid_invoice":[{"id":1,"invoiceNumber":"1"},{"id":2,"invoiceNumber":"1"}]}',
        b'{"deid_invoice":[{"id":1,"invoiceNumber":"1"}]}',
    ],
)
def test_split_into_blocks_needs_leading_rows(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert split_into_blocks([body], PLAIN.items) is None


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b"", DecodeError),
        (b"]}", None),
        (b'],"errors":[{"message":"no"}],"deid_invoice_aggregate":{"aggregate":{"count":3}}}', None),
        (b'],"deid_invoice_aggregate":{"aggregate":{"count":3}}', DecodeError),
    ],
)
def test_decode_blocks_checks_end_of_page_first(
    tail: bytes, error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is truncated, has no count or has an error is decoded in one call."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    three = b",".join(b'{"id":%d,"invoiceNumber":"1"}' % n for n in range(3))
    decoder = trained_decoder(Invoice, PLAIN)
    assert decoder.decode_blocks([b'{"deid_invoice":[', three, tail]) is None
    good = decoder.decode_blocks(
        [b'{"deid_invoice":[' + three, b'],"deid_invoice_aggregate":{"aggregate":{"count":3}}}']
    )
    assert good is not None
    assert good.remaining == 3
    if error is not None:
        with pytest.raises(error):
            decoder.decode(b'{"deid_invoice":[' + three + tail)
