"""Column options and chosen columns change no other value and reject no other row.

AIWYN_EXAMPLES sets the number of examples.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import csv
import decimal
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from aiwyn_async import Invoice
from aiwyn_async._decoding.chosen_fields import choose_fields
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._pagination.page import RawPage
from aiwyn_async.arrow._options import ColumnOptions, column_options
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export._formats import format_for
from raw_pages import raw_page
from row_texts import pages

from .test_outputs_agree import (
    ENVELOPE,
    FIELDS,
    REJECTED,
    body_of,
    canonical,
    fits_money_columns,
    insert_cells,
    raw_rows,
    reject_other_bytes,
    results,
)

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "100"))
DAYS = {"issueDate": "issue_date", "dueDate": "due_date"}
CHOICES = [
    ("id", "totalAmount", "dueDate", "lineItems"),
    ("status", "clientId"),
    ("notes",),
    ("payments", "subtotal"),
]
LONG = settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def arrow(body: bytes, length: int, kind: Any, options: ColumnOptions, *, as_document: bool) -> list[Any]:
    rows, indexes = raw_rows(body)
    document = RawPage(body, ENVELOPE.items) if as_document and len(indexes) == length else None
    page_rows = PageRows([raw_page(rows, document)], "collect", "id")
    cells = RowSchema(kind, options).table(page_rows).to_pylist() if rows else []
    return insert_cells(body, page_rows, indexes, cells, length)


def csv_lines(body: bytes, length: int, kind: Any, options: ColumnOptions) -> list[Any]:
    rows, indexes = raw_rows(body)
    page_rows = PageRows([raw_page(rows)], "collect", "id")
    file = io.BytesIO()
    format_for(Path("x.csv"), kind, "x", options).write_part(file, page_rows)
    csv.field_size_limit(10**6)
    lines = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    return insert_cells(body, page_rows, indexes, lines, length)


def typed(body: bytes, kind: Any) -> list[Any]:
    return results(PageDecoder(kind, ENVELOPE).decode(body))


def fitting(rows: Sequence[Any]) -> list[Any]:
    """Reject the rows with an amount that no column can hold."""
    return [row if fits_money_columns(canonical(row)) else REJECTED for row in rows]


def values_of(row: Any, names: Sequence[str]) -> Any:
    attributes = {field.encode_name: field.name for field in FIELDS}
    return row if row is REJECTED else {name: canonical(getattr(row, attributes[name])) for name in names}


@LONG
@given(pages)
def test_days_and_text_ids_are_those_of_typed_rows(texts: list[str]) -> None:
    body = body_of(texts)
    with decimal.localcontext(decimal.Context(prec=1200)):
        rows = typed(body, Invoice)
        options = column_options(Invoice, ids="text", date_columns=list(DAYS))
        for as_document in (False, True):
            columns = arrow(body, len(rows), Invoice, options, as_document=as_document)
            for row, cells in zip(fitting(rows), columns, strict=True):
                assert (row is REJECTED) == (cells is REJECTED)
                if row is not REJECTED:
                    times = {name: getattr(row, attribute) for name, attribute in DAYS.items()}
                    assert {name: cells[name] for name in DAYS} == {
                        name: value and value.date() for name, value in times.items()
                    }
                    assert cells["id"] == str(row.id)


@LONG
@given(pages)
def test_extra_column_changes_no_other_column(texts: list[str]) -> None:
    body = body_of(texts)
    with decimal.localcontext(decimal.Context(prec=1200)):
        rows = typed(body, Invoice)
        plain, extra = column_options(Invoice), column_options(Invoice, extra="json")
        expected = arrow(body, len(rows), Invoice, plain, as_document=True)
        columns = arrow(body, len(rows), Invoice, extra, as_document=True)
        lines = csv_lines(body, len(rows), Invoice, extra)
        whole = reject_other_bytes(rows, body)
        for row, cells, with_extra, line in zip(whole, expected, columns, lines, strict=True):
            if row is not REJECTED:
                assert line is not REJECTED
                assert (cells is REJECTED) == (with_extra is REJECTED)
                if cells is not REJECTED:
                    assert line[-1] == (with_extra.pop("extra") or "")
                    assert with_extra == cells


@LONG
@given(pages)
def test_chosen_columns_have_the_values_of_whole_rows(texts: list[str]) -> None:
    body = body_of(texts)
    with decimal.localcontext(decimal.Context(prec=1200)):
        for names in CHOICES:
            _check_choice(body, names)


def _check_choice(body: bytes, names: tuple[str, ...]) -> None:
    kind: Any = choose_fields(Invoice, names)
    rows = typed(body, kind)
    expected = [values_of(row, names) for row in rows]
    for chosen, whole in zip(expected, typed(body, Invoice), strict=True):
        assert whole is REJECTED or chosen == values_of(whole, names)
    in_columns = [row if fits_money_columns(row) else REJECTED for row in expected]
    options = column_options(kind)
    for as_document in (False, True):
        assert canonical(arrow(body, len(rows), kind, options, as_document=as_document)) == in_columns
    lines = csv_lines(body, len(rows), kind, options)
    assert [line is REJECTED for line in lines] == [row is REJECTED for row in rows]
