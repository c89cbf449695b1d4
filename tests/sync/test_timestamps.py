"""Timestamps as text: arithmetic and comparison preserve their format and microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._changes.bounds import to_timedelta, to_wire
from aiwyn_async._decoding.values import as_timestamp
from aiwyn_async._pagination.timestamps import instant_of, last_shown_as, subtract
from aiwyn_async.sync import sync
from duckdb_files import stored_notes
from model_firm import FirmServer, exact_firm

NAIVE = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ZONED = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), NAIVE, st.just(UTC) | ZONES)
MOMENTS = NAIVE | ZONED
OVERLAPS = st.timedeltas(timedelta(0), timedelta(days=400))


@given(MOMENTS, OVERLAPS)
def test_subtract_is_exact_and_preserves_the_format(moment: datetime, by: timedelta) -> None:
    text = to_wire("since", moment)
    moved = subtract(text, by)
    assert instant_of(text) - instant_of(moved) == by
    assert (datetime.fromisoformat(moved).tzinfo is None) == (moment.tzinfo is None)
    assert text.endswith("Z") == moved.endswith("Z")


@given(MOMENTS, st.integers(0, 6))
def test_last_shown_as_is_an_upper_bound(moment: datetime, digits: int) -> None:
    """If a server shows fewer digits than it compares, the upper bound excludes no row."""
    full = moment.isoformat(timespec="microseconds")
    head, fraction, zone = full[:19], full[20:26], full[26:]
    shown = f"{head}.{fraction[:digits]}{zone}" if digits else f"{head}{zone}"
    last = last_shown_as(shown)
    assert instant_of(shown) <= instant_of(full) <= instant_of(last)
    assert instant_of(last) - instant_of(shown) < timedelta(microseconds=10 ** (6 - digits))
    assert last_shown_as(last) == last


def test_small_letters_and_spaces_around_are_those_of_the_contract_of_values() -> None:
    for text in ("2024-01-15t10:30:00z", " 2024-01-15T10:30:00.0Z ", "2024-01-15 10:30:00 z"):
        assert instant_of(text) == as_timestamp(text)
        assert instant_of(subtract(text, timedelta(seconds=1))) == as_timestamp(text) - timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["z", "Z", ""])
async def test_timestamps_of_any_spelling_are_compared(
    zone: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm = firm = exact_firm(unit=1_000_000, zone=zone)
    firm.put(1, "2025-03-02T08:00:00Z")
    firm.put(2, "2025-03-02T09:00:00Z")
    first = await sync(reader.invoices, path)
    assert (first.problems, first.inserted) == ([], 2)
    firm.put(1, "2025-03-02T10:00:00Z")
    second = await sync(reader.invoices, path, reconcile_deletes=True)
    assert (second.problems, second.bookmark) == ([], f"2025-03-02T10:00:00{zone}")
    assert stored_notes(path) == firm.notes()
    ordered = reader.invoices.search(order_by={"updatedAt": "asc"})
    assert [row.id async for row in ordered] == [2, 1]
    assert ordered.report.complete


def test_timestamp_formats_are_preserved() -> None:
    assert last_shown_as(" 2024-01-15T10:30:00Z") == "2024-01-15T10:30:00.999999Z"
    assert last_shown_as("2024-01-15 ") == "2024-01-15T23:59:59.999999"
    assert last_shown_as("2024-01-15") == "2024-01-15T23:59:59.999999"
    assert last_shown_as("2024-01-15T10:30:00.12+00:00") == "2024-01-15T10:30:00.129999+00:00"
    assert last_shown_as("2024-01-15T10:30:00.123456789Z") == "2024-01-15T10:30:00.123456789Z"
    assert last_shown_as("20240115T103000Z") == "20240115T103000Z"
    assert subtract("2024-01-15T10:30:00.123456789Z", timedelta(0)) == "2024-01-15T10:30:00.123456789Z"
    assert to_timedelta(1.5) == timedelta(seconds=1.5)
    assert subtract("0001-01-02T00:00:00Z", timedelta(2)) == "0001-01-01T00:00:00Z"
