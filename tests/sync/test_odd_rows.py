"""Keys and timestamps in another case, and rows that are not valid JSON, in syncs and reads of changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, PaginationError
from aiwyn_async.sync import sync
from model_firm import FirmServer


def spell(firm: Any, *names: tuple[bytes, bytes]) -> None:
    """Rename fields in every search response."""

    def respell(body: bytes) -> bytes:
        for declared, sent in names:
            body = body.replace(b'"%b":' % declared, b'"%b":' % sent)
        return body

    firm.box.faults.add("invoices.search", every=1, mutate=respell)


SPELLINGS = {
    "snake": [(b"updatedAt", b"updated_at"), (b"totalAmount", b"total_amount")],
    "kebab": [(b"updatedAt", b"updated-at")],
    "capitals": [(b"updatedAt", b"UpdatedAt"), (b"id", b"ID")],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_sync_reads_keys_and_timestamps_in_another_case(
    spelling: str, firm: Any, aiwyn: AiwynClient, path: Path
) -> None:
    spell(firm, *SPELLINGS[spelling])
    first = await sync(aiwyn.invoices, path)
    firm.update(firm.ids()[40])
    (new,) = firm.insert()
    second = await sync(aiwyn.invoices, path, reconcile_deletes=True)

    assert (first.inserted, first.problems, first.bookmark is not None) == (120, [], True)
    assert (second.inserted, second.updated, second.deleted, second.problems) == (1, 1, 0, [])
    changes = await aiwyn.invoices.changes(since="2025-01-01T00:00:00Z").collect()
    assert sorted(row.id for row in changes) == sorted([firm.ids()[40], new])


async def test_invalid_json_row_is_skipped_by_key_and_counted_once(
    firm: Any, aiwyn: AiwynClient, path: Path
) -> None:
    key = firm.ids()[50]
    firm.box.faults.add(
        "invoices.search",
        every=1,
        mutate=lambda body: re.sub(rb'("id":%d,)' % key, rb'\1"torn":"' + b"\t" + rb'",', body),
    )
    runs = [
        await sync(aiwyn.invoices, path, page_size=25, on_bad_row="collect", reconcile_deletes=True)
        for _ in range(2)
    ]

    assert [(run.skipped, [row.key for row in run.bad_rows]) for run in runs] == [(1, [key])] * 2
    assert (runs[0].inserted, runs[0].unchanged) == (119, 0)


async def test_changes_skip_only_the_row_with_an_invalid_timestamp(firm: Any, aiwyn: AiwynClient) -> None:
    key = firm.ids()[50]
    timestamp = rb'("id":%d,[^{}]*(?:\{[^{}]*\}[^{}]*)*?"updatedAt":)"[^"]*"' % key
    firm.box.faults.add("invoices.search", every=1, mutate=lambda body: re.sub(timestamp, rb'\1"soon"', body))
    read = aiwyn.invoices.changes(since="2000-01-01T00:00:00Z", page_size=25, on_bad_row="collect")

    assert len(await read.collect()) == 119
    assert [row.key for row in read.bad_rows] == [key]


@pytest.mark.parametrize("rows", [7, 8, 19])
async def test_invalid_json_row_at_the_end_of_a_page_does_not_hold_the_bookmark(
    rows: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """The next page begins after the row before it, and returns it again."""
    firm = served.firm
    for day in (1, 2):
        for number in range(1, rows + 1):
            firm.put(number, f"2025-03-0{day}T01:{number:02}:00Z")
        if day == 1:
            await sync(reader.invoices, path)
    served.alter = lambda _body, content: content.replace(b'"id":6,', b'"id":6,"torn":"\t",')
    result = await sync(reader.invoices, path, page_size=2, on_bad_row="collect")
    assert result.problems == ["1 rows do not decode and were left out (6)"]
    assert result.bookmark == f"2025-03-02T01:{rows:02}:00.000000Z"
    assert [row.key for row in result.bad_rows] == [6]


@pytest.mark.parametrize("has_counts", [True, False])
@pytest.mark.parametrize("size", [2, 1000])
async def test_invalid_json_row_alone_on_the_last_page_does_not_hold_the_bookmark(
    has_counts: bool, size: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.has_counts = has_counts
    for number in range(1, 6):
        firm.put(number, f"2025-03-01T01:{number:02}:00Z")
    await sync(reader.invoices, path)
    for number in range(3, 6):
        firm.put(number, f"2025-03-02T01:{number:02}:00Z")
    served.alter = lambda _body, content: content.replace(b'"id":5,', b'"id":5,"torn":"\t",')
    for _ in range(2):
        result = await sync(reader.invoices, path, page_size=size, on_bad_row="collect")
        assert result.problems == ["1 rows do not decode and were left out (5)"]
        assert result.bookmark == "2025-03-02T01:04:00.000000Z"


@pytest.mark.parametrize("key", [2, 3])
async def test_row_at_the_bookmark_with_an_invalid_timestamp_does_not_end_each_run(
    key: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    for number in range(1, 4):
        served.firm.put(number, f"2025-03-02T01:0{number}:00Z")
    await sync(reader.invoices, path)
    served.firm.put(2, "2025-03-02T02:00:00Z")
    served.firm.put(key, "2025-03-02T02:00:00Z", updatedAt="soon")
    for _ in range(2):
        result = await sync(reader.invoices, path, on_bad_row="collect")
        assert result.problems == [f"1 rows do not decode and were left out ({key})"]


async def test_many_rows_with_an_invalid_timestamp_do_not_end_each_run(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """Rows dated "infinity" are later than all others, so the newest change is not among the first ones."""
    served.firm.put(1, "2025-03-02T01:00:00Z")
    for number in range(2, 32):
        served.firm.put(number, "2999-12-31T00:00:00Z", updatedAt="infinity")
    for hour in (2, 3):
        served.firm.put(1, f"2025-03-02T0{hour}:00:00Z")
        result = await sync(reader.invoices, path, on_bad_row="collect")
        assert (result.inserted + result.updated, result.skipped, len(result.problems)) == (1, 30, 1)
        assert result.bookmark == f"2025-03-02T0{hour}:00:00.000000Z"


async def test_column_that_is_not_one_of_timestamps_is_named(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """A server refuses to compare its integers with the text of a timestamp."""
    for number in range(1, 31):
        served.firm.put(number, "2025-03-02T01:00:00Z", updatedAt=1_740_877_200 + number)
    served.alter = lambda body, sent: None if "_lte" in str(body) else sent
    served.refusal = 400
    with pytest.raises(PaginationError, match="is not an ISO 8601 date-time"):
        await sync(reader.invoices, path, on_bad_row="collect")


async def test_ids_that_a_table_does_not_distinguish_are_named(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.has_mixed_keys = True
    served.firm.put(1, "2025-03-02T01:00:00Z")
    served.firm.put(2, "2025-03-02T02:00:00Z", id="1")
    served.firm.put(3, "2025-03-02T03:00:00Z", id="INV-3")
    result = await sync(reader.invoices, path)
    assert result.inserted == 2
    assert result.problems == ["1 ids arrived as a number and as text (1); the table has one row for both"]
