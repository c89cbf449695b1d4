"""The clock that bounds a bookmark, if the server sets it back, or sends a ``Date`` that is not valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sync import sync
from duckdb_files import stored_notes
from model_firm import FirmServer, exact_firm, micros_of


@pytest.mark.parametrize("zone", ["", "Z"])
@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sun, 02 Mar 12025 12:00:00 GMT",
        "2025-03-02T12:00:00Z",
    ],
)
async def test_invalid_date_header_counts_as_none(
    date: str, zone: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm = firm = exact_firm(unit=1_000_000, zone=zone)
    firm.date = date
    firm.put(1, "2025-03-02T10:00:00Z")
    firm.put(2, "9999-12-31T23:59:59Z")
    result = await sync(reader.invoices, path)
    assert result.bookmark == f"2025-03-02T10:00:00{zone}"
    (problem,) = result.problems
    assert "after this machine's clock" in problem
    firm.put(1, "2025-03-02T11:00:00Z")
    await sync(reader.invoices, path)
    assert stored_notes(path) == firm.notes()


async def test_bookmark_follows_a_clock_that_was_set_back_before_all_rows(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T11:00:00Z")
    await sync(reader.invoices, path)
    served.firm.now = micros_of("2025-03-02T09:00:00Z")
    result = await sync(reader.invoices, path)
    assert result.bookmark == "2025-03-02T09:00:00Z"
    served.firm.put(2, "2025-03-02T09:30:00Z")
    served.firm.now = micros_of("2025-03-02T12:00:00Z")
    result = await sync(reader.invoices, path)
    assert (result.inserted, result.problems) == (1, [])
    assert stored_notes(path) == served.firm.notes()
