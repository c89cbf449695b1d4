"""A bookmark moves only after complete reads, and never past the server's clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from aiwyn_async import AiwynClient, Checkpoint, IncompleteError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from duckdb_files import stored_notes
from edited_checkpoints import edited
from model_firm import FirmServer, exact_firm, micros_of


class MemoryState:
    """A state in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, /) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str, /) -> None:
        self.values[key] = value


@pytest.mark.parametrize("zone", ["Z", "+00:00", ""])
@pytest.mark.parametrize("ahead", ["2025-03-03T01:00:00", "2099-12-31T00:00:00"])
async def test_row_dated_in_the_future_does_not_hide_later_changes(
    ahead: str, zone: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = exact_firm(unit=1_000_000, zone=zone)
    served.firm = firm
    firm.put(1, "2025-03-02T10:00:00Z")
    firm.put(2, "2025-03-02T11:00:00Z")
    firm.put(3, ahead + "Z")
    first = await sync(reader.invoices, path)
    assert first.bookmark == f"2025-03-02T11:00:00{zone}"
    assert stored_notes(path) == firm.notes()
    is_named = zone != "" or ahead.startswith("2099")  # without a zone it may be local time
    assert [
        problem
        for problem in first.problems
        if f"row 3 of /gql/v1/invoices/search is dated {ahead}" in problem
    ] == (first.problems if is_named else [])
    assert first.complete is not is_named

    for hour in (13, 14):  # while that row stays as it is
        firm.now = micros_of(f"2025-03-02T{hour}:30:00Z")
        firm.put(1, f"2025-03-02T{hour}:00:00Z")
        again = await sync(reader.invoices, path)
        assert stored_notes(path) == firm.notes()
        assert again.bookmark == f"2025-03-02T{hour}:00:00{zone}"
        assert again.complete is not is_named

    firm.now = micros_of("2025-03-03T15:00:00Z")
    firm.put(3, "2025-03-03T14:00:00Z")
    last = await sync(reader.invoices, path)
    assert last.complete
    assert last.bookmark == f"2025-03-03T14:00:00{zone}"
    assert stored_notes(path) == firm.notes()


async def test_bookmark_never_passes_the_servers_clock(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.put(1, "2025-03-02T12:04:00Z")
    first = await sync(reader.invoices, path)
    assert (first.complete, first.bookmark) == (True, "2025-03-02T12:00:00Z")
    firm.put(2, "2025-03-02T12:01:00Z")
    assert (await sync(reader.invoices, path, overlap=0)).inserted == 1


async def test_bookmark_in_the_future_causes_full_read(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.put(1, "2025-03-02T10:00:00Z")
    firm.put(2, "2025-03-02T11:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        (text,) = file.execute("SELECT bookmark FROM _aiwyn_sync").fetchall()[0]
        later = edited(Checkpoint.from_json(text), bookmark="2099-12-31T00:00:00Z")
        file.execute("UPDATE _aiwyn_sync SET bookmark = ?", [later.to_json()])
    firm.put(1, "2025-03-02T11:30:00Z")
    result = await sync(reader.invoices, path)
    assert result.complete
    assert any("older than the bookmark" in note for note in result.notes)
    assert stored_notes(path) == firm.notes()


async def test_bookmark_uses_local_clock_without_date_header(
    served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    served.firm.has_date = False
    served.firm.put(1, "2025-06-15T15:00:00Z")  # the fake clock starts at 15:06:40
    served.firm.put(2, "2025-06-15T17:00:00Z")
    result = await sync(reader.invoices, tmp_path / "firm.duckdb")
    assert result.bookmark == "2025-06-15T15:00:00.000000Z"
    (problem,) = result.problems
    assert "this machine's clock (the server sends no Date)" in problem


async def test_bookmark_later_than_newest_row_causes_full_read(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 6):
        firm.put(number, f"2025-03-02T0{number}:00:00Z")
    await sync(reader.invoices, path)
    del firm.rows[5]
    firm.put(4, "2025-03-01T00:00:00Z")
    firm.put(1, "2025-02-01T00:00:00Z")
    result = await sync(reader.invoices, path)
    assert result.complete
    assert any("all rows were read again" in note for note in result.notes)
    assert stored_notes(path) == firm.notes() | {5: "version 5"}, "only a sweep finds deleted rows"
    assert (await sync(reader.invoices, path)).notes == []


@pytest.mark.parametrize("newest", ["deleted", "set back"])
async def test_restored_server_is_detected_by_row_at_bookmark(
    newest: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 6):
        firm.put(number, f"2025-03-02T0{number}:00:00Z")
    backup = dict(firm.rows)
    firm.put(2, "2025-03-02T06:00:00Z")
    firm.put(5 if newest == "set back" else 6, "2025-03-02T07:00:00Z")
    await sync(reader.invoices, path)
    firm.rows = backup
    firm.put(9, "2025-03-02T11:00:00Z")
    result = await sync(reader.invoices, path)
    assert result.complete
    assert any("may have been restored" in note for note in result.notes)
    assert {key: text for key, text in stored_notes(path).items() if key != 6} == firm.notes()


async def test_row_leaving_the_condition_is_not_a_restored_server(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    where = {"status": {"_eq": "OVERDUE"}}
    for number in range(1, 9):
        firm.put(number, f"2025-03-02T0{number}:00:00Z", status="OVERDUE")
    await sync(reader.invoices, path, where=where)
    firm.put(8, "2025-03-02T09:00:00Z", status="PAID")
    result = await sync(reader.invoices, path, where=where)
    assert (result.notes, result.complete) == ([], True)
    assert result.rows_received == 1, "that at the bookmark before"


@pytest.mark.parametrize("unit", [1000, 1_000_000])
async def test_server_comparing_timestamps_as_text_is_detected(
    unit: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """Its newest row does not fit the upper bound, which has more digits."""
    served.firm = firm = exact_firm(unit=unit)
    firm.compares_text = True
    for number in range(1, 6):
        firm.put(number, f"2025-03-02T0{number}:00:00Z")
    assert (await sync(reader.invoices, path)).complete
    firm.put(2, "2025-03-02T08:00:00Z")
    for _ in range(2):
        result = await sync(reader.invoices, path)
        assert not result.complete
        assert any("row 2, the newest at the start" in problem for problem in result.problems)
        assert str(result.bookmark).startswith("2025-03-02T05:00:00"), "it stays"
    assert (await sync(reader.invoices, path, full=True)).complete
    assert stored_notes(path) == firm.notes()


async def test_stale_newest_row_retains_the_bookmark(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """The read is served by a replica that lags behind the one that returned the newest row."""
    firm = served.firm
    firm.put(1, "2025-03-02T10:00:00Z")
    firm.put(2, "2025-03-02T10:01:00Z")
    await sync(reader.invoices, path)
    lagging = dict(firm.rows)
    firm.put(1, "2025-03-02T10:02:00Z")
    current = firm.rows

    def lag() -> None:
        firm.rows = lagging if firm.requests % 4 in {1, 2} else current

    firm.requests, firm.on_request = 0, lag
    result = await sync(reader.invoices, path)
    assert not result.complete
    assert any("row 1, the newest at the start" in problem for problem in result.problems)
    firm.on_request, firm.rows = None, current
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == firm.notes()


def without_rows(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body) | {"deid_invoice": []})


@pytest.mark.parametrize("nth", [4, 8, 12])
async def test_lost_page_retains_the_bookmark_until_all_rows_are_read(nth: int, path: Path) -> None:
    async with (
        Sandbox(invoices=300, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        # Twice in a row, so that repeating the request does not help.
        box.faults.add("invoices.search", nth=nth, times=2, mutate=without_rows)
        completed: list[bool] = []
        for _ in range(3):
            completed.append((await sync(aiwyn.invoices, path, page_size=20)).complete)
            assert not completed[-1] or len(stored_notes(path)) == 300
        assert completed[-1]


async def test_ack_refuses_changes_with_a_lost_page(served: FirmServer, reader: AiwynClient) -> None:
    firm, memory = served.firm, MemoryState()
    for number in range(1, 41):
        firm.put(number, f"2025-03-02T08:00:{number:02}Z")
    first = reader.invoices.changes(state=memory, page_size=5)
    await first.collect()
    await first.ack()
    for number in range(1, 31):
        firm.put(number, f"2025-03-02T09:00:{number:02}Z")
    before = dict(memory.values)
    firm.empty_pages = 100
    broken = reader.invoices.changes(state=memory, page_size=5)
    await broken.collect()
    firm.empty_pages = 0
    assert not broken.complete
    assert broken.problems()
    with pytest.raises(IncompleteError, match="the bookmark is not moved"):
        await broken.ack()
    assert memory.values == before
    assert broken.bookmark == first.bookmark
    again = reader.invoices.changes(state=memory, page_size=5)
    assert len(await again.collect()) >= 30
    assert again.complete
    await again.ack()
    assert memory.values != before


async def test_rows_leaving_the_span_during_a_read_are_not_a_problem(
    served: FirmServer, reader: AiwynClient
) -> None:
    firm, memory = served.firm, MemoryState()
    for number in range(1, 41):
        firm.put(number, f"2025-03-02T08:00:{number:02}Z")
    first = reader.invoices.changes(state=memory)
    await first.collect()
    await first.ack()
    for number in range(1, 31):
        firm.put(number, f"2025-03-02T09:00:{number:02}Z")
    changes = reader.invoices.changes(state=memory, page_size=5, overlap=0)
    moved = iter(range(28, 20, -1))

    def move() -> None:
        number = next(moved, None)
        if number is not None:
            firm.put(number, f"2025-03-02T10:00:{number:02}Z")

    async for _ in changes.pages():
        move()
    assert changes.complete, changes.problems()
    await changes.ack()
    assert changes.bookmark == "2025-03-02T09:00:30.000000Z"


@pytest.mark.parametrize("on_bad_row", ["skip", "collect"])
@pytest.mark.parametrize("bad", [2, 4])
async def test_bad_row_does_not_hide_that_the_newest_row_is_missing(
    on_bad_row: Any, bad: int, served: FirmServer, reader: AiwynClient
) -> None:
    """Only the newest row itself may be the row that was left out."""
    for number in range(1, 5):
        served.firm.put(number, f"2025-03-02T01:0{number}:00Z")

    def without_newest(body: Any, content: bytes) -> bytes:
        page = msgspec.json.decode(content)
        for row in page["deid_invoice"]:
            row["totalAmount"] = "a lot" if row["id"] == bad else row["totalAmount"]
        if '"asc"}, {"id"' in str(body["orderBy"]).replace("'", '"') and bad != 4:
            page["deid_invoice"] = [row for row in page["deid_invoice"] if row["id"] != 4]
        return msgspec.json.encode(page)

    served.firm.has_counts = False
    served.alter = without_newest
    changes = reader.invoices.changes(since="2025-03-01T00:00:00Z", on_bad_row=on_bad_row)
    keys = [row.id for row in await changes.collect()]
    if bad == 4:
        assert (keys, changes.blocking_problems()) == ([1, 2, 3], [])
    else:
        assert keys == [1, 3]
        assert ["row 4, the newest at the start" in problem for problem in changes.blocking_problems()] == [
            True
        ]


@pytest.mark.parametrize("has_counts", [True, False])
@pytest.mark.parametrize("stale", range(-9, 0))
async def test_stale_response_among_rows_without_a_timestamp_loses_none(
    has_counts: bool, stale: int, served: FirmServer, reader: AiwynClient
) -> None:
    """Instead of the first page of these rows, the response to an earlier request arrives once."""
    firm, sent, answered = served.firm, list[bytes](), list[int]()
    firm.has_counts = has_counts
    for number in range(1, 41):
        firm.put(number, f"2025-03-01T01:{number:02}:00Z" if 2 < number < 39 else None)

    def alter(body: Any, content: bytes) -> bytes:
        sent.append(content)
        if "'_is_null': True" in str(body["where"]) and not answered:
            answered.append(1)
            return sent[stale]
        return content

    served.alter = alter
    changes = reader.invoices.changes(since="2025-03-01T00:00:00Z", page_size=6)
    assert sorted(row.id for row in await changes.collect()) == list(range(1, 41))
    assert changes.complete


async def test_server_that_ignores_a_null_condition_loses_no_row(
    served: FirmServer, reader: AiwynClient
) -> None:
    for number in range(1, 21):
        served.firm.put(number, f"2025-03-01T01:{number:02}:00Z" if 2 < number < 19 else None)

    def alter(body: Any, content: bytes) -> bytes:
        if "'_is_null': True" not in str(body["where"]):
            return content
        beyond = {"_and": [term for term in body["where"].get("_and", []) if "updatedAt" not in term]}
        return msgspec.json.encode(served.firm.search(body | {"where": beyond}))

    served.alter = alter
    changes = reader.invoices.changes(since="2025-03-01T01:10:00Z", page_size=6)
    assert {row.id for row in await changes.collect()} == set(range(1, 21))
    assert changes.complete
