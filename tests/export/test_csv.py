"""CSV: readers get the values that the server sent."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, DecodeError, Invoice
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.export import export
from aiwyn_async.export._formats import format_for
from aiwyn_async.sandbox import Sandbox
from raw_pages import raw_page


async def exported(rows: bytes, folder: Path) -> list[dict[str, str]]:
    """Export rows that the server sends on one page, and read the file."""
    target = folder / "x.csv"
    async with Sandbox() as box, AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        box.faults.add("invoices.list", mutate=lambda _: b'{"deid_invoice": [' + rows + b"]}")
        box.faults.add("invoices.list", nth=2, times=99, mutate=lambda _: b'{"deid_invoice": []}')
        await export(aiwyn.invoices.list(), target)
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_csv_quotes_text_and_retains_numbers(tmp_path: Path) -> None:
    row = b'{"id": 1, "description": "a,\\"b\\"\\n=1+1", "totalAmount": 20.00, "lineItems": [{"id": 1}]}'
    (result,) = await exported(row, tmp_path)
    assert result["description"] == 'a,"b"\n=1+1'
    assert (result["totalAmount"], result["lineItems"], result["notes"]) == ("20.00", '[{"id": 1}]', "")


async def test_csv_quotes_a_lone_carriage_return(tmp_path: Path) -> None:
    result = await exported(
        b'{"id": 1, "description": "a\\rb", "notes": "c"}, {"id": 2, "description": "d"}', tmp_path
    )
    assert [(row["id"], row["description"], row["notes"]) for row in result] == [
        ("1", "a\rb", "c"),
        ("2", "d", ""),
    ]


async def test_csv_nested_bytes_that_are_not_utf8_under_an_unknown_key_are_left_out(tmp_path: Path) -> None:
    (row,) = await exported(b'{"id": 2, "lineItems": [{"id": 1, "other": "\xff"}]}', tmp_path)

    assert json.loads(row["lineItems"])[0]["id"] == 1


async def test_csv_bytes_that_are_not_utf8_in_a_field_refuse_the_row(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="row 1 of page 0"):
        await exported(b'{"id": 1}, {"id": 2, "lineItems": [{"id": 1, "description": "\xff"}]}', tmp_path)


amounts = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"', "\r", "a\r\n", ",", "\\", " "]
)
rows_of_invoices = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 2**63 - 1)},
        optional={
            "description": texts | st.none() | st.integers(0, 10**6),
            "notes": texts | st.none(),
            "issueDate": st.datetimes().map(lambda time: time.isoformat()) | st.none(),
            "totalAmount": amounts.map(float) | st.none(),
            "outstanding_amount": amounts.map(float),
            "lineItems": st.lists(st.fixed_dictionaries({"id": st.integers(0, 9), "description": texts})),
            "unknown": texts,
        },
    ),
    min_size=1,
    max_size=5,
)


@given(rows=rows_of_invoices, ascii_only=st.booleans())
def test_csv_round_trips_any_rows(rows: list[dict[str, Any]], ascii_only: bool) -> None:
    sent = [msgspec.Raw(json.dumps(row, ensure_ascii=ascii_only).encode()) for row in rows]
    writer, part = format_for(Path("x.csv"), Invoice, "invoices"), io.BytesIO()
    assert writer.write_part(part, PageRows([raw_page(sent)], "raise", "id")) == len(rows)

    names = [field.encode_name for field in msgspec.structs.fields(Invoice)]
    result = list(csv.DictReader(io.StringIO(part.getvalue().decode(), newline=""), names))
    assert len(result) == len(rows)
    for read, row in zip(result, rows, strict=True):
        actual = {name: read[name] for name in names if read[name]}
        expected = {"outstandingAmount" if key == "outstanding_amount" else key: row[key] for key in row}
        lines = json.loads(actual.pop("lineItems", "[]"))
        assert lines == expected.pop("lineItems", [])
        assert actual == {
            key: str(value) for key, value in expected.items() if key in names and value not in {None, ""}
        }
