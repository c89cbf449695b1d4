# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

"""All outputs have the same value for a row, or reject the same row.

Typed rows are compared with deferred rows, dict rows, JSONL lines, CSV cells and the Arrow tables that
Parquet, DuckDB, Arrow streams and syncs use. AIWYN_EXAMPLES sets the number of examples.
"""

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
from hypothesis import strategies as st

from aiwyn_async import DecodeError, Invoice, deferred
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.exact import exact_decoder, value_decoder
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder
from aiwyn_async._decoding.values import as_timestamp
from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.page import RawPage
from aiwyn_async.arrow._rows import PageRows, RowsOfPage
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export._formats import format_for

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "400"))
ENVELOPE = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))
FIELDS = msgspec.structs.fields(Invoice)
REJECTED = "rejected"

# Rows as JSON text, since most of their variants have no Python value.

spellings = st.sampled_from(
    [
        lambda name: name,
        lambda name: name,
        lambda name: name,
        lambda name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name),
        lambda name: "".join(f"-{c.lower()}" if c.isupper() else c for c in name),
        str.upper,
        str.lower,
        lambda name: name[0].upper() + name[1:],
    ]
)
numbers = st.one_of(
    st.sampled_from(
        [
            "0",
            "-0",
            "0.0",
            "5",
            "12.50",
            "1e3",
            "1E-2",
            "1.5e+2",
            "1e-9",
            "1e-10",
            "0e30",
            "0e-30",
            "1e28",
            "1e29",
            "1e400",
            "1e999999",
            "1e-999999",
            "7.0",
            "1e0",
            "1e-48",
            "99999999999999999999999999999.999999999",
            "0.30000000000000004",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "123.1234567",
        ]
    ),
    st.integers(-(10**12), 10**12).map(str),
    st.decimals(-(10**9), 10**9, places=2).map("{:f}".format),
)
quoted_numbers = st.sampled_from(
    [
        r"5",
        r" 5 ",
        r"+5",
        r".5",
        r"5.",
        r"1e5",
        r"NaN",
        r"nan",
        r"Infinity",
        r"-inf",
        r"sNaN12",
        r"1_000.5",
        r"\u0665",
        r"1,5",
        r"0x10",
        r"",
        r"  ",
        r"5\n",
        r"\u0035",
        r"1e999999",
        r"00123",
        r"-0",
    ]
).map(lambda text: f'"{text}"')
timestamps = st.one_of(
    st.sampled_from(
        """2024-05-01|2024-05-01T10:11:12|2024-05-01T10:11:12Z|2024-05-01T10:11:12.5Z|20240501|20240501T101112Z
        |2024-05-01T23:59:59.9999999Z|2024-05-01T23:59:59.123456789|2024-05-01T23:59:59.1234565+02:00||soon
        |2024-05-01 10:11:12|2024-05-01t10:11:12z|2024-05-01T10|2024-05-01T10:11|2024-05-01T10:11:12+0530
        |2024-05-01T10:11:12+05|2024-05-01T10:11:12 +05:30|2024-05-01T10:11:12,5|0000-01-01|0001-01-01
        |0001-01-01T00:00:00+05:00|9999-12-31T23:59:59-05:00|9999-12-31T23:59:59.9999999|2024-02-30|0000-00-00
        |2024-05-01T24:00:00|2024-05-01T23:59:60Z|2024-W05-1|2024-05-01T10:11:12-00:00|2024-05-01x10:11:12
        |2024-05-01T10:11:12+23:59|2024-05-01T10:11:12+24:00|2024-05-01T10:11:12+05:30:15|2024-05-01T10:11:12.
        | 2024-05-01 |1900-01-01T00:00:00.000001Z""".replace("\n        ", "").split("|")
    ),
    st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
).map(lambda text: f'"{text}"')
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(
        lambda text: encode_json(text).decode()
    ),
    st.sampled_from(
        [
            r"a\ud83d",
            r"\udc00",
            r"\ud83d\ude00",
            r"\\ud83d",
            r"\x",
            r"\u12",
            r"a\u0000b",
            r"a\"},{\"b",
            r"=1+1",
            r"a,b",
            r"\r",
            r"a\r\nb",
            r"2024-05-01T10:11:12.1234567Z",
        ]
    ).map(lambda text: f'"{text}"'),
    st.sampled_from(['"a\tb"', "1.50", "7", "1e5"]),
)
ids = st.one_of(
    st.integers(1, 50).map(str),
    st.sampled_from(
        ['"00123"', '"123"', '"C-100"', '"7f0c489e-4123"', "7.0", '""', "1.5", "true", "9223372036854775808"]
    ),
)
mismatched = st.sampled_from(
    ["null", "true", "false", "[]", "{}", "NaN", "[1]", '{"a":1}', '"x"', "1", "Infinity", "[null]"]
)
kinds: dict[str, st.SearchStrategy[str]] = {
    "id": ids,
    "invoiceNumber": texts,
    "description": texts,
    "status": texts,
    "clientId": ids,
    "issueDate": timestamps,
    "dueDate": timestamps,
    "subtotal": numbers | quoted_numbers,
    "totalAmount": numbers | quoted_numbers,
    "notes": texts,
    "updatedAt": timestamps,
}
line_kinds = {"id": ids, "description": texts, "amount": numbers | quoted_numbers, "taxRate": numbers}
payment_kinds = {"id": ids, "amount": numbers, "paymentDate": timestamps}


