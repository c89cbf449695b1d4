"""First reads insert, later ones compare; both write what a merge would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from duckdb_files import query, stored_notes
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


async def test_first_read_converts_a_column_of_rows_that_the_table_has(
    firm: Any, reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:  # as if no read had finished
        file.execute("UPDATE _aiwyn_sync SET bookmark = NULL")
    firm.put(3, "2025-03-02T01:00:30Z", notes="changed", clientId="C-100")
    result = await sync(reader.invoices, path)
    assert (result.inserted, result.updated, result.problems) == (0, 1, [])
    assert query(path, "SELECT notes, clientId FROM invoices WHERE id = 3") == [("changed", "C-100")]


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


async def test_rows_are_in_the_file_itself_after_a_large_sync(tmp_path: Path) -> None:
    """With less memory than this needs, DuckDB leaves the rows in its log or damages the primary key."""
    path, copy = tmp_path / "firm.duckdb", tmp_path / "copy.duckdb"
    with Sandbox(invoices=20_000) as box:
        async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
            results = [await sync(aiwyn.invoices, path, full=True) for _ in range(2)]
    assert [(each.inserted, each.updated, each.problems) for each in results] == [(20_000, 0, []), (0, 0, [])]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    shutil.copy(path, copy)
    assert query(copy, "SELECT count(*), count(DISTINCT id) FROM invoices") == [(20_000, 20_000)]


def test_import_does_not_load_pandas() -> None:
    """It would take 40 MB."""
    code = "import sys, aiwyn_async.sync, aiwyn_async.export; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "connection",
    ["sync._database.DatabaseFile(Path('x'))._connection", "export._formats.duckdb._connect(Path('x'))"],
)
def test_duckdb_writes_no_progress_bar_to_stdout(connection: str) -> None:
    """It does in code without a file, such as this and a notebook, if a statement takes 2 seconds."""
    setting = "SELECT current_setting('enable_progress_bar')"
    code = (
        "from pathlib import Path; import aiwyn_async.sync._database, aiwyn_async.export._formats.duckdb; "
        f'print(aiwyn_async.{connection}.execute("{setting}").fetchone())'
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "(False,)\n"


@pytest.mark.parametrize("more", ["", "ALTER TABLE invoices ADD COLUMN mine VARCHAR"])
async def test_collation_of_an_altered_column_hides_no_change(
    more: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE invoices ALTER notes TYPE VARCHAR COLLATE NOCASE")
        file.execute(more)
    firm.extra_fields[1] = {"notes": "VERSION 1"}
    assert (await sync(reader.invoices, path)).updated == 1
    assert stored_notes(path) == {1: "VERSION 1"}
