# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Columns read from complete responses equal columns read from single rows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, AiwynError, Invoice
from aiwyn_async._pagination.page import Page, RawPage
from aiwyn_async.arrow._rows import PageRows, RowsOfPage
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export import export
from aiwyn_async.export._formats import format_for
from aiwyn_async.sandbox import Sandbox
from raw_pages import raw_page

SCHEMA = RowSchema(Invoice)

unusual: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, 1.5, "7", "", "x", "2024-02-30", "2024-02-29T01:02:03", [], {}, [{}]]
)
amounts = st.sampled_from([0, 12.5, -3, 1e21, 1e30, 0.123456789, 0.1234567891, "1.50", None, "x"])
rows_of_json = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 2**63 - 1) | unusual},
        optional={
            "description": st.text('aé"\\', max_size=4) | unusual,
            "issueDate": unusual,
            "totalAmount": amounts,
            "outstanding_amount": amounts,
            "lineItems": st.lists(st.fixed_dictionaries({"id": unusual, "amount": amounts}), max_size=2)
            | unusual,
            "unknown": unusual,
        },
    ),
    max_size=4,
)
Outcome = tuple[object, int, list[tuple[int, int, bytes]]]


def outcome(pages: Sequence[Page[Any]]) -> Outcome:
    """Return the table or the error, the number of bad rows, and those."""
    rows = PageRows(pages, "collect", "id")
    try:
        table: object = SCHEMA.table(rows).to_pydict()
    except AiwynError as error:
        table = str(error)
    return table, rows.counts.bad_rows, [(bad.page, bad.index, bad.raw) for bad in rows.bad_rows]


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "csv"])
def test_unknown_field_names_its_first_row_also_if_a_later_page_is_converted_first(suffix: str) -> None:
    """Two threads convert parts."""
    file_format = format_for(Path(f"x.{suffix}"), Invoice, "invoices")
    noted: dict[int, Any] = {}
    for number in (30, 2, 1):
        sent = [msgspec.Raw(b'{"id":%d,"region":"EU"}' % (number * 10 + index)) for index in range(3)]
        page = raw_page(sent, number=number)
        rows = PageRows([page], "raise", "id")
        file_format.write_part(io.BytesIO(), rows)
        noted[number] = rows.counts.unknown_fields
    assert noted == {number: {"region": number * 10} for number in noted}


@settings(deadline=None, max_examples=300)
@given(
    pages=st.lists(rows_of_json, min_size=1, max_size=3),
    indent=st.none() | st.integers(0, 2),
    is_inside=st.booleans(),
)
@example(pages=[[{"id": 1, "totalAmount": 1e30}]], indent=None, is_inside=False)
@example(pages=[[{"id": 1}], [{"id": "x"}]], indent=None, is_inside=False)
def test_documents_and_single_rows_give_equal_tables(
    pages: list[list[dict[str, Any]]], indent: int | None, is_inside: bool
) -> None:
    rows_at = ("data", "deid_invoice") if is_inside else ("deid_invoice",)
    as_documents: list[Page[Any]] = []
    as_rows: list[Page[Any]] = []
    for number, rows in enumerate(pages):
        document: Any = {"deid_invoice": rows, "deid_invoice_aggregate": {"aggregate": {"count": 9}}}
        body = json.dumps({"data": document, "meta": {}} if is_inside else document, indent=indent).encode()
        raw = [msgspec.Raw(json.dumps(row).encode()) for row in rows]
        as_rows.append(raw_page(raw, number=number))
        as_documents.append(raw_page(raw, RawPage(body, rows_at), number=number))

    assert outcome(as_documents) == outcome(as_rows)


@pytest.mark.parametrize(
    "body",
    [
        b'{"deid_invoice":[{"id":1}]}',  # one row less
        b'{"deid_invoice":[{"id":1},{"id":2},{"id":3}]}',
        b'{"deid_invoice":[{"id":1}],"deid_invoice":[{"id":1},{"id":2}]}',
        b'{"deid_invoice":[{"id":1},{"id":2}]}{"deid_invoice":[]}',
        b'{"deid_invoice":[{"id":1},{"id":2}',
        b'{"deid_invoice":[{"id":1},{"id":2,"notes":"\xff"}]}',
        b'{"other":[{"id":1},{"id":2}]}',
        b"[]",
        b"",
    ],
)
def test_documents_with_other_rows_are_ignored(body: bytes) -> None:
    rows = [msgspec.Raw(b'{"id":1}'), msgspec.Raw(b'{"id":2}')]
    result = outcome([raw_page(rows, RawPage(body, ("deid_invoice",)))])

    assert result == outcome([raw_page(rows)])


@pytest.mark.parametrize("read", ["list", "pull"])
async def test_export_does_not_split_pages_of_good_rows(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> NoReturn:
        raise AssertionError("a page was split")

    monkeypatch.setattr(RowsOfPage, "rows", property(refused))
    target = tmp_path / "x.parquet"
    async with (
        Sandbox(invoices=300, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        source = aiwyn.invoices.list(page_size=20) if read == "list" else aiwyn.invoices.pull(page_size=20)
        result = await export(source, target)
        assert result.report.complete
        ((count, cents),) = box.query("SELECT count(*), sum(total_cents) FROM invoices")

    table = pq.read_table(target, columns=["totalAmount"])
    assert table.num_rows == count
    assert sum(table["totalAmount"].to_pylist()) * 100 == Decimal(str(cents))
