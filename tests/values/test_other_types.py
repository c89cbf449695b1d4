# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Row types that users declare have the same values in every output, or no column."""

from __future__ import annotations

import csv
import dataclasses
import enum
import io
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest

from aiwyn_async import ConfigurationError, Invoice
from aiwyn_async.arrow._options import column_options
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export._formats import format_for
from aiwyn_async.models.engagements import EngagementSearchRow
from aiwyn_async.models.wip import WipEntrySearchRow
from raw_pages import raw_page

FIELDS = msgspec.structs.fields(WipEntrySearchRow)


def page_of(*rows: str) -> PageRows:
    raw = [msgspec.Raw(row.encode()) for row in rows]
    return PageRows([raw_page(raw)], "collect", "id")


def bad_rows(row_type: Any, *rows: str) -> list[str]:
    pages = page_of(*rows)
    RowSchema(row_type).table(pages)
    return [bad.error for bad in pages.bad_rows]


def arrow_rows(row_type: Any, *rows: str, **options: Any) -> list[dict[str, Any]]:
    schema = RowSchema(row_type, column_options(row_type, **options))
    return list(schema.table(page_of(*rows)).to_pylist())


def csv_rows(row_type: Any, *rows: str) -> list[list[str]]:
    file = io.BytesIO()
    format_for(Path("x.csv"), row_type, "x").write_part(file, page_of(*rows))
    return list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))


class Work(msgspec.Struct):
    id: int
    amount: int | Decimal | None = None


def test_fraction_of_an_integer_or_decimal_is_exact() -> None:
    rows = arrow_rows(Work, '{"id":1,"amount":1234.56}', '{"id":2,"amount":7}', '{"id":3}')
    assert [row["amount"] for row in rows] == [Decimal("1234.56"), 7, None]


