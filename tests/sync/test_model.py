"""After every sync, the table equals a random firm, or the result names what may be missing.

A usual run takes 200 firms. More: ``AIWYN_SYNC_SEEDS=5000 pytest tests/sync/test_model.py -s --timeout 0``.
It prints how many syncs ended with an equal table, with a problem, or different in silence.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import IncompleteError, PaginationError
from aiwyn_async.models.base import Id, Model
from aiwyn_async.sync import SyncResult, sync
from fake_clock import FakeClock
from looking_inside import session_of
from model_firm import DAY, HOUR, MINUTE, FirmServer, ModelFirm, Row, serve

SEEDS = int(os.environ.get("AIWYN_SYNC_SEEDS", "200"))
CHUNKS = 8
MOST_EVENTS_DURING = 4


class Slim(Model, frozen=True, kw_only=True, gc=False):
    """Few columns, so that a sync takes little time."""

    id: Id
    notes: str | None = None
    total_amount: Decimal | None = None
    updated_at: datetime | None = None


class Followed:
    """What was found so far, and what it takes to find more."""

    def __init__(self, server: FirmServer, invoices: Any) -> None:
        self.server = server
        self.invoices = invoices
        self.counts: Counter[str] = Counter()
        self.reader = duckdb.connect()  # opening one takes longer than a sync of so few rows


class History:
    """What happens to one firm.

    Args:
        seed: decides it.
    """

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.is_plain = seed % 2 == 0
        self.firm = ModelFirm(dice, plain=self.is_plain)
        self.firm.is_trusty = self.is_plain
        self.page_size = dice.randrange(3, 8)
        self.deleted: list[int | str] = []
        self.backups: list[dict[int | str, Row]] = []
        for _ in range(dice.choice([5, 8, 11, 14, 25])):
            self.insert()
        self.plain: list[Callable[[], None]] = [
            *(self.insert, self.update, self.update, self.delete, self.recreate),
            *(self.update_together, self.update_late, self.forget_instant),
        ]
        self.troubles: list[Callable[[], None]] = [
            *(self.update_very_late, self.restore, self.set_clock_back, self.date_ahead, self.lose_a_page)
        ]

    def some(self) -> int | str | None:
        return self.dice.choice(list(self.firm.rows)) if self.firm.rows else None

    def write(self, key: int | str | None, back: int = 0) -> None:
        self.firm.tick()
        if key is not None:
            self.firm.write(key, self.firm.now - back)

    def insert(self) -> None:
        self.write(self.firm.key())

    def update(self) -> None:
        self.write(self.some())

    def delete(self) -> None:
        key = self.some()
        if key is not None:
            del self.firm.rows[key]
            self.deleted.append(key)

    def recreate(self) -> None:
        keys = [key for key in self.deleted if key not in self.firm.rows]
        self.write(self.dice.choice(keys) if keys else self.firm.key())

    def update_together(self) -> None:
        """Often more than a page, within one instant or one shown instant."""
        rows = list(self.firm.rows)
        self.firm.tick()
        spread = self.dice.choice([1, self.firm.unit])
        for key in self.dice.sample(rows, min(len(rows), self.dice.randrange(1, 20))):
            self.firm.write(key, self.firm.now // spread * spread + self.dice.randrange(spread) - spread)

    def update_late(self) -> None:
        self.write(self.some(), back=self.dice.randrange(4 * MINUTE))

    def forget_instant(self) -> None:
        key = self.some()
        if key is not None:
            self.firm.write(key, None)

    def update_very_late(self) -> None:
        self.write(self.some(), back=self.dice.randrange(3 * DAY))

    def restore(self) -> None:
        if self.backups:
            self.firm.rows = dict(self.dice.choice(self.backups))

    def set_clock_back(self) -> None:
        self.firm.now -= self.dice.randrange(3 * HOUR)

    def date_ahead(self) -> None:
        self.write(self.some(), back=-self.dice.choice([8 * MINUTE, 7 * HOUR, 70 * 365 * DAY]))

    def lose_a_page(self) -> None:
        self.firm.empty_pages = 1

    def happen(self) -> None:
        """Some things, and then time passes."""
        for _ in range(self.dice.randrange(6)):
            self.dice.choice(self.plain)()
        if not self.is_plain and self.dice.random() < 0.5:
            self.dice.choice(self.troubles)()
        if self.dice.random() < 0.5:
            self.backups.append(dict(self.firm.rows))
        self.firm.tick(self.dice.choice([MINUTE, HOUR, DAY]))

    def keep_changing(self) -> None:
        """Have things happen between the requests of a sync."""
        left = [MOST_EVENTS_DURING]

        def change() -> None:
            if left[0] and self.dice.random() < 0.4:
                left[0] -= 1
                self.dice.choice(self.plain)()

        self.firm.during = change


def differences(
    firm: ModelFirm, path: Path, reader: duckdb.DuckDBPyConnection, *, deletes: bool
) -> list[str]:
    """In what a table differs from a firm; rows that are gone may be there without ``deletes``."""
    reader.execute(f"ATTACH '{path}' AS firm (READ_ONLY)")
    select = "SELECT id, notes, totalAmount, epoch_us(updatedAt), _deleted_at IS NULL FROM firm.main.invoices"
    rows = {row[0]: row[1:] for row in reader.execute(select).fetchall()}
    reader.execute("DETACH firm")
    live = {key: row[:3] for key, row in rows.items() if row[3]}
    wanted = {key: (row.notes, Decimal(row.amount) / 4, firm.shown(row.at)) for key, row in firm.rows.items()}
    return [
        f"row {key}: {live.get(key)} instead of {wanted.get(key)}"
        for key in (live.keys() if deletes else set()) | wanted.keys()
        if live.get(key) != wanted.get(key)
    ]


async def follow(history: History, path: Path, followed: Followed) -> None:
    """Sync after each of some rounds, and look at the table."""
    firm, dice = history.firm, history.dice
    for _ in range(dice.randrange(2, 5)):
        history.happen()
        if dice.random() < 0.3:
            history.keep_changing()
            await synced(followed.invoices, path, history, deletes=dice.random() < 0.5)
            firm.during = None
            firm.tick()
        # Where nothing went back, what changed is found without a sweep too.
        deletes = not history.is_plain or dice.random() < 0.5
        result = await synced(followed.invoices, path, history, deletes=deletes)
        found = differences(firm, path, followed.reader, deletes=deletes)
        is_complete = isinstance(result, SyncResult) and result.complete
        kind = "plain" if history.is_plain else "troubled"
        table = "different" if found else "equal"
        followed.counts[f"{kind}: {table}, {'complete' if is_complete else 'with a problem named'}"] += 1
        assert not (found and is_complete), (found, result)
        assert is_complete or not isinstance(result, SyncResult) or result.problems


async def synced(invoices: Any, path: Path, history: History, *, deletes: bool) -> SyncResult | Exception:
    try:
        return await sync(invoices, path, reconcile_deletes=deletes, page_size=history.page_size)
    except (IncompleteError, PaginationError) as error:
        return error


async def follow_all(seeds: range, folder: Path) -> Counter[str]:
    async with serve() as server, AiwynClient(base_url=server.url, token="t", clock=FakeClock()) as aiwyn:
        kind: Any = type(aiwyn.invoices)
        invoices = type("SlimInvoices", (kind,), {"hit_type": Slim})(session_of(aiwyn))
        followed = Followed(server, invoices)
        with followed.reader:
            for seed in seeds:
                await follow_one(seed, folder / f"{seed}.duckdb", followed)
    return followed.counts


async def follow_one(seed: int, path: Path, followed: Followed) -> None:
    history = History(seed)
    followed.server.firm = history.firm
    try:
        await follow(history, path, followed)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    path.unlink()


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_synced_table_equals_the_firm_or_a_problem_says_why(chunk: int, tmp_path: Path) -> None:
    length = SEEDS // CHUNKS
    counts = await follow_all(range(chunk * length, (chunk + 1) * length), tmp_path)
    print(f"\nchunk {chunk}: {dict(sorted(counts.items()))}")  # noqa: T201 (for a run of many seeds)
    assert not any(name.endswith("different, complete") for name in counts)
    plain = {name: count for name, count in counts.items() if name.startswith("plain")}
    assert plain["plain: equal, complete"] >= 0.97 * sum(plain.values())
