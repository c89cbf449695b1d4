"""A firm whose rows change by its own clock, and comparisons of a synced table with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from command_line import Cli
from duckdb_files import query
from fork_server import ForkServer
from model_firm import FirmServer, exact_firm, serve


class Firm:
    """A sandbox in which each change is a second later than the one before."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self._now = datetime(2025, 1, 1, tzinfo=UTC)  # after all rows of the seed, and in the past

    def tick(self) -> str:
        self._now += timedelta(seconds=1, microseconds=1)
        return self._now.isoformat()

    def ids(self) -> list[int]:
        return [int(str(row_id)) for (row_id,) in self.box.query("SELECT id FROM invoices ORDER BY id")]

    def insert(self, count: int = 1) -> list[int]:
        return [self.box.insert("invoices", {"updatedAt": self.tick()})[0] for _ in range(count)]

    def update(self, row_id: int, at: str | None = None) -> None:
        at = at or self.tick()
        self.box.update("invoices", row_id, {"notes": f"changed at {at}", "updatedAt": at})

    def clear_timestamp(self, row_id: int) -> None:
        """Remove the time of the last change, which the sandbox's interface does not allow."""
        connection = self.box._database.connection  # pyright: ignore[reportPrivateUsage]
        connection.execute("UPDATE invoices SET updated_at_us = NULL WHERE id = ?", (row_id,))
        nulled = "UPDATE invoices_body SET body = json_set(body, '$.updatedAt', json('null')) WHERE id = ?"
        connection.execute(nulled, (row_id,))
        self.update(self.ids()[-1])  # so that orders are computed again

    def break_row(self, row_id: int, times: int = 10_000) -> None:
        """Fail every search whose response would contain this row."""
        rows = self.ids()

        def contains_row(body: Any) -> bool:
            where = body.get("where", {})
            bounds = [term["id"] for term in where.get("_and", [where]) if "id" in term]
            after = max((bound["_gt"] for bound in bounds if "_gt" in bound), default=0)
            until = min((bound["_lte"] for bound in bounds if "_lte" in bound), default=rows[-1])
            return (
                after < row_id <= until
                and body["orderBy"] == [{"id": "asc"}]
                and row_id in [key for key in rows if after < key <= until][: body["pageSize"]]
            )

        self.box.faults.add("invoices.search", times=times, status=500, match=contains_row)


@pytest.fixture
async def firm() -> AsyncIterator[Firm]:
    async with Sandbox(invoices=120, seed=7) as box:
        yield Firm(box)


@pytest.fixture
async def aiwyn(firm: Firm) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=firm.box.url, api_key=firm.box.api_key) as client:
        yield client


@pytest.fixture
def cli(firm: Firm, tmp_path: Path, fork_server: ForkServer) -> Cli:
    """The command line, with the firm as its server."""
    return Cli(firm.box, tmp_path, fork_server)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "firm.duckdb"


def micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def pulled_rows(aiwyn: AiwynClient) -> list[Any]:
    """Return the rows of a full pull."""
    rows = await aiwyn.invoices.pull(ordered=True, strict=True).collect()
    return [
        (
            row.id,
            row.status,
            row.notes,
            row.total_amount,
            micros(row.due_date),
            micros(row.updated_at),
            [(line.id, line.amount) for line in row.line_items or ()],
            [(payment.id, micros(payment.payment_date)) for payment in row.payments or ()],
        )
        for row in rows
    ]


def stored_rows(path: Path) -> list[Any]:
    """Return the rows of the table that are not marked as deleted."""
    return query(
        path,
        """
        SELECT id, status, notes, totalAmount, epoch_us(dueDate), epoch_us(updatedAt),
            [(line.id, line.amount) FOR line IN lineItems],
            [(payment.id, epoch_us(payment.paymentDate)) FOR payment IN payments]
        FROM invoices WHERE _deleted_at IS NULL ORDER BY id""",
    )


@pytest.fixture
def assert_equals_pull(aiwyn: AiwynClient) -> Callable[[Path], Awaitable[None]]:
    """Assert that a table equals a full pull."""

    async def compare(path: Path) -> None:
        assert stored_rows(path) == await pulled_rows(aiwyn)

    return compare


@pytest.fixture
async def served() -> AsyncIterator[FirmServer]:
    """A server of a firm whose rows a test writes."""
    async with serve() as server:
        server.firm = exact_firm()
        yield server


@pytest.fixture
async def reader(served: FirmServer) -> AsyncIterator[AiwynClient]:
    """A client of that server."""
    async with AiwynClient(base_url=served.url, token="t", clock=FakeClock()) as client:
        yield client