def test_fraction_of_an_integer_or_decimal_is_exact_in_rows_decoded_one_by_one() -> None:
    rows = arrow_rows(Work, '{"id":1,"amount":"1234.56"}', '{"id":2,"amount":7}', round_money=1)
    assert [row["amount"] for row in rows] == [Decimal("1234.6"), 7]


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        (int | float, "int | float"),
        (float | Decimal, "float | decimal"),
        (str | float, "str | float"),
        (bool | str, "bool | str"),
        (bool | int | None, "bool | int"),
        (int | str | float, "int | str | float"),
        (str | list[int], "str | list"),
        (Literal[1, 2] | None, "literal"),
        (list[int | float], "int | float"),
    ],
)
def test_union_without_an_exact_column_is_refused_by_name(kind: Any, described: str) -> None:
    inner = msgspec.defstruct("Inner", [("rate", kind)])
    for row_type, path in (
        (inner, "rate"),
        (msgspec.defstruct("Outer", [("id", int), ("inner", inner | None)]), "inner.rate"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            RowSchema(row_type)
        message = str(caught.value)
        assert message.startswith(f"{path}: a field of the type ")
        parts = message.removeprefix(f"{path}: a field of the type ").partition(" has no Arrow or Parquet")
        assert sorted(parts[0].split(" | ")) == sorted(described.split(" | "))
        assert "decode_as()" in message


class Period(msgspec.Struct):
    starts: date | None = None


class Term(msgspec.Struct):
    id: int
    starts: date | None = None
    periods: tuple[Period, ...] | None = None


@pytest.mark.parametrize(
    "row",
    ['{"id":1,"starts":45413}', '{"id":1,"periods":[{"starts":45413}]}'],
)
def test_number_as_a_day_is_refused(row: str) -> None:
    good = row.replace("45413", '"2024-05-01"')
    (error,) = bad_rows(Term, row)
    assert "starts: expected an ISO 8601 timestamp, got 45413" in error
    assert str(arrow_rows(Term, good)).count("datetime.date(2024, 5, 1)") == 1


def test_days_of_engagements_are_exact_or_refused() -> None:
    assert len(bad_rows(EngagementSearchRow, '{"id":1,"start_dt":45413}')) == 1
    (row,) = arrow_rows(EngagementSearchRow, '{"id":1,"start_dt":"2024-05-03"}')
    assert (row["start_dt"], row["end_dt"]) == (date(2024, 5, 3), None)


class Entry(msgspec.Struct):
    hours: int = 0

    def __post_init__(self) -> None:
        if self.hours < 0:
            raise ValueError("hours are negative")


class Checked(msgspec.Struct):
    id: int
    side: Literal["debit", "credit"] | None = None
    entries: tuple[Entry, ...] | None = None
    rate: Annotated[int, msgspec.Meta(ge=0)] | None = None
    pair: Annotated[tuple[int, ...], msgspec.Meta(min_length=2, max_length=2)] | None = None
    notes: Annotated[list[str], msgspec.Meta(max_length=1)] = []


@pytest.mark.parametrize(
    "fields",
    [
        '"side":"left"',
        '"entries":[{"hours":-1}]',
        '"rate":-1',
        '"pair":[1]',
        '"pair":[1,2,3]',
        '"notes":["a","b"]',
    ],
)
def test_checks_of_a_row_type_apply_to_columns(fields: str) -> None:
    good = '{"id":1,"side":"debit","entries":[{"hours":1}],"rate":0,"pair":[1,2],"notes":["a"]}'
    assert len(bad_rows(Checked, good, f'{{"id":1,{fields}}}')) == 1
    assert len(arrow_rows(Checked, good)) == 1


def test_check_of_a_whole_row_applies_to_columns() -> None:
    assert bad_rows(Entry, '{"hours":-1}', '{"hours":1}') == ["hours are negative"]


class Rate(msgspec.Struct):
    unit: str | None = "hour"


class Priced(msgspec.Struct):
    id: int
    currency: str | None = "USD"
    price: Decimal | None = Decimal("1.50")
    count: int = 1
    labels: tuple[str, ...] | None = ("new",)
    rates: tuple[Rate, ...] | None = None
    due: date | None = date(2024, 5, 1)


def test_default_of_a_missing_field_is_its_value_in_every_output() -> None:
    (row,) = arrow_rows(Priced, '{"id":1}')
    assert row == {
        "id": 1,
        "currency": "USD",
        "price": Decimal("1.50"),
        "count": 1,
        "labels": ["new"],
        "rates": None,
        "due": date(2024, 5, 1),
    }
    assert csv_rows(Priced, '{"id":1}') == [["1", "USD", "1.50", "1", '["new"]', "", "2024-05-01"]]


def test_default_of_a_missing_nested_field_is_its_value_in_every_output() -> None:
    (row,) = arrow_rows(Priced, '{"id":1,"rates":[{},{"unit":"day"}]}')
    assert row["rates"] == [{"unit": "hour"}, {"unit": "day"}]
    (cells,) = csv_rows(Priced, '{"id":1,"price":1.250,"rates":[{},{"unit":"day"}]}')
    assert (cells[2], cells[5]) == ("1.250", '[{"unit":"hour"},{"unit":"day"}]')


def test_null_is_no_default() -> None:
    null = '{"id":1,"currency":null,"price":null,"labels":null,"due":null}'
    (row,) = arrow_rows(Priced, null)
    assert [row[name] for name in ("currency", "price", "labels", "due")] == [None] * 4
    assert csv_rows(Priced, null) == [["1", "", "", "1", "", "", ""]]


def test_default_of_a_nested_field_is_its_value_in_columns() -> None:
    row = '{"id":1,"currency":"EUR","price":1,"count":2,"labels":[],"rates":[{}],"due":"2024-05-01"}'
    assert arrow_rows(Priced, row)[0]["rates"] == [{"unit": "hour"}]
    assert [cells[5] for cells in csv_rows(Priced, row, row.replace("{}", '{"unit":null}'))] == [
        '[{"unit":"hour"}]',
        '[{"unit":null}]',
    ]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    rate: int | None = None


class Fee(msgspec.Struct, tag="fee"):
    amount: Decimal | None = None


class Point(msgspec.Struct, array_like=True):
    x: int = 0
    amount: Decimal | None = None


SomeRates: Any = Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Annotated[list[int], msgspec.Meta(max_length=1)], "[1]", "[1,2]"),
        (SomeRates | None, "[1]", "[]"),
        (list[Annotated[list[int], msgspec.Meta(max_length=1)]], "[[1]]", "[[1,2]]"),
        (Strict, '{"rate":1}', '{"rate":1,"other":2}'),
        (Fee | None, '{"amount":1.5}', '{"type":"tax"}'),
        (Point, "[1,1.5]", '{"x":1}'),
        (list[Point] | None, "[[1,1.5]]", '[{"x":1}]'),
    ],
    ids=["length", "length or null", "nested length", "strict", "tag", "array", "arrays"],
)
def test_checks_of_a_field_apply_to_columns(kind: Any, good: str, bad: str) -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("value", kind)])
    rows = [f'{{"id":1,"value":{good}}}', f'{{"id":2,"value":{bad}}}', f'{{"id":3,"value":{good},"note":1}}']
    assert [row["id"] for row in arrow_rows(row_type, *rows)] == [1, 3]
    assert [row["id"] for row in arrow_rows(row_type, rows[2], rows[1])] == [3]
    assert [row[0] for row in csv_rows(row_type, *rows)] == ["1", "3"]


