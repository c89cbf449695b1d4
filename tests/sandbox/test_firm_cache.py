"""Firms that this process has generated before: the same rows, and nothing shared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aiwyn_async.sandbox import FirmOptions, Sandbox
from aiwyn_async.sandbox._data import firm_cache
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._declarations.schema import RESOURCES


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def rows_of(database: Database) -> list[bytes]:
    return [database.rows_json(resource, database.ids(resource)) for resource in RESOURCES.values()]


def opened(seed: int, path: Path | None = None, options: FirmOptions | None = None) -> Database:
    database = Database(invoices=20, seed=seed, path=path, options=options)
    database.open()
    return database


def test_cached_firm_has_the_rows_of_a_generated_one(tmp_path: Path) -> None:
    with (
        closing(opened(20261, tmp_path / "firm.sqlite3")) as generated,
        closing(opened(20261)),
        closing(opened(20261)) as cached,
        closing(opened(20261, options=FirmOptions(currencies=("CAD",)))) as other,
    ):
        assert rows_of(cached) == rows_of(generated) != rows_of(other)
        assert cached.next_numbers == generated.next_numbers


async def test_changes_of_a_sandbox_are_not_in_the_next_one() -> None:
    async with Sandbox(invoices=20, seed=20262) as changed:
        before = changed.query("SELECT id FROM invoices ORDER BY id")
        changed.delete("invoices", int(str(before[0][0])))
        changed.insert("invoices", count=3)
        async with Sandbox(invoices=20, seed=20262) as box:
            assert box.query("SELECT id FROM invoices ORDER BY id") == before
            assert len(changed.query("SELECT id FROM invoices")) == 22


async def test_currencies_may_be_a_list() -> None:
    firm = FirmOptions(currencies=["CAD"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    async with Sandbox(invoices=20, seed=20263, firm=firm) as box:
        assert box.query("SELECT DISTINCT currency FROM invoices") == [("CAD",)]


def test_large_firm_is_not_cached(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE big AS SELECT zeroblob(13000000)")
    firm_cache.store("large", connection)
    assert not firm_cache.load("large", connection)


def test_cache_drops_the_firm_that_was_used_first(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE big AS SELECT zeroblob(9000000)")
    for key in ("a", "b", "c"):
        firm_cache.store(key, connection)
    assert firm_cache.load("a", connection)
    firm_cache.store("d", connection)
    assert [firm_cache.load(key, connection) for key in ("a", "b", "c", "d")] == [True, False, True, True]
