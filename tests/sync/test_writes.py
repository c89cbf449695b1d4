"""First reads insert, later ones compare; both write what a merge would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sync import sync
from aiwyn_async.sync._database import DatabaseFile
from duckdb_files import query
from model_firm import FirmServer

ROWS = 12


@pytest.fixture
def firm(served: FirmServer) -> Any:
    for number in range(1, ROWS + 1):
        served.firm.put(number, f"2025-03-02T01:00:{number:02}Z", notes=f"note {number}")
    return served.firm


@pytest.mark.usefixtures("firm")
async def test_first_read_compares_rows_once_the_table_has_one_of_them(
    reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:  # as if no read had finished
        file.execute("UPDATE _aiwyn_sync SET bookmark = NULL")
        file.execute("DELETE FROM invoices WHERE id > 9")
        file.execute("UPDATE invoices SET notes = 'old' WHERE id IN (2, 7)")
        file.execute("UPDATE invoices SET _deleted_at = now() WHERE id = 4")
    result = await sync(reader.invoices, path, page_size=1)
    assert (result.inserted, result.updated, result.unchanged, result.problems) == (3, 3, 6, [])
    rows = query(path, "SELECT id, notes, _deleted_at FROM invoices ORDER BY id")
    assert rows == [(number, f"note {number}", None) for number in range(1, ROWS + 1)]


async def test_update_retains_columns_of_the_user(firm: Any, reader: AiwynClient, path: Path) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE invoices ADD COLUMN mine INTEGER DEFAULT 7")
        file.execute("UPDATE invoices SET mine = id")
    firm.put(3, "2025-03-02T02:00:00Z", notes="changed")
    firm.put(ROWS + 1, "2025-03-02T02:00:01Z", notes="new")
    result = await sync(reader.invoices, path)
    assert (result.inserted, result.updated) == (1, 1)
    rows = query(path, f"SELECT id, notes, mine FROM invoices WHERE id IN (3, 4, {ROWS + 1}) ORDER BY id")
    assert rows == [(3, "changed", 3), (4, "note 4", 4), (ROWS + 1, "new", 7)]


@pytest.mark.usefixtures("firm")
@pytest.mark.parametrize(
    "error",
    [
        duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data"),
        duckdb.TransactionException("TransactionContext Error: Failed to commit: failed to pin block"),
    ],
)
async def test_write_that_lacks_memory_is_repeated_with_more(
    error: Exception, reader: AiwynClient, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, statements = DatabaseFile.execute, list[str]()

    def failing_once(self: DatabaseFile, *texts: str) -> None:
        statements.extend(texts)
        if texts[0].startswith("INSERT INTO") and sum(text.startswith("INSERT") for text in statements) == 1:
            raise error
        execute(self, *texts)

    monkeypatch.setattr(DatabaseFile, "execute", failing_once)
    result = await sync(reader.invoices, path)
    assert (result.inserted, result.problems) == (ROWS, [])
    assert "SET memory_limit = '512MB'" in statements


def test_import_does_not_load_pandas() -> None:
    """It would take 40 MB."""
    code = "import sys, aiwyn_async.sync, aiwyn_async.export; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
