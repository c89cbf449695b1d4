"""All outputs have the same value for a field of any annotation, or reject the same row.

Each value is the only one of its page, so that it is decoded in one call if it can be.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest

from aiwyn_async import DecodeError, deferred
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export._formats import format_for
from raw_pages import raw_page

from .test_outputs_agree import REJECTED, fits_money_columns

NUMBERS = """0 1 -0 -0.0 1.0 1.5 1e3 1E2 0.1e1 1e400 1e-400 5e-324 1.7976931348623159e308 9223372036854775807
    9223372036854775808 -9223372036854775809 9007199254740993 "7" "1.5" "\\u00207" "1_0" "NaN" "" "a"
    null true {} []"""
TIMES = """"2024-05-01" "2024-05-01T23:59:59.9999999Z" "2024-05-01T00:00:00-05:00" "2024-05-01T00:00:00"
    "2024-W05-1" "0001-01-01" "9999-12-31" "0001-01-01T00:00:00+05:00" "20240501" "2024-05-01T10"
    "2024-05-01t10:00:00z" "0000-01-01" "2024-05-01T10:00:60Z" "2024-02-30" "" null true 5"""
CLOCKS = """"10:00:00" "10:00:00+0530" "23:59:59.9999999" "10:00:00Z" "24:00:00" "10" 5 "5" null true"""
TEXTS = """"a" "ab" "c" "" "\\u0000" "7" 7 -0 1.50 1e5 12345678901234567890 true null {} []"""

WITHOUT_COLUMN = {"datetime | int", "time", "time | int", "Decimal | float"}
new_type: Any = NewType
COUNT = new_type("Count", Annotated[int, msgspec.Meta(ge=0)])

KINDS: dict[str, tuple[Any, str]] = {
    "int": (int, NUMBERS),
    "float": (float, NUMBERS),
    "Decimal": (Decimal, NUMBERS),
    "int | Decimal": (int | Decimal, NUMBERS),
    "int | str": (int | str, NUMBERS),
    "bool": (bool, NUMBERS + ' "true" "FALSE" "0"'),
    "NewType": (NewType("Rate", float), NUMBERS),
    "bounds": (Annotated[int, msgspec.Meta(ge=0, lt=10)], NUMBERS),
    "multiple": (Annotated[float, msgspec.Meta(ge=0, multiple_of=0.5)], NUMBERS),
    "datetime": (datetime, TIMES),
    "datetime | int": (datetime | int, TIMES),
    "time": (time, CLOCKS),
    "time | int": (time | int, CLOCKS),
    "Decimal | float": (Decimal | float, NUMBERS),
    "Annotated Decimal | int": (Annotated[Decimal, msgspec.Meta(title="t")] | int, NUMBERS),
    "NewType in Annotated": (Annotated[COUNT, msgspec.Meta(le=9)], NUMBERS),
    "zoned": (Annotated[datetime, msgspec.Meta(tz=True)], TIMES),
    "date": (date, TIMES),
    "str": (str, TEXTS),
    "length": (Annotated[str, msgspec.Meta(min_length=2)], TEXTS),
    "Literal": (Literal["a", "b"], TEXTS),
    "Literal | str": (Literal["a"] | str, TEXTS),
}


def wrap_object(kind: Any) -> Any:
    return msgspec.defstruct("Inner", [("value", kind)])


def wrap_list(kind: Any) -> Any:
    return list[kind]


# What a kind is wrapped in, and the JSON of a value then.
WRAPPERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "required": (lambda kind: kind, "{}"),
    "nullable": (lambda kind: kind | None, "{}"),
    "list": (wrap_list, "[{}]"),
    "object": (wrap_object, '{{"value":{}}}'),
    "objects": (lambda kind: wrap_list(wrap_object(kind)) | None, '[{{"value":{}}}]'),
}


def canonical(value: Any) -> Any:  # noqa: PLR0911 (one for each kind)
    match value:
        case datetime():
            return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
        case bool() | str():
            return value
        case int() | float() | Decimal():
            return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        case list() | tuple():
            return list(map(canonical, value))
        case msgspec.Struct():
            return {name: canonical(getattr(value, name)) for name in value.__struct_fields__}
        case dict():
            return {name: canonical(item) for name, item in value.items()}
        case _:
            return value


def typed(kind: Any, row: str, *before: str) -> Any:
    decoder: PageDecoder[Any] = PageDecoder(kind, Envelope(("rows",)))
    for body in before:
        decoder.decode(f'{{"rows":[{body}]}}'.encode())
    page = decoder.decode(f'{{"rows":[{row}]}}'.encode())
    try:
        return canonical(page.rows[0].value) if page.rows else REJECTED
    except DecodeError:
        return REJECTED


def page_of(row: str) -> PageRows:
    return PageRows([raw_page([msgspec.Raw(row.encode())])], "collect", "id")


def arrow(kind: Any, row: str) -> Any:
    rows: list[Any] = RowSchema(kind).table(page_of(row)).to_pylist()
    return canonical(rows[0]["value"]) if rows else REJECTED


def csv_cell(kind: Any, row: str) -> str:
    file = io.BytesIO()
    format_for(Path("x.csv"), kind, "x").write_part(file, page_of(row))
    lines = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    return lines[0][1] if lines else REJECTED


@pytest.mark.parametrize("wrapped_in", WRAPPERS)
@pytest.mark.parametrize("name", KINDS)
def test_outputs_agree_on_a_kind(name: str, wrapped_in: str) -> None:
    kind, tokens = KINDS[name]
    wrap, form = WRAPPERS[wrapped_in]
    try:
        row_type: Any = msgspec.defstruct("Row", [("id", int), ("value", wrap(kind))])
    except TypeError:
        pytest.skip("the annotation has no union")
    for token in tokens.split():
        for note in ("", ',"note":1'):
            row = f'{{"id":1,"value":{form.format(token)}{note}}}'
            expected = typed(row_type, row)
            assert typed(row_type, row, '{"id":1,"more":1}', '{"id":"1"}') == expected, row
            assert typed(deferred(row_type), row) == expected, row
            assert (csv_cell(row_type, row) == REJECTED) == (expected == REJECTED), row
            if name in WITHOUT_COLUMN:
                continue
            in_columns = expected if fits_money_columns(expected) or "Decimal" not in name else REJECTED
            assert arrow(row_type, row) == in_columns, row


@pytest.mark.parametrize("name", ["datetime", "date", "float", "str"])
def test_outputs_agree_on_repaired_rows(name: str) -> None:
    kind, tokens = KINDS[name]
    row_type: Any = msgspec.defstruct("Row", [("id", int), ("value", kind)])
    for token in [*tokens.split(), '"2024-05-01T00:00:00Z"', '" 2024-05-01"', '"2024-05-01T10:11+05"']:
        row = f'{{"id":1,"value":{token}}}'
        decoder: PageDecoder[Any] = PageDecoder(row_type, Envelope(("rows",)))
        expected = decoder.decode(f'{{"rows":[{row}]}}'.encode()).repaired
        for write in (
            RowSchema(row_type).table,
            partial(format_for(Path("x.csv"), row_type, "x").write_part, io.BytesIO()),
        ):
            rows = page_of(row)
            write(rows)
            assert rows.counts.repaired_rows == expected, row


def test_time_of_day_that_a_date_drops_is_counted() -> None:
    row_type: Any = msgspec.defstruct("Row", [("id", int), ("value", date)])
    rows = ['{"id":1,"value":"2024-05-01T00:00:00Z"}', '{"id":2,"value":"2024-05-01T10:00:00Z"}']
    decoder: PageDecoder[Any] = PageDecoder(row_type, Envelope(("rows",)))
    page = decoder.decode(f'{{"rows":[{",".join(rows)}]}}'.encode())
    assert (len(page.rows), page.repaired) == (2, 1)
