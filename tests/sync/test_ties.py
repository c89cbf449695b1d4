"""Rows with the same shown timestamp, whose order only the server knows, are each yielded once."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, F, PaginationError
from aiwyn_async._pagination.ties import Order, holds_instants, is_before
from aiwyn_async.filters import Direction
from aiwyn_async.models.base import Id
from aiwyn_async.models.invoices import InvoiceSearchRow
from aiwyn_async.sync import sync
from model_firm import COMPARISONS, FirmServer, ModelFirm, exact_firm

UNITS = [1, 1000, 1_000_000, 60_000_000]
COLUMN: tuple[tuple[str, ...], Direction] = (("updatedAt",), "asc")


def firm_of_close_instants(count: int, unit: int, seed: int, *, rounds: bool, spread: int) -> ModelFirm:
    rng = random.Random(seed)
    firm = exact_firm(unit=unit)
    firm.rounds = rounds
    for number in range(1, count + 1):
        firm.write(number, firm.now - rng.randrange(spread))
    return firm


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("page_size", [1, 3, 7])
async def test_search_by_rounded_timestamps_yields_each_row_once(
    page_size: int, unit: int, served: FirmServer, reader: AiwynClient, *, rounds: bool
) -> None:
    for seed, order in enumerate((F.updated_at.asc(), F.updated_at.desc())):
        served.firm = firm_of_close_instants(40, unit, seed, rounds=rounds, spread=3 * unit + 2)
        read = reader.invoices.search(order_by=order, page_size=page_size)
        ids = [row.id for row in await read.collect()]
        assert sorted(map(int, ids)) == list(range(1, 41))
        assert read.report.complete, read.report.problems()


async def test_sync_of_seconds_shown_and_microseconds_compared_is_complete(
    served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    served.firm = firm = exact_firm(unit=1_000_000)
    for number in range(1, 6):
        firm.put(number, "2025-03-02T07:00:00Z")
    await sync(reader.invoices, tmp_path / "firm.duckdb")
    firm.put(4, "2025-03-02T08:00:00.1231Z")
    firm.put(2, "2025-03-02T08:00:00.1239Z")
    for _ in range(2):
        assert (await sync(reader.invoices, tmp_path / "firm.duckdb", page_size=1)).complete


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("unit", [1, 1_000_000])
async def test_search_reads_many_rows_of_one_timestamp_by_key(
    unit: int, direction: str, served: FirmServer, reader: AiwynClient
) -> None:
    served.firm = firm = firm_of_close_instants(1200, unit, 3, rounds=False, spread=unit)
    for number in range(2001, 2021):
        firm.put(number, f"2025-03-01T00:00:{number - 2000:02}Z")
        firm.put(number + 100, f"2025-03-03T00:00:{number - 2000:02}Z")
    order = F.updated_at.asc() if direction == "asc" else F.updated_at.desc()
    read = reader.invoices.search(order_by=order, page_size=100)
    pages = [page async for page in read.pages()]
    ids = [int(row.id) for page in pages for row in page.items]
    assert sorted(ids) == sorted(map(int, firm.rows))
    assert read.report.complete, read.report.problems()

    for page in pages[2:15:3]:  # a checkpoint may be within the timestamp
        rest = reader.invoices.search(order_by=order, page_size=100, resume=page.checkpoint.to_json())
        after = ids.index(int(page.items[-1].id)) + 1
        assert [int(row.id) for row in await rest.collect()] == ids[after:]


async def test_search_of_server_that_ignores_excluded_keys_reads_by_key(
    served: FirmServer, reader: AiwynClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPARISONS, "_nin", lambda _one, _other: True)
    served.firm = firm_of_close_instants(30, 1_000_000, 5, rounds=False, spread=2_500_000)
    read = reader.invoices.search(order_by=F.updated_at.asc(), page_size=4)
    assert len(await read.collect()) == 30


async def test_search_refuses_rows_out_of_order(served: FirmServer, reader: AiwynClient) -> None:
    firm = served.firm
    for number in range(1, 11):
        firm.put(number, f"2025-03-02T0{number % 5}:00:00Z")
    firm.custom_order = lambda key, _column: key
    with pytest.raises(PaginationError, match="order"):
        await reader.invoices.search(order_by=F.updated_at.asc(), page_size=3).collect()


@pytest.mark.parametrize("texts", [["2024-01-02", "20240101", "2024-01-03"], ["10:00", "2", "09"]])
async def test_search_accepts_the_servers_order_of_text(
    texts: list[str], served: FirmServer, reader: AiwynClient
) -> None:
    """A collation may put "2024-01-02" before "20240101"."""
    firm = served.firm
    for number, text in enumerate(texts, 1):
        firm.put(number, "2025-03-02T10:00:00Z", reference=text)
    firm.custom_order = lambda key, column: (
        texts.index(firm.wire(key)["reference"]) if column != "id" else key
    )
    assert len(await reader.invoices.search(order_by=F.reference.asc()).collect()) == len(texts)


class Nested(msgspec.Struct):
    paid_at: Any = None


@pytest.mark.parametrize(
    ("row_type", "path", "expected"),
    [
        (InvoiceSearchRow, ("updatedAt",), True),
        (InvoiceSearchRow, ("dueDate",), True),
        (InvoiceSearchRow, ("reference",), False),
        (InvoiceSearchRow, ("client", "createdAt"), False),
        (InvoiceSearchRow, ("lineItems",), False),
        (Nested, ("paid_at",), False),
        (dict, ("updatedAt",), False),
        (msgspec.Raw, ("updatedAt",), False),
    ],
)
def test_holds_instants_only_for_datetime_columns(
    row_type: Any, path: tuple[str, ...], *, expected: bool
) -> None:
    assert holds_instants(row_type, path) is expected


@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=20), st.sampled_from(UNITS), st.booleans())
def test_is_before_is_false_for_rows_in_server_order(micros: list[int], unit: int, rounds: bool) -> None:
    firm = exact_firm(unit=unit)
    firm.rounds = rounds
    order: Order = (COLUMN, (("id",), "asc"))
    rows: list[tuple[Any, Id]] = [
        (firm.text(at), key) for key, at in sorted(enumerate(micros), key=lambda each: each[1])
    ]
    for one, other in pairwise(rows):
        assert not is_before(order, one, other, frozenset({("updatedAt",)}))
