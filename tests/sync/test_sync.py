"""A synced table equals a full pull, whatever happened in between."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from aiwyn_async import AiwynClient, CheckpointError, F, IncompleteError, StorageError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.errors import DecodeError, ServerError
from aiwyn_async.models.base import Id
from aiwyn_async.sync import sync
from duckdb_files import query
from looking_inside import session_of

Comparison = Callable[[Path], Awaitable[None]]


async def test_sync_reads_all_rows_then_changes(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path, tmp_path: Path
) -> None:
    first = await sync(aiwyn.invoices, path)
    assert (first.inserted, first.updated, first.unchanged, first.deleted) == (120, 0, 0, None)
    assert first.complete
    await assert_equals_pull(path)

    ids = firm.ids()
    for row_id in ids[:7]:
        firm.update(row_id)
    firm.insert(3)
    firm.box.delete("invoices", ids[50])
    second = await sync(aiwyn.invoices, path, reconcile_deletes=True)
    assert (second.inserted, second.updated, second.deleted) == (3, 7, 1)
    assert second.rows_received < 20
    await assert_equals_pull(path)
    assert query(path, "SELECT id FROM invoices WHERE _deleted_at IS NOT NULL") == [(ids[50],)]

    third = await sync(aiwyn.invoices, path, reconcile_deletes=True)
    assert (third.inserted, third.updated, third.deleted) == (0, 0, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("own", "mode"), [("", 0o600), ("CREATE TABLE mine AS SELECT 1 AS one", 0o644)])
async def test_file_of_a_killed_run_is_restricted_to_its_owner(
    own: str, mode: int, aiwyn: AiwynClient, path: Path
) -> None:
    """A file without tables is from a killed run; other files retain their mode."""
    with duckdb.connect(str(path)) as file:
        file.execute(own or "SELECT 1")
    path.chmod(0o644)
    await sync(aiwyn.invoices, path)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("seed", range(4))
async def test_sync_during_changes_equals_a_full_pull(
    seed: int, aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    rng = random.Random(seed)

    def change(_: Progress) -> None:
        """Change rows while the sync reads."""
        ids = firm.ids()
        for row_id in rng.sample(ids, 3):
            firm.update(row_id)
        firm.insert()
        firm.box.delete("invoices", rng.choice(firm.ids()))

    for _ in range(3):
        await sync(aiwyn.invoices, path, page_size=25, on_progress=change)
    await sync(aiwyn.invoices, path, page_size=25, reconcile_deletes=True)
    await assert_equals_pull(path)


async def test_sync_reads_more_rows_of_one_timestamp_than_a_page(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    await sync(aiwyn.invoices, path)
    at = firm.tick()
    for row_id in firm.ids()[:50]:
        firm.update(row_id, at)
    done = await sync(aiwyn.invoices, path, page_size=7)
    assert done.updated == 50
    await assert_equals_pull(path)


async def test_rows_without_timestamp_are_read_each_time(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    await sync(aiwyn.invoices, path)
    for row_id in firm.ids()[:9]:
        firm.clear_timestamp(row_id)
    done = await sync(aiwyn.invoices, path, page_size=4)
    assert done.updated == 10
    await assert_equals_pull(path)


async def test_late_row_is_read_within_overlap_or_by_a_sweep(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    late = [firm.tick() for _ in range(200)]
    firm.update(firm.ids()[0])
    await sync(aiwyn.invoices, path)
    firm.box.insert("invoices", {"updatedAt": late[-1]})
    assert (await sync(aiwyn.invoices, path, overlap=60)).inserted == 1
    firm.box.insert("invoices", {"updatedAt": late[0]})
    assert (await sync(aiwyn.invoices, path, overlap=60)).inserted == 0
    assert (await sync(aiwyn.invoices, path, overlap=60, reconcile_deletes=True)).inserted == 1
    await assert_equals_pull(path)


async def test_recreated_row_is_no_longer_marked_as_deleted(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    deleted = firm.ids()[3]
    await sync(aiwyn.invoices, path)
    firm.box.delete("invoices", deleted)
    assert (await sync(aiwyn.invoices, path, reconcile_deletes=True)).deleted == 1
    firm.box.insert("invoices", {"id": deleted, "updatedAt": firm.tick()})
    assert (await sync(aiwyn.invoices, path)).updated == 1
    await assert_equals_pull(path)


async def test_sync_resumes_after_a_server_error(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    brief = aiwyn.with_options(retries=0)
    firm.box.faults.add("invoices.search", nth=8, times=10_000, status=500)
    with pytest.raises(ServerError):
        await sync(brief.invoices, path, page_size=10)
    received = query(path, "SELECT count(*) FROM invoices")[0][0]
    assert 0 < received < 120
    firm.box.faults.clear()
    firm.insert(2)
    result = await sync(brief.invoices, path, page_size=10)
    # The two new rows, and the one at the bookmark, are read once more: as changes since the first run.
    assert result.rows_received <= 122 - received + 3
    await assert_equals_pull(path)


async def test_sync_requests_only_the_unreadable_row_again(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    brief = aiwyn.with_options(retries=0)
    firm.break_row(firm.ids()[60])
    with pytest.raises(IncompleteError):
        await sync(brief.invoices, path, page_size=10)
    assert query(path, "SELECT count(*) FROM invoices") == [(119,)]
    firm.box.faults.clear()
    assert (await sync(brief.invoices, path, page_size=10)).rows_received == 1 + 1, "and that at the bookmark"
    await assert_equals_pull(path)


async def test_incomplete_sweep_marks_nothing(aiwyn: AiwynClient, firm: Any, path: Path) -> None:
    ids = firm.ids()
    await sync(aiwyn.invoices, path)
    firm.box.delete("invoices", ids[10])
    brief = aiwyn.with_options(retries=0)
    firm.break_row(ids[40])
    with pytest.raises(IncompleteError):
        await sync(brief.invoices, path, page_size=10, reconcile_deletes=True)
    assert query(path, "SELECT count(*) FROM invoices WHERE _deleted_at IS NOT NULL") == [(0,)]


async def test_sync_refuses_table_of_another_query_server_or_program(
    aiwyn: AiwynClient, path: Path, tmp_path: Path
) -> None:
    await sync(aiwyn.invoices, path, where=F.status == "PAID")
    with pytest.raises(CheckpointError, match="another query"):
        await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE _aiwyn_sync SET server = 'https://elsewhere.example'")
    with pytest.raises(
        CheckpointError,
        match=r"of another server \(https://elsewhere\.example, not .*; use another file, or the same server",
    ):
        await sync(aiwyn.invoices, path, where=F.status == "PAID")
    own = tmp_path / "own.duckdb"
    with duckdb.connect(str(own)) as file:
        file.execute("CREATE TABLE invoices AS SELECT 42 AS mine")
    with pytest.raises(
        StorageError,
        match='contains a table "invoices" that sync did not create; use another file or drop the table',
    ):
        await sync(aiwyn.invoices, own)
    assert query(own, "SELECT * FROM invoices") == [(42,)]
    assert query(own, "SELECT count(*) FROM duckdb_tables()") == [(1,)]


async def test_sync_refuses_a_file_in_use(aiwyn: AiwynClient, path: Path) -> None:
    await sync(aiwyn.invoices, path)
    holder = f"import duckdb; file = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(  # noqa: ASYNC220 (it only opens the file)
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StorageError, match="in use"):
            await sync(aiwyn.invoices, path)
        other.communicate(b"\n")
    with duckdb.connect(str(path)), pytest.raises(StorageError, match="in use"):
        await sync(aiwyn.invoices, path)


async def test_new_field_adds_a_column_and_reads_all_rows(
    aiwyn: AiwynClient, assert_equals_pull: Comparison, path: Path
) -> None:

    class Slim(msgspec.Struct, frozen=True, rename="camel"):
        id: Id
        status: str | None = None

    kind: Any = type(aiwyn.invoices)
    slim: Any = type("SlimInvoices", (kind,), {"hit_type": Slim})(session_of(aiwyn))
    await sync(slim, path)
    assert len(query(path, "DESCRIBE invoices")) == 3
    done = await sync(aiwyn.invoices, path)
    assert (done.inserted, done.updated) == (0, 120)
    await assert_equals_pull(path)


async def test_columns_have_exact_types_and_wire_names(aiwyn: AiwynClient, path: Path) -> None:
    await sync(aiwyn.invoices, path)
    kinds = {row[0]: row[1] for row in query(path, "DESCRIBE invoices")}
    assert kinds["id"] == "BIGINT"
    assert kinds["totalAmount"] == "DECIMAL(38,9)"
    assert kinds["updatedAt"] == kinds["_deleted_at"] == "TIMESTAMP WITH TIME ZONE"
    assert kinds["lineItems"].startswith("STRUCT(")
    assert kinds["lineItems"].endswith("[]")
    with pytest.raises(duckdb.ConstraintException), duckdb.connect(str(path)) as file:
        file.execute("INSERT INTO invoices SELECT * FROM invoices LIMIT 1")


async def test_resource_without_modified_at_field_is_pulled_each_time(
    aiwyn: AiwynClient, firm: Any, path: Path
) -> None:
    first = await sync(aiwyn.payments, path)
    await sync(aiwyn.invoices, path)
    row_id = firm.box.scalar("SELECT id FROM payments")
    firm.box.update("payments", row_id, {"status": "REFUNDED"})
    second = await sync(aiwyn.payments, path)
    assert (second.inserted, second.updated, second.unchanged) == (0, 1, first.inserted - 1)
    assert second.bookmark is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE _aiwyn_sync SET bookmark = 'xx'",
        "UPDATE _aiwyn_sync SET bookmark = repeat('[', 50000)",
        """UPDATE _aiwyn_sync SET bookmark = replace(bookmark, '"query":"', '"query":"of another ')""",
        """UPDATE _aiwyn_sync SET bookmark = replace(bookmark, '"bookmark":"', '"bookmark":"no time ')""",
        "UPDATE _aiwyn_sync SET checkpoint = 'xx'",
        "UPDATE _aiwyn_sync SET checkpoint = 'xx', bookmark = 'xx'",
        "UPDATE _aiwyn_sync SET skipped = 'xx'",
        """UPDATE _aiwyn_sync SET skipped = '{"x":' || repeat('[', 50000)""",
        "DROP TABLE invoices",
    ],
)
async def test_damaged_state_causes_a_full_read(
    statement: str, aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(statement)
    firm.insert(2)
    firm.update(firm.ids()[0])

    assert (await sync(aiwyn.invoices, path)).complete
    await assert_equals_pull(path)
    assert (await sync(aiwyn.invoices, path)).rows_received < 20


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("ALTER TABLE _aiwyn_sync DROP COLUMN checkpoint", "checkpoint"),
        ("CREATE OR REPLACE TABLE invoices AS SELECT * FROM invoices", "primary key id; drop it"),
    ],
)
async def test_altered_tables_are_refused_with_the_reason(
    statement: str, text: str, aiwyn: AiwynClient, path: Path
) -> None:
    await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(statement)

    with pytest.raises(StorageError, match=text):
        await sync(aiwyn.invoices, path)
    assert query(path, "SELECT count(*) FROM invoices") == [(120,)]


async def test_bad_row_is_refused_and_rows_before_it_are_stored(
    aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mirror.duckdb"
    uninterrupted = await sync(aiwyn.invoices, tmp_path / "uninterrupted.duckdb", page_size=2)

    def spoil(body: bytes) -> bytes:
        return body.replace(b'"totalAmount":', b'"totalAmount":[],"was":', 1)

    firm.box.faults.add("invoices.search", nth=15, mutate=spoil)
    with pytest.raises(DecodeError, match="totalAmount"):
        await sync(aiwyn.invoices, path, page_size=2)
    rest = await sync(aiwyn.invoices, path, page_size=2)
    assert 0 < rest.rows_received < uninterrupted.rows_received
    assert rest.complete


async def test_value_too_large_for_its_column_changes_nothing(
    aiwyn: AiwynClient, firm: Any, assert_equals_pull: Comparison, path: Path
) -> None:
    await sync(aiwyn.invoices, path)
    firm.update(firm.ids()[-1])

    def enlarge(body: bytes) -> bytes:
        return body.replace(b'"totalAmount":', b'"totalAmount":1e30,"was":')

    firm.box.faults.add("invoices.search", times=99, mutate=enlarge)
    with pytest.raises((StorageError, DecodeError), match="totalAmount"):
        await sync(aiwyn.invoices, path)
    firm.box.faults.clear()
    await sync(aiwyn.invoices, path)
    await assert_equals_pull(path)