def test_strict_row_type_refuses_unknown_fields_in_columns() -> None:
    assert bad_rows(Strict, '{"rate":1}', '{"rate":2,"other":3}') == ["unknown field 'other'"]


def test_array_like_object_has_a_struct_column() -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("at", Point)])
    assert arrow_rows(row_type, '{"id":1,"at":[2,"1.5"]}')[0]["at"] == {"x": 2, "amount": Decimal("1.5")}


@pytest.mark.parametrize("row_type", [msgspec.Struct, dataclasses.make_dataclass("Data", [("id", int)])])
def test_rows_without_columns_are_refused_by_tables_and_csv(row_type: Any) -> None:
    with pytest.raises(ConfigurationError, match="with a Struct that has fields"):
        RowSchema(row_type)
    with pytest.raises(ConfigurationError, match="with a Struct that has fields"):
        csv_rows(row_type, '{"id":1}')


def test_array_like_rows_have_no_columns() -> None:
    with pytest.raises(ConfigurationError, match="Point, have no columns"):
        RowSchema(Point)
    with pytest.raises(ConfigurationError, match="Point, have no columns"):
        csv_rows(Point, "[1]")


T = TypeVar("T")


class Box(msgspec.Struct, Generic[T]):
    amount: T | None = None


def test_generic_object_has_a_struct_column() -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("box", Box[Decimal])])
    rows = [
        '{"id":1,"box":{"amount":1.5}}',
        '{"id":2,"box":{"amount":"NaN"}}',
        '{"id":3,"box":{"amount":"7"}}',
    ]
    assert [row["box"] for row in arrow_rows(row_type, *rows)] == [{"amount": Decimal("1.5")}, {"amount": 7}]


def test_keys_of_a_generic_object_are_matched_in_columns_of_rows_with_unknown_fields() -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("box", Box[Decimal] | None, None)])
    rows = ['{"id":1,"note":1}', '{"id":2,"box":{"Amount":1.5},"note":1}', '{"id":3,"box":{"AMOUNT":"x"}}']
    assert [row["box"] for row in arrow_rows(row_type, *rows)] == [None, {"amount": Decimal("1.5")}]


class Node(msgspec.Struct):
    id: int
    below: list[Node] | None = None


def test_recursive_object_has_no_column() -> None:
    with pytest.raises(ConfigurationError, match=r"node\.below: a field of the type struct has no Arrow"):
        RowSchema(msgspec.defstruct("Row", [("id", int), ("node", Node)]))
    with pytest.raises(ConfigurationError, match=r"below: a field of the type struct has no Arrow"):
        RowSchema(Node)


class Side(enum.Enum):
    DEBIT = "debit"


class Coded(msgspec.Struct):
    id: int
    side: Side = Side.DEBIT
    key: uuid.UUID = uuid.UUID(int=7)
    begins: time | None = time(9, 30)
    length: timedelta = timedelta(hours=1)
    code: bytes = b"a"


def test_default_of_any_kind_is_written_to_csv_as_a_sent_value_is() -> None:
    sent = msgspec.json.encode(Coded(1)).decode()
    cells = [["1", "debit", "00000000-0000-0000-0000-000000000007", "09:30:00", "PT3600S", "YQ=="]]
    assert csv_rows(Coded, sent) == csv_rows(Coded, '{"id":1}') == csv_rows(Coded, '{"id":"1"}') == cells


class Shift(msgspec.Struct):
    at: time


class Timed(msgspec.Struct):
    id: int
    begins: time | None = None
    shifts: list[Shift] = []


def test_time_is_cut_in_csv_as_in_rows() -> None:
    clock = '"23:59:59.9999999"'
    row = f'{{"id":1,"begins":{clock},"shifts":[{{"at":{clock}}}]}}'
    cells = ["1", "23:59:59.999999", '[{"at":"23:59:59.999999"}]']
    assert csv_rows(Timed, row) == csv_rows(Timed, row, '{"id":"2"}')[:1] == [cells]


@pytest.mark.parametrize("text", [" 7.50", "7.50\\n", "\\t7.50 "])
def test_number_in_quotes_has_no_whitespace_in_csv(text: str) -> None:
    row = f'{{"id":1,"duration":"{text}","billableAmount":"{text}","clientId":" 5"}}'
    for rows in ((row,), (row, '{"id":2,"staff_id":true}')):
        cells = dict(
            zip((each.encode_name for each in FIELDS), csv_rows(WipEntrySearchRow, *rows)[0], strict=True)
        )
        assert (cells["duration"], cells["billableAmount"], cells["clientId"]) == ("7.50", "7.50", " 5")


