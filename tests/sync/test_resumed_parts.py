"""Reads that resume among rows without a timestamp, after dated rows that are not proven complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, Checkpoint, IncompleteError, PermissionDeniedError
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
