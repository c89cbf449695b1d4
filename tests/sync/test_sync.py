"""A table that was synchronised equals a full pull, whatever happened in between."""

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

from aiwyn_async import AiwynClient, CheckpointError, ConfigurationError, F, IncompleteError, StorageError
from aiwyn_async._pull.progress import Progress
from aiwyn_async.errors import DecodeError, ServerError
from aiwyn_async.models.base import Id
from aiwyn_async.sync import sync
from looking_inside import session_of

Same = Callable[[Path], Awaitable[None]]


def query(path: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as file:
        return file.execute(sql).fetchall()


async def test_all_rows_at_first_and_then_what_changed(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    first = await sync(aiwyn.invoices, path)
    assert (first.inserted, first.updated, first.unchanged, first.deleted) == (120, 0, 0, None)
    assert first.complete
    await same(path)

    ids = firm.ids()
    for row_id in ids[:7]:
        firm.update(row_id)
    firm.insert(3)
    firm.box.delete("invoices", ids[50])
    second = await sync(aiwyn.invoices, path, reconcile_deletes=True)
    assert (second.inserted, second.updated, second.deleted) == (3, 7, 1)
    assert second.rows_received < 20
    await same(path)
    assert query(path, "SELECT id FROM invoices WHERE _deleted_at IS NOT NULL") == [(ids[50],)]

    third = await sync(aiwyn.invoices, path, reconcile_deletes=True)
    assert (third.inserted, third.updated, third.deleted) == (0, 0, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("own", "mode"), [("", 0o600), ("CREATE TABLE mine AS SELECT 1 AS one", 0o644)])
async def test_a_file_that_a_killed_run_has_made_is_for_its_owner_alone(
    own: str, mode: int, aiwyn: AiwynClient, tmp_path: Path
) -> None:
    """One without a table is such a file; the user's own keeps its mode."""
    path = tmp_path / "firm.duckdb"
    with duckdb.connect(str(path)) as file:
        file.execute(own or "SELECT 1")
    path.chmod(0o644)
    await sync(aiwyn.invoices, path)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("seed", range(4))
async def test_many_rounds_of_changes_end_as_a_full_pull(
    seed: int, aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path, dice = tmp_path / "firm.duckdb", random.Random(seed)

    def change(_: Progress) -> None:
        """Also while the sync reads."""
        ids = firm.ids()
        for row_id in dice.sample(ids, 3):
            firm.update(row_id)
        firm.insert()
        firm.box.delete("invoices", dice.choice(firm.ids()))

    for _ in range(3):
        await sync(aiwyn.invoices, path, page_size=25, on_progress=change)
    await sync(aiwyn.invoices, path, page_size=25, reconcile_deletes=True)
    await same(path)


async def test_more_rows_of_one_instant_than_fit_on_a_page(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    at = firm.tick()
    for row_id in firm.ids()[:50]:
        firm.update(row_id, at)
    done = await sync(aiwyn.invoices, path, page_size=7)
    assert done.updated == 50
    await same(path)


async def test_rows_without_an_instant_come_each_time(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    for row_id in firm.ids()[:9]:
        firm.forget_change(row_id)
    done = await sync(aiwyn.invoices, path, page_size=4)
    assert done.updated == 10
    await same(path)


async def test_a_row_committed_late_is_found_within_the_overlap_and_by_a_sweep_beyond_it(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    late = [firm.tick() for _ in range(200)]
    firm.update(firm.ids()[0])
    await sync(aiwyn.invoices, path)
    firm.box.insert("invoices", {"updatedAt": late[-1]})
    assert (await sync(aiwyn.invoices, path, overlap=60)).inserted == 1
    firm.box.insert("invoices", {"updatedAt": late[0]})
    assert (await sync(aiwyn.invoices, path, overlap=60)).inserted == 0
    assert (await sync(aiwyn.invoices, path, overlap=60, reconcile_deletes=True)).inserted == 1
    await same(path)


async def test_a_row_that_is_there_again_lives_again(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path, gone = tmp_path / "firm.duckdb", firm.ids()[3]
    await sync(aiwyn.invoices, path)
    firm.box.delete("invoices", gone)
    assert (await sync(aiwyn.invoices, path, reconcile_deletes=True)).deleted == 1
    firm.box.insert("invoices", {"id": gone, "updatedAt": firm.tick()})
    assert (await sync(aiwyn.invoices, path)).updated == 1
    await same(path)


async def test_a_run_that_breaks_keeps_what_came_and_the_next_goes_on(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    brief = aiwyn.with_options(retries=0)
    firm.box.faults.add("invoices.search", nth=8, times=10_000, status=500)
    with pytest.raises(ServerError):
        await sync(brief.invoices, path, page_size=10)
    came = query(path, "SELECT count(*) FROM invoices")[0][0]
    assert 0 < came < 120
    firm.box.faults.clear()
    firm.insert(2)
    assert (await sync(brief.invoices, path, page_size=10)).rows_received <= 122 - came
    await sync(aiwyn.invoices, path)
    await same(path)


async def test_a_row_that_cannot_be_read_is_asked_for_alone_the_next_time(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    brief = aiwyn.with_options(retries=0)
    firm.break_row(firm.ids()[60])
    with pytest.raises(IncompleteError):
        await sync(brief.invoices, path, page_size=10)
    assert query(path, "SELECT count(*) FROM invoices") == [(119,)]
    firm.box.faults.clear()
    assert (await sync(brief.invoices, path, page_size=10)).rows_received == 1
    await same(path)


async def test_an_incomplete_sweep_marks_nothing(aiwyn: AiwynClient, firm: Any, tmp_path: Path) -> None:
    path, ids = tmp_path / "firm.duckdb", firm.ids()
    await sync(aiwyn.invoices, path)
    firm.box.delete("invoices", ids[10])
    brief = aiwyn.with_options(retries=0)
    firm.break_row(ids[40])
    with pytest.raises(IncompleteError):
        await sync(brief.invoices, path, page_size=10, reconcile_deletes=True)
    assert query(path, "SELECT count(*) FROM invoices WHERE _deleted_at IS NOT NULL") == [(0,)]


async def test_another_query_another_server_and_anothers_table_are_refused(
    aiwyn: AiwynClient, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path, where=F.status == "PAID")
    with pytest.raises(CheckpointError, match="another query"):
        await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE _aiwyn_sync SET server = 'https://elsewhere.example'")
    with pytest.raises(StorageError, match=r"of https://elsewhere\.example, not of"):
        await sync(aiwyn.invoices, path, where=F.status == "PAID")
    own = tmp_path / "own.duckdb"
    with duckdb.connect(str(own)) as file:
        file.execute("CREATE TABLE invoices AS SELECT 42 AS mine")
    with pytest.raises(StorageError, match="no sync made"):
        await sync(aiwyn.invoices, own)
    assert query(own, "SELECT * FROM invoices") == [(42,)]
    assert query(own, "SELECT count(*) FROM duckdb_tables()") == [(1,)]


async def test_what_cannot_be_a_target_is_refused_before_anything_is_sent(
    aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database" * 1000)
    (tmp_path / "link").symlink_to(text)
    for path in (text, tmp_path, tmp_path / "link", tmp_path / "nowhere" / "firm.duckdb"):
        with pytest.raises(StorageError):
            await sync(aiwyn.invoices, path)
    with pytest.raises(ConfigurationError, match="no search of payments"):
        await sync(aiwyn.payments, tmp_path / "x.duckdb", where={"id": {"_eq": 1}})
    assert firm.box.calls() == 0
    assert text.read_text() == "no database" * 1000


async def test_two_syncs_of_one_file_at_once(aiwyn: AiwynClient, tmp_path: Path) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    holder = f"import duckdb; file = duckdb.connect({str(path)!r}); print('held', flush=True); input()"
    with subprocess.Popen(  # noqa: ASYNC220 (it is only told to hold the file, and to let go)
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StorageError, match="in use"):
            await sync(aiwyn.invoices, path)
        other.communicate(b"\n")
    with duckdb.connect(str(path)), pytest.raises(StorageError, match="in use"):
        await sync(aiwyn.invoices, path)


async def test_a_new_field_is_added_and_all_rows_are_read_again(
    aiwyn: AiwynClient, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"

    class Slim(msgspec.Struct, frozen=True, rename="camel"):
        id: Id
        status: str | None = None

    kind: Any = type(aiwyn.invoices)
    slim: Any = type("SlimInvoices", (kind,), {"hit_type": Slim})(session_of(aiwyn))
    await sync(slim, path)
    assert len(query(path, "DESCRIBE invoices")) == 3
    done = await sync(aiwyn.invoices, path)
    assert (done.inserted, done.updated) == (0, 120)
    await same(path)


async def test_types_are_exact_and_names_are_those_of_the_wire(aiwyn: AiwynClient, tmp_path: Path) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    kinds = {row[0]: row[1] for row in query(path, "DESCRIBE invoices")}
    assert kinds["id"] == "BIGINT"
    assert kinds["totalAmount"] == "DECIMAL(38,9)"
    assert kinds["updatedAt"] == kinds["_deleted_at"] == "TIMESTAMP WITH TIME ZONE"
    assert kinds["lineItems"].startswith("STRUCT(")
    assert kinds["lineItems"].endswith("[]")
    with pytest.raises(duckdb.ConstraintException), duckdb.connect(str(path)) as file:
        file.execute("INSERT INTO invoices SELECT * FROM invoices LIMIT 1")


async def test_a_tag_without_an_instant_of_change_is_pulled_each_time(
    aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
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
        "DROP TABLE invoices",
    ],
)
async def test_damaged_bookkeeping_costs_a_full_pull_and_no_row(
    statement: str, aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(statement)
    firm.insert(2)
    firm.update(firm.ids()[0])

    assert (await sync(aiwyn.invoices, path)).complete
    await same(path)
    assert (await sync(aiwyn.invoices, path)).rows_received < 20


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE _aiwyn_sync DROP COLUMN checkpoint", "checkpoint"),
        ("CREATE OR REPLACE TABLE invoices AS SELECT * FROM invoices", "primary key id; drop it"),
    ],
)
async def test_tables_that_another_program_changed_are_refused_with_the_reason(
    statement: str, told: str, aiwyn: AiwynClient, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(statement)

    with pytest.raises(StorageError, match=told):
        await sync(aiwyn.invoices, path)
    assert query(path, "SELECT count(*) FROM invoices") == [(120,)]


async def test_a_row_that_does_not_fit_its_type_is_refused_and_the_rows_before_it_are_kept(
    aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mirror.duckdb"
    whole = await sync(aiwyn.invoices, tmp_path / "whole.duckdb", page_size=2)

    def spoil(body: bytes) -> bytes:
        return body.replace(b'"totalAmount":', b'"totalAmount":[],"was":', 1)

    firm.box.faults.add("invoices.search", nth=15, mutate=spoil)
    with pytest.raises(DecodeError, match="totalAmount"):
        await sync(aiwyn.invoices, path, page_size=2)
    rest = await sync(aiwyn.invoices, path, page_size=2)
    assert 0 < rest.rows_received < whole.rows_received
    assert rest.complete


async def test_a_value_that_its_column_cannot_hold_is_named_and_the_table_stays_as_it_was(
    aiwyn: AiwynClient, firm: Any, same: Same, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    await sync(aiwyn.invoices, path)
    firm.update(firm.ids()[-1])

    def enlarge(body: bytes) -> bytes:
        return body.replace(b'"totalAmount":', b'"totalAmount":1e30,"was":')

    firm.box.faults.add("invoices.search", times=99, mutate=enlarge)
    with pytest.raises((StorageError, DecodeError), match="totalAmount"):
        await sync(aiwyn.invoices, path)
    firm.box.faults.clear()
    await sync(aiwyn.invoices, path)
    await same(path)


@pytest.mark.parametrize("name", ["", "/", f"{'a' * 300}.duckdb"])
async def test_a_path_that_can_be_no_file_is_refused_as_any_other(
    name: str, aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    with pytest.raises((StorageError, ConfigurationError), match=r"names no file|File name too long"):
        await sync(aiwyn.invoices, tmp_path / name if name.endswith(".duckdb") else Path(name))
    assert firm.box.calls() == 0