class Blank(enum.Enum):
    NONE = ""


def test_default_that_is_empty_is_written_to_csv() -> None:
    row_type = msgspec.defstruct(
        "Row", [("id", int), ("code", bytes, b""), ("blank", Blank, Blank.NONE), ("text", str | None, "")]
    )
    assert csv_rows(row_type, '{"id":1}') == csv_rows(row_type, '{"id":"1"}') == [["1", "", "", ""]]


class Rated(msgspec.Struct):
    rate: float | None = None
    rates: list[float | None] = []


@pytest.mark.parametrize("number", ["1.7976931348623159e308", "-1.7976931348623159e308", "1e309", "1e400"])
def test_number_beyond_a_float_is_refused(number: str) -> None:
    assert len(bad_rows(Rated, f'{{"rate":{number},"rates":[]}}')) == 1
    assert len(bad_rows(Rated, f'{{"rate":null,"rates":[1,{number}]}}')) == 1


def test_largest_float_is_exact() -> None:
    row = '{"rate":1.7976931348623157e308,"rates":[null,0.1]}'
    assert arrow_rows(Rated, row) == [{"rate": 1.7976931348623157e308, "rates": [None, 0.1]}]


@pytest.mark.parametrize("kind", [Decimal, tuple[str, ...], int, str, date, Rate, Fee, list[Rate]])
def test_default_of_none_is_null_for_any_annotation(kind: Any) -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("value", kind, None)])
    assert arrow_rows(row_type, '{"id":1}') == [{"id": 1, "value": None}]
    assert csv_rows(row_type, '{"id":1}') == [["1", ""]]
    assert len(bad_rows(row_type, '{"id":1,"value":null}')) == 1


@pytest.mark.parametrize("kind", [int, str, Decimal, datetime, date, list[int], Rate])
def test_missing_required_field_is_refused_although_null_is_not(kind: Any) -> None:
    row_type = msgspec.defstruct("Row", [("id", int), ("value", kind | None)])
    inner = msgspec.defstruct("Inner", [("value", kind | None)])
    nested = msgspec.defstruct("Outer", [("id", int), ("items", list[inner] | None, None)])  # type: ignore[valid-type]
    assert arrow_rows(row_type, '{"id":1,"value":null}') == [{"id": 1, "value": None}]
    assert len(bad_rows(row_type, '{"id":1}')) == 1
    assert len(bad_rows(nested, '{"id":1,"items":[{"value":null}]}', '{"id":2,"items":[{}]}')) == 1


class Pair(msgspec.Struct):
    id: int
    pair: tuple[Work, Work] | None = None
    note: str | msgspec.UnsetType = msgspec.UNSET


def test_default_within_a_tuple_is_its_value_in_csv() -> None:
    (row,) = csv_rows(Pair, '{"id":1,"pair":[{"id":2},{"id":3,"amount":1}]}')
    assert msgspec.json.decode(row[1]) == [{"id": 2, "amount": None}, {"id": 3, "amount": 1}]


def test_missing_field_without_a_default_is_empty_in_csv_beside_a_repaired_row() -> None:
    assert csv_rows(Pair, '{"id":1}', '{"id":"2"}') == [["1", "", ""], ["2", "", ""]]


def test_rounded_amounts_of_a_refused_row_are_not_counted() -> None:
    row = '{"id":%d,"amount":1.5555555555555,"more":"%s"}'
    raw = [msgspec.Raw((row % (1, "a")).encode()), msgspec.Raw((row % (2, "\xff")).encode("latin-1"))]
    rows = PageRows([raw_page(raw)], "collect", "id")
    options = column_options(Work, round_money=9, extra="json")
    assert RowSchema(Work, options).table(rows).num_rows == 1
    assert (len(rows.bad_rows), rows.counts.rounded_amounts) == (1, 1)


def test_rates_and_quantities_keep_nine_places_when_amounts_are_rounded() -> None:
    line = '{"quantity":1.375,"unitPrice":"0.0125","taxRate":0.08875,"amount":1.125}'
    (invoice,) = arrow_rows(Invoice, f'{{"id":1,"totalAmount":1.125,"lineItems":[{line}]}}', round_money=2)
    (wip,) = arrow_rows(WipEntrySearchRow, '{"id":1,"duration":0.30000000000000004}', round_money=2)

    (item,) = invoice["lineItems"]
    assert invoice["totalAmount"] == item["amount"] == Decimal("1.12")
    assert [item["quantity"], item["unitPrice"], item["taxRate"]] == list(
        map(Decimal, ["1.375", "0.0125", "0.08875"])
    )
    assert wip["duration"] == Decimal("0.3")
