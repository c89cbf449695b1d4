# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Unusual rows of a real server, exported to real files and read by other libraries."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiwyn_async import ConfigurationError, DecodeError
from aiwyn_async._decoding.checked_types import checked
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async.export import export
from aiwyn_async.models.base import Model
from aiwyn_async.models.invoices import Invoice

from .conftest import Serve

UNUSUAL = (
    '{"id":1,"invoiceNumber":"A","total_amount":5.5,"clientId":3}',
    r'{"id":2,"notes":"a\ud83d","dueDate":"2024-05-01T23:59:59.9999999Z"}',
    '{"id":3,"notes":"a\tb"}',
    '{"id":4,"totalAmount":"NaN"}',
    '{"id":5,"totalAmount":1E+999999}',
    '{"id":6,"totalAmount":"","dueDate":"","lineItems":""}',
    '{"id":7,"dueDate":"9999-12-31T23:59:59-05:00"}',
    '{"id":8,"totalAmount":7}',
)
GOOD = [1, 2, 6, 8]


def read_file(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                return list(connection.sql("SELECT * FROM invoices").to_arrow_table().to_pylist())
        case _:
            with path.open(newline="") as file:
                return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_files_have_the_rows_of_typed_reads(serve: Serve, tmp_path: Path, suffix: str) -> None:
    aiwyn = serve(*UNUSUAL)
    pager = aiwyn.invoices.list(on_bad_row="collect")

    result = await export(pager, tmp_path / f"invoices.{suffix}")

    rows = read_file(tmp_path / f"invoices.{suffix}")
    assert [int(row["id"]) for row in rows] == GOOD
    assert [row["totalAmount"] or None for row in rows][::3] in ([Decimal("5.5"), Decimal(7)], ["5.5", "7"])
    assert result.report.bad_rows == 4
    assert [bad.raw[:7] for bad in pager.bad_rows] == [b'{"id":%d' % key for key in (3, 4, 5, 7)]
    assert result.report.repaired_rows >= 1


@pytest.mark.parametrize("read", ["list", "search", "pull", "deferred", "dict", "raw"])
async def test_reads_collect_one_malformed_row(serve: Serve, read: str) -> None:
    aiwyn = serve('{"id":1}', '{"id":2,"notes":"a\tb"}', '{"id":3}')
    options: Any = {"on_bad_row": "collect"}
    reads: dict[str, Callable[[], Any]] = {
        "list": lambda: aiwyn.invoices.list(**options),
        "search": lambda: aiwyn.invoices.search(paging="page", **options),
        "pull": lambda: aiwyn.invoices.pull(paging="page", **options),
        "deferred": lambda: aiwyn.invoices.list(**options),
        "dict": lambda: aiwyn.invoices.list(**options).decode_as(dict),
        "raw": lambda: aiwyn.invoices.list(**options).decode_as(msgspec.Raw),
    }
    reader = reads[read]()

    rows = await reader.collect()

    assert len(rows) == 2
    assert [bad.index for bad in reader.bad_rows] == [1]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
async def test_bad_row_of_export_has_its_index_in_the_response(
    serve: Serve, tmp_path: Path, suffix: str
) -> None:
    aiwyn = serve('{"id":1}', "NaN", '{"id":1}', '{"id":4,"totalAmount":"a lot"}')
    pager = aiwyn.invoices.list(on_bad_row="collect")
    await export(pager, tmp_path / f"x.{suffix}")
    assert sorted(bad.index for bad in pager.bad_rows) == [1, 3]


async def test_decode_error_names_key_and_value(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve('{"id":4711,"totalAmount":"a lot"}')

    with pytest.raises(DecodeError, match=r"id 4711\): totalAmount: expected a number, got 'a lot'"):
        await aiwyn.invoices.list().collect()
    with pytest.raises(DecodeError, match=r"id 4711\): totalAmount: expected a number, got 'a lot'"):
        await export(aiwyn.invoices.list(), tmp_path / "x.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_rows_are_named_by_the_key_of_their_endpoint(serve: Serve, tmp_path: Path, suffix: str) -> None:
    aiwyn = serve(
        '{"id":1,"invoiceNumber":"A","region":"EU"}', '{"id":2,"invoiceNumber":"B","totalAmount":"a lot"}'
    )
    bills = aiwyn.collection("/gql/v1/invoices", key="invoiceNumber")
    with pytest.raises(DecodeError, match=r"row 1 of page 0 \(invoiceNumber B\): totalAmount"):
        await export(bills.list().decode_as(Invoice), tmp_path / f"x.{suffix}")
    pager = bills.list(on_bad_row="collect").decode_as(Invoice)
    result = await export(pager, tmp_path / f"y.{suffix}")
    assert [bad.key for bad in pager.bad_rows] == ["B"]
    assert result.report.unknown_fields == {"region": "A"}


# Bytes that are not UTF-8

NOT_UTF8 = ('{"id":1}', '{"id":2,"region":"\udcff","totalAmount":"7"}', '{"id":3,"notes":"\u00e9"}')


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_row_whose_extra_column_is_not_utf8_is_bad(serve: Serve, tmp_path: Path, suffix: str) -> None:
    pager = serve(*NOT_UTF8).invoices.list(on_bad_row="collect")

    result = await export(pager, tmp_path / f"invoices.{suffix}", extra="json")

    assert [int(row["id"]) for row in read_file(tmp_path / f"invoices.{suffix}")] == [1, 3]
    assert [(bad.key, bad.error) for bad in pager.bad_rows] == [(2, "text that is not UTF-8")]
    assert (result.report.bad_rows, result.report.repaired_rows) == (1, 0)


async def test_stream_leaves_out_row_whose_extra_column_is_not_utf8(serve: Serve) -> None:
    pager = serve(*NOT_UTF8).invoices.list(on_bad_row="skip")
    table = await asyncio.to_thread(pa.table, pager.arrow_stream(extra="json"))
    assert table["id"].to_pylist() == [1, 3]


async def test_json_lines_have_rows_that_are_not_utf8_as_sent(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    result = await export(serve(*NOT_UTF8).invoices.list(), path)
    assert path.read_bytes().decode(errors="surrogateescape").splitlines() == list(NOT_UTF8)
    assert result.report.complete


TORN = {
    "inch": '{"id":2,"notes":"5" pipe","lineItems":[{"id":7,"amount":1},{"id":8,"amount":2}]}',
    "nested": '{"id":2,"lineItems":[{"id":7,"notes":"3" valve"},{"id":8,"notes":"x"}],"payments":[]}',
    "path": '{"id":2,"notes":"C:\\"}',
    "cut": '{"id":2,"notes":"a',
    "bracket": '{"id":2,"notes":"5" ] pipe"]}',
}


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.parametrize("verb", ["list", "pull"])
@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
async def test_row_with_an_odd_number_of_quotes_is_one_bad_row(
    serve: Serve, torn: str, verb: str, position: int
) -> None:
    items = '[{"id":7,"amount":1},{"id":8,"amount":2}]'
    rows = [f'{{"id":{key},"notes":"}},{{","lineItems":{items}}}' for key in (1, 3, 4, 5)]
    rows.insert(position, torn)
    aiwyn = serve(*rows)
    options: Any = {"on_bad_row": "collect"} | ({"paging": "page"} if verb == "pull" else {})
    read = getattr(aiwyn.invoices, verb)(**options)
    assert [row.id async for row in read] == [1, 3, 4, 5]
    assert [(bad.key, bad.index, bad.raw.decode()) for bad in read.bad_rows] == [(2, position, torn)]
    assert read.report.problems() == ["1 rows do not decode and were left out"]


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
@pytest.mark.parametrize("count", ["", ',"total":3'])
def test_row_with_an_odd_number_of_quotes_is_bad_in_any_envelope(torn: str, count: str) -> None:
    body = f'{{"data":{{"deid_invoice":[{{"id":1}},{torn},{{"id":3}}]{count}}}}}'.encode()
    page = PageDecoder(Invoice, Envelope(("deid_invoice",), ("total",))).decode(body)
    assert [row.id for row in page.rows] == [1, 3]
    assert ([bad.raw.decode() for bad in page.bad], page.count) == ([torn], 3 if count else None)


@pytest.mark.parametrize("keys", ["", '"status":"PAID","notes":"a","currency":"USD",'])
def test_truncated_page_has_no_rows_from_a_list_within_its_last_one(keys: str) -> None:
    row = f'{{"id":1,{keys}"lineItems":[{{"id":7,{keys}"amount":1}},{{"id":8,{keys}"amount":2}}]}}'
    refuse_page(f'{{"deid_invoice":[{row},{row}')


def test_list_within_a_row_does_not_end_the_page() -> None:
    row = '{"id":%d,"lineItems":[{"id":7},{"id":8}],"payments":[{"id":9}],"notes":"a"}'
    unclosed = '{"id":1,"lineItems":[{"id":7},{"id":8}],"payments":[{"id":9,"notes":"a"}'
    refuse_page(f'{{"deid_invoice":[{unclosed},{row % 2},{row % 3}]}}')


def refuse_page(body: str) -> None:
    with pytest.raises(DecodeError) as raised:
        PageDecoder(Invoice, Envelope(("deid_invoice",))).decode(body.encode())
    assert raised.value.malformed


@pytest.mark.parametrize("rest", ['"count":NaN', '"count":2,"sum":{"totalAmount":-Infinity}'])
def test_number_beside_the_rows_that_is_not_json_refuses_no_row(rest: str) -> None:
    body = f'{{"deid_invoice":[{{"id":1}},{{"id":2,"notes":": NaN,"}}],"total":{{{rest}}}}}'.encode()
    page = PageDecoder(Invoice, Envelope(("deid_invoice",), ("total", "count"))).decode(body)
    assert [(row.id, row.notes) for row in page.rows] == [(1, None), (2, ": NaN,")]
    assert (page.bad, page.count) == ([], None if "NaN" in rest else 2)


async def test_objects_within_a_row_with_odd_numbers_of_quotes_are_no_rows(serve: Serve) -> None:
    items = '[{"id":6,"notes":"b"},{"id":7,"notes":"c"},{"id":8,"notes":"6" d"}]'
    torn = f'{{"id":2,"notes":"5" a","lineItems":{items},"currency":"x" "}}'
    aiwyn = serve('{"id":1,"notes":"a"}', torn, '{"id":3,"status":"PAID"}', '{"id":4,"notes":"b"}')
    pager = aiwyn.invoices.list(on_bad_row="collect")
    page = await pager
    assert {1, 4} <= {row.id for row in page.items} <= {1, 3, 4}
    assert not pager.report.complete


@pytest.mark.parametrize("positions", [(0, 2), (1, 3), (2, 6), (0, 3, 5), (0, 2, 4, 6), (3, 4, 5), range(7)])
async def test_each_row_with_an_odd_number_of_quotes_is_a_bad_row(
    serve: Serve, positions: Sequence[int]
) -> None:
    row = '{"id":%d,"status":"PAID","notes":"%s","lineItems":[{"id":8,"amount":1},{"id":9,"amount":2}]}'
    rows = [row % (key, '5" pipe' if key in positions else "a") for key in range(7)]
    pager = serve(*rows).invoices.list(on_bad_row="collect")
    good = set(range(7)) - set(positions)
    assert {invoice.id async for invoice in pager} == good
    assert [bad.key for bad in pager.bad_rows] == list(positions)


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n"])
async def test_json_lines_have_no_line_break_within_a_row(
    serve: Serve, tmp_path: Path, line_break: str
) -> None:
    """Python reads a carriage return as the end of a line too."""
    aiwyn = serve(f'{{"id":1,{line_break}"notes":"a\\r\\n"}}', '{"id":2}')
    await export(aiwyn.invoices.list(), tmp_path / "x.jsonl")
    with (tmp_path / "x.jsonl").open() as file:
        rows = [msgspec.json.decode(line) for line in file]
    assert rows == [{"id": 1, "notes": "a\r\n"}, {"id": 2}]


# Ids


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_text_ids_are_exported_as_text(serve: Serve, tmp_path: Path, suffix: str) -> None:
    aiwyn = serve(
        '{"id":"00123","clientId":"C-100","lineItems":[{"id":"1"}]}', '{"id":456,"lineItems":[{"id":2}]}'
    )

    await export(aiwyn.invoices.list(), tmp_path / f"invoices.{suffix}")

    rows = read_file(tmp_path / f"invoices.{suffix}")
    assert [(row["id"], row["clientId"] or None) for row in rows] == [("00123", "C-100"), ("456", None)]
    if suffix != "csv":
        assert [row["lineItems"][0]["id"] for row in rows] == ["1", "2"]


async def test_text_id_error_of_stream_names_column_and_option(serve: Serve) -> None:
    aiwyn = serve('{"id":1,"clientId":"C-100"}')
    pull = aiwyn.invoices.pull(paging="page")

    with pytest.raises(pa.ArrowInvalid, match=r'clientId is text.*ids="text"'):
        await asyncio.to_thread(pa.table, pull)
    table = await asyncio.to_thread(pa.table, pull.arrow_stream(ids="text"))
    frame = await asyncio.to_thread(pl.DataFrame, pull.arrow_stream(ids="text"))

    assert table["clientId"].to_pylist() == ["C-100"]
    assert table["id"].to_pylist() == ["1"]
    assert frame["clientId"].to_list() == ["C-100"]


async def test_ids_as_text_make_text_columns_for_any_rows(serve: Serve, tmp_path: Path) -> None:
    await export(serve('{"id":1}').invoices.list(), tmp_path / "one.parquet", ids="text")

    assert pq.read_schema(tmp_path / "one.parquet").field("id").type == pa.string()


# Amounts


async def test_float_artefact_is_a_bad_row_or_rounded(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve('{"id":1,"totalAmount":0.30000000000000004}', '{"id":2,"totalAmount":1.5}')
    skipped = await export(aiwyn.invoices.list(on_bad_row="skip"), tmp_path / "a.parquet")
    rounded = await export(aiwyn.invoices.list(), tmp_path / "b.parquet", round_money=9)

    assert (skipped.rows, skipped.report.bad_rows) == (1, 1)
    assert pq.read_table(tmp_path / "b.parquet")["totalAmount"].to_pylist() == [
        Decimal("0.3"),
        Decimal("1.5"),
    ]
    assert (rounded.report.rounded_amounts, rounded.report.complete) == (1, True)
    with pytest.raises(DecodeError, match="pass round_money=9"):
        await export(aiwyn.invoices.list(), tmp_path / "c.parquet")


async def test_dict_rows_have_decimal_amounts(serve: Serve) -> None:
    aiwyn = serve('{"id":1,"totalAmount":7,"lineItems":[{"amount":1}]}', '{"id":2,"totalAmount":7.5}')

    first, second = await aiwyn.invoices.list().decode_as(dict).collect()

    assert [type(row["totalAmount"]) for row in (first, second)] == [Decimal, Decimal]
    assert type(first["lineItems"][0]["amount"]) is Decimal


# Days


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_date_columns_have_the_day_on_the_wire(serve: Serve, tmp_path: Path, suffix: str) -> None:
    aiwyn = serve(
        '{"id":1,"issueDate":"2024-01-01","dueDate":"2024-01-31T23:59:59-05:00"}',
        '{"id":2,"issueDate":"2024-01-01T00:00:00","dueDate":"2024-05-01T23:59:59.9999999Z"}',
        '{"id":3,"dueDate":""}',
    )
    await export(
        aiwyn.invoices.list(), tmp_path / f"invoices.{suffix}", date_columns=("issueDate", "dueDate")
    )

    rows = read_file(tmp_path / f"invoices.{suffix}")
    days = [date(2024, 1, 31), date(2024, 5, 1), None]
    due_dates = [row["dueDate"] or None for row in rows]
    assert due_dates == ([day and day.isoformat() for day in days] if suffix == "csv" else days)


async def test_timestamps_are_truncated_to_microseconds(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve(
        '{"id":1,"dueDate":"2024-05-01T23:59:59.9999999Z"}', '{"id":2,"dueDate":"2024-05-01T00:00:00Z"}'
    )
    last = datetime(2024, 5, 1, 23, 59, 59, 999999, tzinfo=UTC)
    await export(aiwyn.invoices.list(), tmp_path / "x.parquet")
    await export(aiwyn.invoices.list(), tmp_path / "x.csv")

    (row, _) = await aiwyn.invoices.list().collect()

    assert row.due_date == last
    assert pq.read_table(tmp_path / "x.parquet")["dueDate"][0].as_py() == last
    assert read_file(tmp_path / "x.csv")[0]["dueDate"] == "2024-05-01T23:59:59.999999Z"


# Unknown fields


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
async def test_unknown_fields_are_reported_and_exported_as_extra(
    serve: Serve, tmp_path: Path, suffix: str
) -> None:
    aiwyn = serve(
        '{"id":1}', '{"id":2,"region":"EU","lineItems":[{"id":1,"sku":"x"}]}', '{"id":3,"region":"US"}'
    )
    plain = await export(aiwyn.invoices.list(), tmp_path / f"a.{suffix}")
    await export(aiwyn.invoices.list(), tmp_path / f"b.{suffix}", extra="json", table="invoices")

    assert plain.report.unknown_fields == {"region": 2, "lineItems.sku": 2}
    extras = [
        msgspec.json.decode(row["extra"]) if row["extra"] else None
        for row in read_file(tmp_path / f"b.{suffix}")
    ]
    assert extras == [None, {"region": "EU", "lineItems[0].sku": "x"}, {"region": "US"}]


@pytest.mark.parametrize("read", ["list", "pull"])
async def test_unknown_fields_are_in_report_of_typed_read(serve: Serve, read: str) -> None:
    aiwyn = serve('{"id":1}', '{"id":2,"region":"EU"}')
    reader: Any = aiwyn.invoices.list() if read == "list" else aiwyn.invoices.pull(paging="page")

    await reader.collect()

    assert reader.report.unknown_fields == {"region": 2}
    assert reader.report.complete


# Rejected before a request is sent


class Twice(Model, frozen=True, kw_only=True):
    id: int
    total: int | None = None
    upper: int | None = msgspec.field(name="Total", default=None)


async def test_duckdb_rejects_columns_that_differ_in_case(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve('{"id":1,"total":1,"Total":2}')

    with pytest.raises(ConfigurationError, match="'total' and 'Total'"):
        await export(aiwyn.invoices.list().decode_as(Twice), tmp_path / "x.duckdb")
    await export(aiwyn.invoices.list().decode_as(Twice), tmp_path / "x.parquet")
    assert read_file(tmp_path / "x.parquet") == [{"id": 1, "total": 1, "Total": 2}]


class Named(Model, frozen=True, kw_only=True):
    id: int
    more: str | None = msgspec.field(name="Extra", default=None)


async def test_duckdb_rejects_the_column_extra_beside_one_in_another_case(
    serve: Serve, tmp_path: Path
) -> None:
    aiwyn = serve('{"id":1,"Extra":"a","region":"EU"}')

    with pytest.raises(ConfigurationError, match="'Extra' and 'extra'"):
        await export(aiwyn.invoices.list().decode_as(Named), tmp_path / "x.duckdb", extra="json")
    await export(aiwyn.invoices.list().decode_as(Named), tmp_path / "x.parquet", extra="json")
    assert read_file(tmp_path / "x.parquet") == [{"id": 1, "Extra": "a", "extra": '{"region":"EU"}'}]


@pytest.mark.parametrize(
    ("suffix", "option"),
    [
        ("parquet", {"ids": "number"}),
        ("parquet", {"date_columns": "issueDate"}),
        ("parquet", {"date_columns": ("totalAmount",)}),
        ("parquet", {"round_money": 10}),
        ("parquet", {"round_money": True}),
        ("parquet", {"extra": "yes"}),
        ("jsonl", {"ids": "text"}),
        ("csv", {"round_money": 2}),
    ],
)
async def test_column_options_are_validated(
    serve: Serve, tmp_path: Path, suffix: str, option: dict[str, Any]
) -> None:
    aiwyn = serve('{"id":1}')

    with pytest.raises(ConfigurationError, match=next(iter(option))):
        await export(aiwyn.invoices.list(), tmp_path / f"x.{suffix}", **option)


def test_checked_row_behaves_as_plain_row() -> None:
    row = msgspec.json.decode(b'{"id":1,"lineItems":[{"id":2}]}', type=checked(Invoice))
    plain = msgspec.json.decode(b'{"id":1,"lineItems":[{"id":2}]}', type=Invoice)

    assert isinstance(row, Invoice)
    assert row == plain
    assert plain == row
    assert hash(row) == hash(plain)
    assert repr(row) == repr(plain)
