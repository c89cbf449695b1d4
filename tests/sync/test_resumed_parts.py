"""Resumed reads: what was not proven before, and what changed since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, Checkpoint, IncompleteError, PermissionDeniedError, RequestError
from aiwyn_async.sync import sync
from duckdb_files import stored_notes
from model_firm import FirmServer

SINCE = "2025-03-01T00:00:00Z"


class MemoryState(dict[str, str]):
    """A state in memory."""

    def put(self, key: str, value: str, /) -> None:
        self[key] = value


def without_row_4(body: Any, content: bytes) -> bytes:
    """Count row 4, and leave it out of the dated rows."""
    if "_gte" not in str(body["where"]):
        return content
    response = msgspec.json.decode(content)
    response["deid_invoice"] = [row for row in response["deid_invoice"] if row["id"] != 4]
    return msgspec.json.encode(response)


def fill(served: FirmServer, day: int) -> None:
    for number in range(1, 8):
        served.firm.put(number, f"2025-03-0{day}T10:0{number}:00Z")
    for number in range(8, 20):
        served.firm.put(number, None)


@pytest.mark.parametrize("refused", [10, 12, 14])
async def test_sync_resumed_among_null_timestamps_does_not_pass_a_lost_row(
    refused: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    fill(served, 1)
    first = await sync(reader.invoices, path, page_size=2)
    fill(served, 2)

    def refuse(body: Any, content: bytes) -> bytes | None:
        return None if b'"id":%d,' % refused in content else without_row_4(body, content)

    served.alter = refuse
    with pytest.raises(PermissionDeniedError):
        await sync(reader.invoices, path, page_size=2)
    served.alter = None
    resumed = await sync(reader.invoices, path, page_size=2)
    assert (resumed.complete, resumed.bookmark) == (False, first.bookmark)
    assert any("6 " in problem and "7" in problem for problem in resumed.problems), resumed.problems
    assert (await sync(reader.invoices, path, page_size=2)).complete
    assert stored_notes(path) == served.firm.notes()


async def test_changes_resumed_among_null_timestamps_are_not_acknowledged(
    served: FirmServer, reader: AiwynClient
) -> None:
    fill(served, 1)
    served.alter = without_row_4
    checkpoint: Checkpoint | None = None
    async for page in reader.invoices.changes(since=SINCE, state=MemoryState(), page_size=2).pages():
        checkpoint = page.checkpoint
        if page.items[0].id == 8:
            break
    resumed = reader.invoices.changes(since=SINCE, state=MemoryState(), page_size=2, resume=checkpoint)
    await resumed.collect()
    assert resumed.blocking_problems()
    with pytest.raises(IncompleteError, match="the bookmark is not moved"):
        await resumed.ack()


async def test_checkpoint_of_changes_without_unproven_parts_resumes(
    served: FirmServer, reader: AiwynClient
) -> None:
    """As an earlier release stored it."""
    fill(served, 1)
    page = await anext(aiter(reader.invoices.changes(since=SINCE, page_size=2).pages()))
    position = {name: value for name, value in page.checkpoint.position.items() if name != "unproven"}
    stored = Checkpoint(endpoint=page.checkpoint.endpoint, query=page.checkpoint.query, position=position)
    resumed = reader.invoices.changes(since=SINCE, page_size=2, resume=stored)
    assert len(await resumed.collect()) == 17
    assert resumed.complete


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("stops_at", range(3, 30, 3))
async def test_resumed_sync_reads_what_changed_since_the_interrupted_run(
    is_first: bool, stops_at: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 79):
        firm.put(number, f"2025-03-01T09:{number % 60:02}:00Z")
    if not is_first:
        await sync(reader.invoices, path)
        for number in range(1, 79):
            firm.put(number, f"2025-03-02T09:{number % 60:02}:00Z")
    firm.requests = 0
    served.alter = lambda _body, content: content if firm.requests < stops_at else None
    with pytest.raises((PermissionDeniedError, IncompleteError)):
        await sync(reader.invoices, path, page_size=3)
    served.alter = None
    firm.put(9, "2025-03-02T11:00:00Z")
    firm.put(100, "2025-03-02T11:01:00Z")
    result = await sync(reader.invoices, path, page_size=3)
    assert result.complete
    assert stored_notes(path) == firm.notes()


async def test_resumed_sync_of_a_resource_without_timestamps_says_so(
    firm: Any, aiwyn: AiwynClient, path: Path
) -> None:
    """Which rows changed since is not known; the next sync reads all of them."""
    firm.box.faults.add("engagements.search", nth=5, times=10_000, status=500)
    with pytest.raises(RequestError):
        await sync(aiwyn.with_options(retries=0).engagements, path, page_size=2)
    firm.box.faults.clear()
    results = [await sync(aiwyn.engagements, path, page_size=2) for _ in range(2)]
    assert [len(result.notes) for result in results] == [1, 0]
    assert "an interrupted run was continued" in results[0].notes[0]
