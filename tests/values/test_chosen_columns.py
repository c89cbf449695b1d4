# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""An export of chosen columns has the values of the whole export, and decodes no other field."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, ConfigurationError, DecodeError, Pager
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

from .conftest import Serve

FORMATS = ["parquet", "duckdb", "csv", "jsonl"]
TABLES = ["parquet", "duckdb", "csv"]

COMMON = (
    '{"id":11,"totalAmount":5.5,"clientId":3,"dueDate":"2024-05-01T10:00:00Z","status":"PAID"}',
    '{"id":12,"totalAmount":0,"clientId":null,"notes":"a,b","status":"ODD"}',
)
UNUSUAL = (
    '{"id":1,"invoiceNumber":"A","total_amount":5.5,"clientId":3,"status":"PAID"}',
    r'{"id":2,"notes":"a\ud83d","dueDate":"2024-05-01T23:59:59.9999999Z","status":"x"}',
    '{"id":4,"totalAmount":"NaN","status":"bad"}',
    '{"id":5,"totalAmount":1E+999999}',
    '{"id":"six","totalAmount":"","dueDate":"","lineItems":"","STATUS":"up"}',
    '{"id":7,"dueDate":"9999-12-31T23:59:59-05:00","status":null}',
    '{"id":8,"totalAmount":7,"lineItems":[{"id":1,"amount":"2.50","note":"x"}]}',
    '{"id":9,"totalAmount":1e-20,"region":"north"}',
)
MALFORMED = (
    '{"id":3,"clientName":"a\tb","status":"tab"}',
    '{"id":10,"reference":"\\x","status":"escape"}',
    '{"id":13,"subtotal":01,"paidAmount":1e-30,"status":"zero"}',
)
CHOICES = [
    ("id", "status"),
    ("totalAmount", "id"),
    ("lineItems",),
    ("dueDate", "notes", "id"),
    ("status",),
    ("id", "clientId", "totalAmount", "dueDate", "lineItems"),
]


