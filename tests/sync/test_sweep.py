"""Sweeps over all keys, full reads, and rows that do not decode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.sync import sync
from duckdb_files import query, stored_notes
from model_firm import FirmServer, ModelFirm, exact_firm


def put_eight_rows(firm: ModelFirm) -> None:
    for number in range(1, 9):
        firm.put(number, f"2025-03-02T0{number}:00:00Z")


@pytest.mark.parametrize("zone", ["", "Z"])
@pytest.mark.parametrize("way", ["sweep", "full", "overlap"])
async def test_change_in_the_repeated_hour_of_autumn_is_read(
    way: str, zone: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm = firm = exact_firm(now="2025-10-26T03:00:00Z", unit=1_000_000, zone=zone)
    ways: dict[str, Any] = {"sweep": {"reconcile_deletes": True}, "full": {"full": True}}
    firm.put(1, "2025-10-26T00:00:00Z")
    firm.put(2, "2025-10-26T02:55:00Z")
    await sync(reader.invoices, path)
    firm.put(1, "2025-10-26T02:10:00Z")
    plain = await sync(reader.invoices, path)
    # Without a zone the default overlap is more than that hour.
    assert (stored_notes(path) == firm.notes()) is (zone == "")
    assert plain.complete
    result = await sync(reader.invoices, path, **ways.get(way, {"overlap": 3600}))
    assert stored_notes(path) == firm.notes()
    assert result.complete


async def test_sweep_reads_only_rows_whose_timestamp_differs(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 31):
        firm.put(number, f"2025-03-01T10:{number:02}:00Z")
    firm.put(40, "2025-03-02T11:00:00Z")
    await sync(reader.invoices, path)
    firm.put(3, "2025-02-01T00:00:00Z")
    firm.put(4, "2025-03-01T12:00:00Z")
    firm.put(5, None)
    del firm.rows[6]
    result = await sync(reader.invoices, path, reconcile_deletes=True)
    assert (result.updated, result.deleted, result.complete) == (3, 1, True)
    assert result.rows_received <= 5
    assert stored_notes(path) == firm.notes()
    again = await sync(reader.invoices, path, reconcile_deletes=True)
    assert (again.inserted, again.updated, again.deleted) == (0, 0, 0)


async def test_sweep_reads_many_different_rows_by_one_pull(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 801):
        firm.write(number, firm.now - number)
    firm.put(900, "2025-03-02T12:00:00Z")
    await sync(reader.invoices, path)
    for number in range(1, 700):
        firm.write(number, firm.now - 10**9 - number)
    served.firm.requests = 0
    result = await sync(reader.invoices, path, reconcile_deletes=True)
    assert (result.updated, result.complete) == (699, True)
    assert stored_notes(path) == firm.notes()


async def test_full_read_finds_changes_without_a_new_timestamp(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.put(1, "2025-02-01T00:00:00Z")
    firm.put(2, "2025-03-02T00:00:00Z")
    await sync(reader.invoices, path)
    firm.put(1, "2025-02-01T00:00:00Z")
    await sync(reader.invoices, path, reconcile_deletes=True)
    assert stored_notes(path) != firm.notes()
    result = await sync(reader.invoices, path, full=True)
    assert (result.rows_received, result.updated, result.complete) == (2, 1, True)
    assert stored_notes(path) == firm.notes()


@pytest.mark.parametrize("on_bad_row", ["skip", "collect"])
async def test_bad_row_is_named_and_requested_again(
    on_bad_row: Any, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    put_eight_rows(firm)
    firm.extra_fields[3] = {"totalAmount": []}
    with pytest.raises(DecodeError, match="totalAmount"):
        await sync(reader.invoices, path)
    first = await sync(reader.invoices, path, on_bad_row=on_bad_row, page_size=3)
    assert (first.skipped, first.complete) == (1, False)
    assert first.problems == ["1 rows do not decode and were left out (3)"]
    assert [b'"id":3' in row.raw for row in first.bad_rows] == ([True] if on_bad_row == "collect" else [])
    assert stored_notes(path).keys() == firm.rows.keys() - {3}

    firm.put(8, "2025-03-02T10:00:00Z")
    for deletes in (False, True):  # the bookmark moved on, and the row is not forgotten
        again = await sync(reader.invoices, path, on_bad_row=on_bad_row, reconcile_deletes=deletes)
        assert (again.skipped, again.complete) == (1, False)
        assert again.rows_received < 5
        assert again.bookmark == "2025-03-02T10:00:00.000000Z"

    del firm.extra_fields[3]  # it decodes, with the same timestamp
    last = await sync(reader.invoices, path, on_bad_row=on_bad_row)
    assert (last.skipped, last.complete, last.inserted) == (0, True, 1)
    assert stored_notes(path) == firm.notes()


async def test_deleted_bad_row_is_not_a_problem(served: FirmServer, reader: AiwynClient, path: Path) -> None:
    firm = served.firm
    firm.put(1, "2025-03-02T01:00:00Z")
    firm.put(2, "2025-03-02T02:00:00Z", totalAmount="a lot")
    firm.put(3, "2025-03-02T03:00:00Z")
    assert (await sync(reader.invoices, path, on_bad_row="skip")).skipped == 1
    del firm.rows[2]
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == firm.notes()


@pytest.mark.parametrize("bad", [{"totalAmount": "a lot"}, {"id": []}])
async def test_newest_row_may_be_a_bad_row(
    bad: dict[str, Any], served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.put(1, "2025-03-02T01:00:00Z")
    firm.put(2, "2025-03-02T02:00:00Z")
    await sync(reader.invoices, path)
    firm.put(1, "2025-03-02T03:00:00Z")
    firm.put(2, "2025-03-02T04:00:00Z", **bad)
    for _ in range(2):
        result = await sync(reader.invoices, path, on_bad_row="skip")
        assert (result.skipped >= 1, result.complete) == (True, False)
        assert stored_notes(path)[1] == firm.rows[1].notes
        with pytest.raises(DecodeError):
            await sync(reader.invoices, path)


@pytest.mark.parametrize(
    "bad", [{"id": None}, {"id": []}, {"updatedAt": 5}, {"lineItems": [{"amount": "a lot"}]}]
)
async def test_bad_row_does_not_delay_other_changes(
    bad: dict[str, Any], served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 13):
        firm.put(number, f"2025-03-02T01:{number:02}:00Z")
    await sync(reader.invoices, path)
    for number in range(1, 10):
        firm.put(number, f"2025-03-02T02:{number:02}:00Z")
    firm.extra_fields[5] = bad
    for _ in range(2):
        result = await sync(reader.invoices, path, on_bad_row="skip", page_size=4)
        assert (result.skipped >= 1, result.complete) == (True, False), result
        assert {key: text for key, text in stored_notes(path).items() if key != 5} == {
            key: text for key, text in firm.notes().items() if key != 5
        }
    del firm.extra_fields[5]
    await sync(reader.invoices, path, full=True)
    assert stored_notes(path) == firm.notes()
    assert (await sync(reader.invoices, path)).complete


async def test_sweep_marks_nothing_if_a_row_has_no_readable_key(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    put_eight_rows(firm)
    await sync(reader.invoices, path)
    del firm.rows[2]
    firm.put(3, "2025-02-01T00:00:00Z")
    firm.extra_fields[5] = {"id": None}
    result = await sync(reader.invoices, path, on_bad_row="skip", reconcile_deletes=True)
    assert (result.deleted, result.updated) == (0, 1)
    assert any("no row was marked as deleted" in problem for problem in result.problems)
    del firm.extra_fields[5]
    assert (await sync(reader.invoices, path, reconcile_deletes=True, full=True)).deleted == 1
    assert stored_notes(path) == firm.notes()


async def test_unknown_on_bad_row_is_refused_before_any_request(
    served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    on_bad_row: Any = "ignore"
    with pytest.raises(ConfigurationError, match="on_bad_row"):
        await sync(reader.invoices, tmp_path / "firm.duckdb", on_bad_row=on_bad_row)
    assert served.firm.requests == 0


@pytest.mark.parametrize("key", [4, 99])
async def test_incomplete_lookup_of_a_sweep_is_a_problem_until_all_rows_are_read(
    key: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """The sweep names a row that was changed or inserted late, and its lookup loses a page."""
    firm = served.firm
    put_eight_rows(firm)
    await sync(reader.invoices, path)
    firm.put(key, "2025-02-01T00:00:00Z")

    def without_rows(body: Any, content: bytes) -> bytes:
        return re.sub(rb"\[.*\]", b"[]", content) if "'_in'" in str(body.get("where")) else content

    served.alter = without_rows
    assert not (await sync(reader.invoices, path, reconcile_deletes=True)).complete
    served.alter = None
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == firm.notes()


async def test_sync_after_a_failed_lookup_of_a_sweep_reads_all_rows(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    put_eight_rows(firm)
    await sync(reader.invoices, path)
    firm.put(99, "2025-02-01T00:00:00Z")

    def fail_lookup(body: Any, content: bytes) -> bytes:
        return b'{"errors":[{"message":"busy"}]}' if "'_in'" in str(body.get("where")) else content

    served.alter = fail_lookup
    with pytest.raises(ApiError, match="busy"):
        await sync(reader.invoices, path, reconcile_deletes=True)
    served.alter = None
    assert (await sync(reader.invoices, path)).inserted == 1
    assert stored_notes(path) == firm.notes()


async def test_sync_after_a_sweep_that_pulled_all_rows_reads_all_rows(
    firm: Any, aiwyn: AiwynClient, path: Path
) -> None:
    """The sweep's pull of many different rows is not an interrupted run to continue."""
    starts: list[Any] = []

    def insert_before_sweep(body: Any) -> bool:
        if body == {"orderBy": [{"id": "asc"}], "pageSize": 1000}:
            starts.append(body)
            if len(starts) == 2:
                firm.box.insert("engagements", count=600)
        return False

    await sync(aiwyn.engagements, path)
    firm.box.faults.add("engagements.search", times=10_000, status=500, match=insert_before_sweep)
    swept = await sync(aiwyn.engagements, path, reconcile_deletes=True)
    assert (swept.inserted, swept.complete) == (600, True)
    (new,) = firm.box.insert("engagements")
    result = await sync(aiwyn.engagements, path)
    assert (result.inserted, result.notes) == (1, [])
    assert [(new,)] == query(path, "SELECT max(id) FROM engagements")
