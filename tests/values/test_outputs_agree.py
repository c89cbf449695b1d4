"""All outputs have the same value for a row, or reject the same row.

Typed rows are compared with deferred rows, dict rows, JSONL lines, CSV cells and the Arrow tables that
Parquet, DuckDB, Arrow streams and syncs use. AIWYN_EXAMPLES sets the number of examples.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import csv
import decimal
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings

from aiwyn_async import DecodeError, Invoice, deferred
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.exact import exact_decoder, value_decoder
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder
from aiwyn_async._decoding.values import as_timestamp
from aiwyn_async._pagination.page import RawPage
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export._formats import format_for
from raw_pages import raw_page
from row_texts import numbers, pages, quoted_numbers

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "400"))

ENVELOPE = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))

FIELDS = msgspec.structs.fields(Invoice)

REJECTED = "rejected"


def body_of(rows: Sequence[str]) -> bytes:
    text = ",".join(rows)
    count = f'{{"aggregate":{{"count":{len(rows)}}}}}'
    document = f'{{"deid_invoice":[{text}],"deid_invoice_aggregate":{count}}}'
    return document.encode(errors="surrogateescape")


def canonical(value: Any) -> Any:  # noqa: PLR0911
    """Return a value in a form common to all outputs: ids and integers as text, timestamps in UTC."""
    match value:
        case bool() | None:
            return value
        case int():
            return str(value)
        case datetime():
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        case msgspec.Struct():
            return {
                field.encode_name: canonical(getattr(value, field.name))
                for field in msgspec.structs.fields(value)
            }
        case dict():
            return {key: canonical(item) for key, item in value.items()}
        case list() | tuple():
            return [canonical(item) for item in value]
        case _:
            return value


def results(page: DecodedRows[Any]) -> list[Any]:
    rejected = {bad.index for bad in page.bad}
    rows = iter(page.rows)
    return [REJECTED if index in rejected else next(rows) for index in range(len(rejected) + len(page.rows))]


def typed(body: bytes) -> list[Any]:
    return [
        row if row is REJECTED else canonical(row)
        for row in results(PageDecoder(Invoice, ENVELOPE).decode(body))
    ]


def typed_adapted(body: bytes) -> list[Any]:
    """Decode with a decoder that has adapted to other pages, and to this one."""
    decoder = PageDecoder(Invoice, ENVELOPE)
    decoder.decode(body_of(['{"id":1,"total_amount":5,"note":1}', '{"id":2,"lineItems":[{"x_1":1}]}']))
    decoder.decode(body)
    return [row if row is REJECTED else canonical(row) for row in results(decoder.decode(body))]


def deferred_rows(body: bytes) -> list[Any]:
    """Decode deferred rows and read all fields."""
    decoded: list[Any] = []
    for row in results(PageDecoder(deferred(Invoice), ENVELOPE).decode(body)):
        try:
            decoded.append(row if row is REJECTED else canonical(row))
        except DecodeError:
            decoded.append(REJECTED)
    return decoded


def dicts(body: bytes) -> list[Any]:
    return results(PageDecoder(dict[str, Any], ENVELOPE, Invoice).decode(body))


def raw_rows(body: bytes) -> tuple[list[msgspec.Raw], list[int]]:
    """Return the rows that are JSON, and their indexes."""
    all_rows = results(PageDecoder(msgspec.Raw, ENVELOPE).decode(body))
    indexes = [index for index, row in enumerate(all_rows) if row is not REJECTED]
    return [all_rows[index] for index in indexes], indexes


def insert_cells(body: bytes, rows: PageRows, indexes: list[int], cells: list[Any], length: int) -> list[Any]:
    rejected = {bad.index for bad in rows.bad_rows}
    good = iter(cells)
    rows_of_page: list[Any] = [REJECTED] * length
    for position, index in enumerate(indexes):
        rows_of_page[index] = REJECTED if position in rejected else next(good)
    assert next(good, None) is None, body
    return rows_of_page


def jsonl(body: bytes, length: int) -> list[Any]:
    rows, indexes = raw_rows(body)
    pages = PageRows([raw_page(rows)], "collect", "id")
    file = io.BytesIO()
    if rows:
        format_for(Path("x.jsonl"), Invoice, "x").write_part(file, pages)
    decoded: list[Any] = []
    for line in file.getvalue().split(b"\n")[:-1]:
        try:
            decoded.append(canonical(exact_decoder(Invoice)(line).row))
        except (ValueError, ArithmeticError, RecursionError):
            decoded.append(REJECTED)
    return insert_cells(body, pages, indexes, decoded, length)


def reject_other_bytes(rows: Sequence[Any], body: bytes) -> list[Any]:
    """Reject the rows that are not UTF-8: typed rows do not have their unknown fields."""
    texts, indexes = raw_rows(body)
    broken = {index for index, text in zip(indexes, texts, strict=True) if not is_utf8(bytes(text))}
    return [REJECTED if index in broken else row for index, row in enumerate(rows)]


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def csv_cells(body: bytes, length: int) -> list[Any]:
    rows, indexes = raw_rows(body)
    pages = PageRows([raw_page(rows)], "collect", "id")
    file = io.BytesIO()
    format_for(Path("x.csv"), Invoice, "x").write_part(file, pages)
    csv.field_size_limit(10**6)
    lines = csv.DictReader(
        io.StringIO(file.getvalue().decode(), newline=""), [field.encode_name for field in FIELDS]
    )
    cells = [{field.encode_name: _cell(field, line[field.encode_name]) for field in FIELDS} for line in lines]
    return insert_cells(body, pages, indexes, cells, length)


def _cell(field: Any, text: str) -> Any:
    if not text:
        return None
    name = field.name
    if name.endswith(("_date", "_at")):
        return canonical(as_timestamp(text))
    if name in {"line_items", "payments"}:
        return canonical(value_decoder(field.type)(text.encode()))
    if name in {"id", "client_id", "project_id"} and text == "-0":
        return "0"  # as sent, which is the same integer
    return Decimal(text) if name == "subtotal" or name.endswith("_amount") else text


def arrow(body: bytes, length: int, *, as_document: bool) -> list[Any]:
    rows, indexes = raw_rows(body)
    document = RawPage(body, ENVELOPE.items) if as_document and len(indexes) == length else None
    pages = PageRows([raw_page(rows, document)], "collect", "id")
    cells = canonical(RowSchema(Invoice).table(pages).to_pylist()) if rows else []
    return insert_cells(body, pages, indexes, cells, length)


def fits_money_columns(value: Any) -> bool:
    """Return True if every amount of a row fits into a money column."""
    match value:
        case Decimal():
            return value.copy_abs() < 10**29 and value == value.quantize(Decimal("1e-9")) if value else True
        case dict():
            return all(map(fits_money_columns, value.values()))
        case list():
            return all(map(fits_money_columns, value))
        case _:
            return True


def blank_as_null(value: Any) -> Any:
    """Replace empty text by None: CSV does not distinguish them."""
    return (
        {name: None if item == "" else item for name, item in value.items()} if type(value) is dict else value
    )


def amounts(row: Any) -> dict[str, Any]:
    return {name: row.get(name) for name in ("subtotal", "totalAmount")}


def check(rows: Sequence[str]) -> None:
    with decimal.localcontext(decimal.Context(prec=1200)):
        _check(body_of(rows))


def _check(body: bytes) -> None:
    expected = typed(body)
    length = len(expected)
    assert typed_adapted(body) == expected
    assert deferred_rows(body) == expected
    assert jsonl(body, length) == expected
    assert list(map(blank_as_null, csv_cells(body, length))) == list(map(blank_as_null, expected))
    columns = [row if row is not REJECTED and fits_money_columns(row) else REJECTED for row in expected]
    assert arrow(body, length, as_document=False) == columns
    assert arrow(body, length, as_document=True) == columns
    for row, as_dict in zip(reject_other_bytes(expected, body), dicts(body), strict=True):
        if row is REJECTED:
            continue
        assert as_dict is not REJECTED
        if set(as_dict) >= {"subtotal", "totalAmount"}:
            assert amounts(as_dict) == amounts(row)
            assert all(type(value) in {Decimal, type(None)} for value in amounts(as_dict).values())


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(pages)
@example(['{"id":1,"invoiceNumber":"A","total_amount":5.5,"clientId":3}'])
@example(['{"id":1}', r'{"id":2,"notes":"a\ud83d"}', '{"id":3}'])
@example(['{"id":1}', '{"id":2,"notes":"a\tb"}', '{"id":3,"totalAmount":NaN}', '{"id":4}'])
@example(['{"id":1,"dueDate":"2024-05-01T23:59:59.9999999Z","issueDate":"2024-05-01"}'])
@example(['{"id":1,"dueDate":"9999-12-31T23:59:59-05:00"}', '{"id":2}'])
@example(['{"id":1,"totalAmount":"1_000.5"}', '{"id":2,"totalAmount":1E+999999}', '{"id":3,"dueDate":""}'])
@example(['{"id":"00123","lineItems":[{"id":"1"}]}', '{"id":456,"lineItems":[{"id":2}]}'])
@example(['{"id":2,"id":1,"totalAmount":1,"totalAmount":2,"TotalAmount":3,"lineItems":[{"id":1,"id":2}]}'])
@example([f'{{"id":1,"x":{"[" * 3000}1{"]" * 3000}}}', '{"id":2}'])
def test_outputs_agree_on_value_or_rejection(rows: list[str]) -> None:
    check(rows)


@settings(deadline=None, max_examples=EXAMPLES)
@given(numbers | quoted_numbers)
@example('"5e-48"')
@example('"+0.5E-0049"')
@example('"5.e-48"')
@example(r'"5\u0065-48"')
@example(r'"5.E\u002D48"')
def test_outputs_agree_on_a_row_with_one_amount(amount: str) -> None:
    check([f'{{"id":1,"subtotal":{amount}}}'])