def read_file(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                return list(connection.sql("SELECT * FROM invoices").to_arrow_table().to_pylist())
        case ".csv":
            with path.open(newline="") as file:
                return list(csv.DictReader(file))
        case _:
            return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize("rows", [COMMON, UNUSUAL], ids=["common", "unusual"])
async def test_each_row_has_the_values_of_the_whole_export(
    rows: tuple[str, ...], suffix: str, serve: Serve, tmp_path: Path
) -> None:
    for number, row in enumerate(rows):
        aiwyn = serve(row)
        whole = tmp_path / f"{number}.{suffix}"
        await export(aiwyn.invoices.list(on_bad_row="skip"), whole)
        exported = read_file(whole)
        for choice, columns in enumerate(CHOICES):
            chosen = tmp_path / f"chosen-{number}-{choice}.{suffix}"
            result = await export(aiwyn.invoices.list(on_bad_row="skip"), chosen, columns=columns)
            if exported:  # a row that decodes as a whole
                read = read_file(chosen)
                assert read == [{name: each[name] for name in columns} for each in exported], (row, columns)
                assert [list(each) for each in read] == [list(columns)]
                assert result.report.bad_rows == 0


@pytest.mark.parametrize("columns", CHOICES, ids=",".join)
async def test_all_formats_have_the_same_rows_of_a_page(
    columns: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    counts: set[tuple[int, int]] = set()
    aiwyn = serve(*COMMON, *UNUSUAL, *MALFORMED)
    for suffix in TABLES:
        result = await export(
            aiwyn.invoices.list(on_bad_row="skip"), tmp_path / f"x.{suffix}", columns=columns
        )
        counts.add((result.rows, result.report.bad_rows))
    if "totalAmount" in columns or "dueDate" in columns:
        # CSV has amounts that DECIMAL cannot hold.
        assert {rows + bad for rows, bad in counts} == {len(COMMON) + len(UNUSUAL) + len(MALFORMED)}
    else:
        assert counts == {(len(COMMON) + len(UNUSUAL), len(MALFORMED))}


async def test_jsonl_has_the_json_of_the_chosen_fields(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    aiwyn = serve(
        '{"id":1,"totalAmount":5.50,"notes":"a\\u00fc","region":1}',
        '{"totalAmount":1E+999999,\n "id":\n2}',
        '{"total_amount":null,"id":3,"lineItems":[{"amount": 1,\n"x":"\\n"}]}',
    )
    result = await export(aiwyn.invoices.list(), path, columns=["totalAmount", "id", "lineItems"])
    assert path.read_text().splitlines() == [
        '{"totalAmount":5.50,"id":1}',
        '{"totalAmount":1E+999999,"id":2}',
        '{"totalAmount":null,"id":3,"lineItems":[{"amount":1,"x":"\\n"}]}',
    ]
    assert (result.rows, result.report.unknown_fields) == (3, {"region": 1})


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "rows",
    [
        ['{"id":%d,"notes":"x","region":"n","status":"s"}'],
        ['{"id":%d,"status":"s"}', '{"id":%d,"region":"n","clientName":"c"}'],
        ['{"id":%d,"Status":"s","client_name":"c","region":"n"}'],
        ['{"id":%d,"status":"s","totalAmount":"a lot","region":"n","lineItems":[{"odd":1}]}'],
    ],
)
async def test_unknown_fields_are_those_that_are_not_declared(
    rows: list[str], suffix: str, serve: Serve, tmp_path: Path
) -> None:
    aiwyn = serve(*(row % number for number, row in enumerate(rows * 30, 1)))
    result = await export(aiwyn.invoices.list(), tmp_path / f"x.{suffix}", columns=["status"])
    assert result.report.unknown_fields == {"region": len(rows)}
    assert (result.rows, result.report.bad_rows) == (len(rows) * 30, 0)


async def test_later_pages_with_the_same_unknown_field_are_exported_too(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve(*(f'{{"id":{number},"region":"n","status":"s"}}' for number in range(1, 40)))
    for suffix in FORMATS:
        path = tmp_path / f"x.{suffix}"
        result = await export(aiwyn.invoices.list(page_size=20), path, columns=["id"])
        assert [int(row["id"]) for row in read_file(path)] == list(range(1, 40))
        assert result.report.unknown_fields == {"region": 1}


@pytest.mark.parametrize("suffix", TABLES)
async def test_pages_may_differ_in_their_fields(suffix: str, tmp_path: Path) -> None:
    """Pages are large enough to be decoded in blocks."""

    def mutate(body: bytes) -> bytes:
        page = json.loads(body)
        for row in page["deid_invoice"]:
            row.update(odd.get(row["id"], {}))
        return json.dumps(page).encode()

    async with (
        Sandbox(invoices=900, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        keys = [row.id for row in await aiwyn.invoices.list().collect()]
        odd = {keys[450]: {"region": "n"}, keys[470]: {"notes": 1e-30}, keys[700]: {"totalAmount": "a lot"}}
        box.faults.add("invoices.list", every=1, mutate=mutate)
        for size in (1000, 300):
            path = tmp_path / f"{size}.{suffix}"
            listed = aiwyn.invoices.list(on_bad_row="collect", page_size=size)
            result = await export(listed, path, columns=["totalAmount", "id"])
            ((bad, raw),) = [(row.key, json.loads(row.raw)) for row in listed.bad_rows]
            assert (bad, raw["totalAmount"], "notes" in raw) == (keys[700], "a lot", True)
            assert [int(row["id"]) for row in read_file(path)] == [key for key in keys if key != bad]
            assert result.report.unknown_fields == {"region": keys[450]}


@pytest.mark.parametrize("suffix", TABLES)
async def test_column_extra_has_only_undeclared_fields(suffix: str, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    aiwyn = serve('{"id":1,"notes":"n","region":"north","client_name":"c"}', '{"id":2,"status":"s"}')
    await export(aiwyn.invoices.list(), path, columns=["status", "id"], extra="json")
    assert [row["extra"] or None for row in read_file(path)] == ['{"region":"north"}', None]
    assert list(read_file(path)[0]) == ["status", "id", "extra"]


@pytest.mark.parametrize("suffix", FORMATS)
async def test_bad_value_of_another_field_is_not_a_bad_row(suffix: str, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    aiwyn = serve('{"id":1,"totalAmount":"a lot","dueDate":[],"lineItems":7,"status":"PAID"}')
    result = await export(aiwyn.invoices.list(), path, columns=["status"], extra=None)
    assert read_file(path) == [{"status": "PAID"}]
    assert (result.report.bad_rows, result.report.repaired_rows, result.report.complete) == (0, 0, True)


@pytest.mark.parametrize("suffix", TABLES)
async def test_bad_row_has_its_key_and_all_its_json(suffix: str, serve: Serve, tmp_path: Path) -> None:
    row = '{"id":7,"totalAmount":"a lot","notes":"n"}'
    aiwyn = serve('{"id":6,"totalAmount":1}', row)
    with pytest.raises(DecodeError, match=r"row 1 of page 0 \(id 7\): totalAmount"):
        await export(aiwyn.invoices.list(), tmp_path / f"x.{suffix}", columns=["totalAmount"])
    read: Pager[Any] = aiwyn.invoices.list(on_bad_row="collect")
    await export(read, tmp_path / f"y.{suffix}", columns=["totalAmount"])
    assert [(bad.key, bytes(bad.raw).decode()) for bad in read.bad_rows] == [(7, row)]


@pytest.mark.parametrize("suffix", FORMATS)
async def test_row_that_is_not_an_object_is_a_bad_row(suffix: str, serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve('{"id":6,"status":"s"}', "7")
    path = tmp_path / f"x.{suffix}"
    result = await export(aiwyn.invoices.list(on_bad_row="skip"), path, columns=["status"])
    assert read_file(path) == [{"status": "s"}]
    assert result.report.bad_rows == 1


class Line(msgspec.Struct):
    id: int
    name: str


class Order(msgspec.Struct, rename="camel"):
    id: int
    name: str
    lines: list[Line]
    not_sent: str
    total: Decimal | None = None

    def __post_init__(self) -> None:
        if not self.not_sent:
            raise ValueError("not sent")


@pytest.mark.parametrize("suffix", FORMATS)
async def test_required_fields_and_checks_of_own_types_are_left_out(
    suffix: str, serve: Serve, tmp_path: Path
) -> None:
    # Lines begin like rows, so that a large page cannot be split between rows.
    lines = ",".join(f'{{"id":{number},"name":"{"x" * 50}"}}' for number in range(40))
    aiwyn = serve(*(f'{{"id":{key},"name":"n","lines":[{lines}],"total":{key}}}' for key in range(1, 101)))
    path = tmp_path / f"x.{suffix}"
    result = await export(aiwyn.invoices.list().decode_as(Order), path, columns=["total", "id"])
    assert [(int(row["id"]), Decimal(row["total"])) for row in read_file(path)] == [
        (key, Decimal(key)) for key in range(1, 101)
    ]
    assert (result.report.unknown_fields, result.report.bad_rows) == ({}, 0)


class Tagged(msgspec.Struct, tag=True):
    id: int


class AsArray(msgspec.Struct, array_like=True):
    id: int


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"columns": ["id", "total"]},
            r"columns: 'total' is not a field of the rows; choose from id, .*notes",
        ),
        ({"columns": ["id", "total_amount"]}, "'total_amount' is not a field.*totalAmount"),
        ({"columns": ["id", "notes", "id"]}, r"columns: 'id' is repeated; choose from id, .*, each once"),
        ({"columns": []}, "columns must have at least one name; choose from id, "),
        ({"columns": "id"}, "columns must be a list of names"),
        ({"columns": 5}, "columns must be a list of names"),
        ({"columns": [["id"]]}, "each name in columns must be a str, not list"),
        (
            {"columns": ["id", "issueDate"], "date_columns": ["dueDate"]},
            "date_columns: 'dueDate' is not a chosen column; add it, or remove it from date_columns",
        ),
        ({"columns": ["id"], "round_money": 2}, "round_money: the chosen columns have no amounts"),
    ],
)
async def test_unsuitable_columns_are_refused(
    options: dict[str, Any], message: str, suffix: str, serve: Serve, tmp_path: Path
) -> None:
    aiwyn = serve('{"id":1}')
    with pytest.raises(ConfigurationError, match=message):
        await export(aiwyn.invoices.list(), tmp_path / f"x.{suffix}", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("row_type", [dict, msgspec.Raw, Tagged, AsArray])
async def test_rows_of_other_types_have_no_columns_to_choose(
    row_type: Any, suffix: str, serve: Serve, tmp_path: Path
) -> None:
    aiwyn = serve('{"id":1}')
    with pytest.raises(ConfigurationError, match=r"columns: the row type must be a Struct.*call decode_as"):
        await export(aiwyn.invoices.list().decode_as(row_type), tmp_path / f"x.{suffix}", columns=["id"])


async def test_options_of_chosen_columns_are_applied(serve: Serve, tmp_path: Path) -> None:
    aiwyn = serve(
        '{"id":1,"totalAmount":1.125,"lineItems":[{"amount":0.005}],"dueDate":"2024-05-01T01:00:00"}'
    )
    columns = ["lineItems", "dueDate", "id"]
    options: Any = {"round_money": 2, "date_columns": ["dueDate"], "ids": "text"}
    result = await export(aiwyn.invoices.list(), tmp_path / "x.parquet", columns=columns, **options)
    (row,) = read_file(tmp_path / "x.parquet")
    assert (row["id"], str(row["dueDate"]), row["lineItems"][0]["amount"]) == ("1", "2024-05-01", 0)
    assert result.report.rounded_amounts == 1
