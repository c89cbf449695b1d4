"""The column options of a sync, and what its report says of fields, amounts and repaired rows."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ConfigurationError, StorageError
from aiwyn_async.sync import sync
from duckdb_files import query
from model_firm import FirmServer


def types_of(path: Path) -> dict[str, str]:
    return {row[0]: row[1] for row in query(path, "DESCRIBE invoices")}


async def test_date_columns_hold_the_calendar_day_on_the_wire(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", dueDate="2025-03-31T23:30:00-05:00")
    await sync(reader.invoices, path, date_columns=("dueDate",))
    served.firm.put(2, "2025-03-02T02:00:00Z", dueDate="2025-04-30")
    second = await sync(reader.invoices, path, date_columns=["dueDate"], reconcile_deletes=True)
    assert (second.inserted, second.complete) == (1, True)
    assert types_of(path)["dueDate"] == "DATE"
    assert query(path, "SELECT dueDate FROM invoices ORDER BY id") == [
        (date(2025, 3, 31),),
        (date(2025, 4, 30),),
    ]


@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [
        (("dueDate",), (), r"type DATE instead of .*pass date_columns=\('dueDate',\)"),
        ((), ("dueDate",), "instead of DATE.*remove dueDate from date_columns, or drop the table"),
    ],
)
async def test_other_date_columns_are_refused_before_any_request(
    before: Any, after: Any, advice: str, *, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path, date_columns=before)
    served.firm.requests = 0
    with pytest.raises(StorageError, match=advice):
        await sync(reader.invoices, path, date_columns=after)
    assert served.firm.requests == 0


async def test_sweep_works_if_modified_at_is_a_date(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    for number in (1, 2):
        served.firm.put(number, f"2025-03-02T0{number}:00:00Z")
    await sync(reader.invoices, path, date_columns=("updatedAt",))
    del served.firm.rows[1]
    result = await sync(reader.invoices, path, date_columns=("updatedAt",), reconcile_deletes=True)
    assert (result.deleted, result.complete) == (1, True)


async def test_ids_text_applies_to_new_and_existing_tables(
    served: FirmServer, reader: AiwynClient, path: Path, tmp_path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", clientId=10)
    await sync(reader.invoices, tmp_path / "text.duckdb", ids="text")
    await sync(reader.invoices, path)
    served.firm.put(2, "2025-03-02T02:00:00Z", clientId=20)
    for each in (path, tmp_path / "text.duckdb"):
        result = await sync(reader.invoices, each, ids="text", reconcile_deletes=True)
        assert (result.inserted, result.deleted, result.problems) == (1, 0, [])
        assert query(each, "SELECT id, clientId FROM invoices ORDER BY id") == [("1", "10"), ("2", "20")]


async def test_round_money_rounds_and_counts_amounts(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", totalAmount=1.125, subtotal=0.5)
    result = await sync(reader.invoices, path, round_money=2)
    assert query(path, "SELECT totalAmount, subtotal FROM invoices") == [(Decimal("1.12"), Decimal("0.5"))]
    assert result.report.rounded_amounts == 1
    assert (await sync(reader.invoices, path, full=True)).report.rounded_amounts == 0
    assert query(path, "SELECT totalAmount FROM invoices") == [(Decimal("1.125"),)]


async def test_extra_column_holds_unknown_fields_of_all_rows(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", region="north")
    served.firm.put(2, "2025-03-02T02:00:00Z")
    await sync(reader.invoices, path)
    served.firm.put(3, "2025-03-02T03:00:00Z", region="south", lineItems=[{"id": 1, "colour": "red"}])
    result = await sync(reader.invoices, path, extra="json")
    assert (result.inserted, result.updated) == (1, 1)
    extra = query(path, "SELECT extra FROM invoices ORDER BY id")
    assert [None if text is None else json.loads(text) for (text,) in extra] == [
        {"region": "north"},
        None,
        {"region": "south", "lineItems[0].colour": "red"},
    ]
    served.firm.put(1, "2025-03-02T04:00:00Z", region="west")
    assert (await sync(reader.invoices, path, extra="json", reconcile_deletes=True)).updated == 1
    assert query(path, "SELECT extra FROM invoices WHERE id = 1") == [('{"region":"west"}',)]
    served.firm.requests = 0
    with pytest.raises(StorageError, match=r'has a column extra.*pass extra="json"'):
        await sync(reader.invoices, path)
    assert served.firm.requests == 0


async def test_report_names_unknown_fields_and_counts_repaired_rows(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    served.firm.put(2, "2025-03-02T02:00:00Z", region="north")
    first = await sync(reader.invoices, path, page_size=1)
    assert first.report.unknown_fields == {"region": 2}
    served.firm.put(3, "2025-03-02T03:00:00Z", colour="red", subtotal="")
    # The first part of this read has the rows with a timestamp, the second those without.
    served.firm.put(4, None, size=7)
    second = await sync(reader.invoices, path, overlap=0)
    assert second.report.unknown_fields == {"region": 2, "colour": 3, "size": 4}
    assert second.report.repaired_rows == 1
    assert second.complete


async def test_report_counts_each_bad_row_once(served: FirmServer, reader: AiwynClient, path: Path) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", totalAmount="a lot")
    served.firm.put(2, "2025-03-02T02:00:00Z")
    for _ in range(2):
        result = await sync(reader.invoices, path, full=True, reconcile_deletes=True, on_bad_row="skip")
        assert (result.report.bad_rows, result.skipped) == (1, 1)


async def test_changes_report_names_unknown_fields_of_all_parts(
    served: FirmServer, reader: AiwynClient
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z", region="north")
    served.firm.put(2, None, size=7)
    changes = reader.invoices.changes(since="2025-03-01T00:00:00Z")
    assert len(await changes.collect()) == 2
    assert changes.report.unknown_fields == {"region": 1, "size": 2}


@pytest.mark.parametrize(
    "option",
    [
        {"ids": "number"},
        {"date_columns": "dueDate"},
        {"date_columns": ("totalAmount",)},
        {"round_money": 10},
        {"extra": "yes"},
    ],
)
async def test_column_options_are_checked_before_a_file_is_created(
    option: dict[str, Any], served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        await sync(reader.invoices, path, **option)
    assert (served.firm.requests, path.exists()) == (0, False)
