"""A page cut into blocks gives what it gives whole, or nothing that is not true."""

from __future__ import annotations

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

PLAIN = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))
WRAPPED = Envelope(("data", "deid_invoice"), ("data", "deid_invoice_aggregate", "aggregate", "count"))

# Texts that look like the place between two rows, and objects that begin as rows do.
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


def reader_of(kind: Any, envelope: Envelope) -> PageDecoder[Any]:
    """A reader that has met a page of this shape."""
    reader: PageDecoder[Any] = PageDecoder(kind, envelope)
    reader.decode(page_of([{"id": 1, "invoiceNumber": "1"}], envelope, None))
    return reader


def taken(reader: PageDecoder[Any], pieces: Sequence[bytes]) -> tuple[list[Any], int | None, bool] | None:
    """The rows that come in blocks, the count, and whether all blocks decoded."""
    found = reader.decode_blocks(pieces)
    if found is None:
        return None
    came: list[Any] = []
    try:
        while found.left:
            came += found.take()
    except DECODING_ERRORS:
        return came, found.count, False
    return came, found.count, True


def as_read(rows: list[Any]) -> list[Any]:
    """Rows, and for one with a value that is read later and does not fit, what is told of it then."""

    def read(row: Any) -> Any:
        try:
            return materialize(row)
        except DecodeError as fault:
            return str(fault)

    return [read(row) for row in rows]


kinds = st.sampled_from([Invoice, deferred(Invoice), dict, msgspec.Raw])
envelopes = st.sampled_from([PLAIN, WRAPPED])
indents = st.sampled_from([None, 0, 1])
places = st.lists(st.floats(0, 1), max_size=8)


def in_pieces(body: bytes, places: Sequence[float]) -> list[bytes]:
    """A body as it may come: broken in some places, told as parts of its length."""
    ends = [0, *sorted(round(place * len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(ends)]


@pytest.fixture(params=[1, 40, 250])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("block_bytes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(rows, kinds, envelopes, indents, places)
def test_rows_in_blocks_are_the_pages(
    rows: list[Any], kind: Any, envelope: Envelope, indent: int | None, places: list[float]
) -> None:
    body = page_of(rows, envelope, indent)
    reader = reader_of(kind, envelope)
    whole = reader.decode(body)
    came = taken(reader, in_pieces(body, places))
    if came is None:
        return
    found, count, is_whole = came
    assert found == whole.rows[: len(found)]
    assert count == len(rows)
    assert len(found) == len(rows) or not is_whole


@pytest.mark.usefixtures("block_bytes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=600, deadline=None)
@given(rows, kinds, envelopes, st.data())
def test_a_damaged_page_does_not_pass_in_blocks(
    rows: list[Any], kind: Any, envelope: Envelope, data: st.DataObject
) -> None:
    """If every block decodes, the page does, and to the same rows."""
    body = page_of(rows, envelope, data.draw(indents))
    at = data.draw(st.integers(0, len(body)))
    gone = data.draw(st.integers(0, 3))
    put = data.draw(
        st.sampled_from([b"", b"{", b"}", b"[", b"]", b'"', b",", b"\\", b"},{", b"\xff", b"]]", b"1"])
    )
    damaged = body[:at] + put + body[at + gone :]
    reader = reader_of(kind, envelope)
    came = taken(reader, in_pieces(damaged, data.draw(places)))
    if came is None or not came[2]:
        return
    found, count, _ = came
    whole = reader.decode(damaged)
    assert (as_read(found), count) == (as_read(whole.rows), whole.count)


@pytest.mark.parametrize("places", [[], [0.5], [0.3, 0.31, 0.9], [place / 40 for place in range(1, 40)]])
def test_a_page_is_cut_about_every_so_many_bytes(
    places: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    body = page_of([{"id": n, "invoiceNumber": "x" * 50} for n in range(200)], PLAIN, None)
    cuts = split_into_blocks(in_pieces(body, places), PLAIN.items)
    assert cuts is not None
    assert cuts.head == b'{"deid_invoice":['
    runs = [b"".join(block) for block in cuts.blocks]
    assert [run[:6] for run in runs] == [b'{"id":'] * len(runs)
    # A row's end that stands in two pieces is not seen.
    assert all(1000 < len(run) < 1300 for run in runs)
    assert cuts.head + b",".join([*runs, b"".join(cuts.end)]) == body


def test_pieces_too_small_to_show_where_rows_end_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_what_is_not_known_to_be_rows_is_not_cut(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert split_into_blocks([body], PLAIN.items) is None


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        (b"", DecodeError),
        (b"]}", None),
        (b'],"errors":[{"message":"no"}],"deid_invoice_aggregate":{"aggregate":{"count":3}}}', None),
        (b'],"deid_invoice_aggregate":{"aggregate":{"count":3}}', DecodeError),
    ],
)
def test_the_end_of_a_page_is_looked_at_before_its_rows(
    tail: bytes, told: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut, without its count or with an error in it, a page is left to be read whole."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    three = b",".join(b'{"id":%d,"invoiceNumber":"1"}' % n for n in range(3))
    reader = reader_of(Invoice, PLAIN)
    assert reader.decode_blocks([b'{"deid_invoice":[', three, tail]) is None
    good = reader.decode_blocks(
        [b'{"deid_invoice":[' + three, b'],"deid_invoice_aggregate":{"aggregate":{"count":3}}}']
    )
    assert good is not None
    assert good.left == 3
    if told is not None:
        with pytest.raises(told):
            reader.decode(b'{"deid_invoice":[' + three + tail)