@st.composite
def objects(draw: st.DrawFn, of: dict[str, st.SearchStrategy[str]], *, is_row: bool) -> str:
    names = draw(st.lists(st.sampled_from(sorted(of)), unique=draw(st.integers(0, 9)) > 0, max_size=5))
    if is_row and draw(st.integers(0, 15)):
        names = ["id", *(name for name in names if name != "id")]
    pairs = [(draw(spellings)(name), draw(st.integers(0, 9)), name) for name in names]
    members = [(key, draw(mismatched) if mismatch == 0 else draw(of[name])) for key, mismatch, name in pairs]
    if is_row and not draw(st.integers(0, 2)):
        members.append(
            ("lineItems", f"[{','.join(draw(st.lists(objects(line_kinds, is_row=False), max_size=2)))}]")
        )
    if is_row and not draw(st.integers(0, 3)):
        members.append(
            ("payments", f"[{','.join(draw(st.lists(objects(payment_kinds, is_row=False), max_size=2)))}]")
        )
    if not draw(st.integers(0, 4)):
        members.append((draw(st.sampled_from(["extra", "note", "x_1"])), draw(texts | numbers | mismatched)))
    space = draw(st.sampled_from(["", "", " ", "\n "]))
    return "{" + ",".join(f'{space}"{key}"{space}:{space}{token}' for key, token in members) + "}"


plain_rows = st.builds(
    '{{"id":{},"invoiceNumber":"A{}","totalAmount":{}.25}}'.format, *[st.integers(1, 99)] * 3
)
pages = st.lists(objects(kinds, is_row=True) | plain_rows, min_size=1, max_size=4)


def body_of(rows: Sequence[str]) -> bytes:
    text = ",".join(rows)
    count = f'{{"aggregate":{{"count":{len(rows)}}}}}'
    return f'{{"deid_invoice":[{text}],"deid_invoice_aggregate":{count}}}'.encode()


# Every output as one list per page: the fields of each row, or REJECTED.


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
    pages = PageRows.of_json([(0, rows)], "collect")
    file = io.BytesIO()
    if rows:
        format_for(Path("x.jsonl"), Invoice, "x").write_part(file, pages)
    decoded: list[Any] = [REJECTED] * length
    for index, line in zip(indexes, file.getvalue().splitlines(), strict=True):
        try:
            decoded[index] = canonical(exact_decoder(Invoice)(line).row)
        except (ValueError, ArithmeticError, RecursionError):
            continue
    return decoded


def csv_cells(body: bytes, length: int) -> list[Any]:
    rows, indexes = raw_rows(body)
    pages = PageRows.of_json([(0, rows)], "collect")
    file = io.BytesIO()
    format_for(Path("x.csv"), Invoice, "x").write_part(file, pages)
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
    return Decimal(text) if name == "subtotal" or name.endswith("_amount") else text


def arrow(body: bytes, length: int, *, as_document: bool) -> list[Any]:
    rows, indexes = raw_rows(body)
    document = RawPage(body, ENVELOPE.items) if as_document and len(indexes) == length else None
    pages = PageRows([RowsOfPage(0, len(rows), rows.copy, document)], "collect")
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
    for row, as_dict in zip(expected, dicts(body), strict=True):
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
@example([f'{{"id":1,"x":{"[" * 3000}1{"]" * 3000}}}', '{"id":2}'])
def test_outputs_agree_on_value_or_rejection(rows: list[str]) -> None:
    check(rows)
