"""Targets of a sync, and the values of their columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, ConfigurationError, StorageError
from aiwyn_async._core.identity import JobIdentity
from aiwyn_async.models.base import Id
from aiwyn_async.sync import sync
from aiwyn_async.sync._columns import common_type
from aiwyn_async.sync._table import SyncedTable, SyncState
from duckdb_files import query
from looking_inside import session_of
from model_firm import FirmServer


async def test_invalid_targets_are_refused_before_any_request(
    aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database" * 1000)
    (tmp_path / "link").symlink_to(text)
    os.mkfifo(tmp_path / "pipe")
    for name in ("notes.txt", "", "link", "nowhere/firm.duckdb", "pipe"):
        path = tmp_path / name
        with pytest.raises(StorageError):
            await sync(aiwyn.invoices, path)
    with pytest.raises(ConfigurationError, match="payments have no documented search endpoint"):
        await sync(aiwyn.payments, tmp_path / "x.duckdb", where={"id": {"_eq": 1}})
    assert firm.box.calls() == 0
    assert text.read_text() == "no database" * 1000


@pytest.mark.parametrize("name", ["", "/", f"{'a' * 300}.duckdb"])
async def test_path_that_cannot_name_a_file_is_refused(
    name: str, aiwyn: AiwynClient, firm: Any, tmp_path: Path
) -> None:
    with pytest.raises((StorageError, ConfigurationError), match=r"is not a file name|File name too long"):
        await sync(aiwyn.invoices, tmp_path / name if name.endswith(".duckdb") else Path(name))
    assert firm.box.calls() == 0


@pytest.mark.parametrize("name", [":memory:", ":memory:x", "md:firm", "sqlite:x.db", "postgres:dbname=x"])
async def test_name_of_another_database_is_refused_before_any_request(
    name: str, served: FirmServer, reader: AiwynClient
) -> None:
    with pytest.raises(ConfigurationError, match=r"pass a path such as firm\.duckdb"):
        await sync(reader.invoices, name)
    assert served.firm.requests == 0


@pytest.mark.parametrize(
    "name", ["x.parquet", "x.csv", "x.jsonl", "x.json", "X.PARQUET", "x.csv.gz", "x.sqlite"]
)
async def test_suffix_of_another_format_is_refused_before_any_request(
    name: str, served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"x\.(csv\.)?duckdb|X\.duckdb"):
        await sync(reader.invoices, tmp_path / name)
    assert served.firm.requests == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "text"])
async def test_file_that_is_not_a_database_is_refused(
    kind: str, served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    path, table = tmp_path / "firm.db", pa.table({"id": [1, 2]})
    match kind:
        case "parquet":
            pq.write_table(table, path)
        case "csv":
            pa_csv.write_csv(table, path)
        case "json":
            path.write_text('{"id": 1}\n')
        case _:
            path.write_text("notes")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="is not a DuckDB database"):
        await sync(reader.invoices, path)
    assert served.firm.requests == 0
    assert path.read_bytes() == before


async def test_empty_file_of_a_run_that_met_a_full_disk_is_filled(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    path.touch(0o644)
    assert (await sync(reader.invoices, path)).inserted == 1
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("dueDate", "DATE"),
        ("totalAmount", "DOUBLE"),
        ("notes", "INTEGER"),
        ("updatedAt", "TIMESTAMP"),
        ("_deleted_at", "DATE"),
    ],
)
async def test_altered_column_type_is_refused_with_the_reason(
    column: str, kind: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE invoices SET notes = NULL")
        file.execute(f'ALTER TABLE invoices ALTER "{column}" TYPE {kind}')
    served.firm.requests = 0
    with pytest.raises(StorageError, match=rf'column {column} of table "invoices" .* has type {kind}'):
        await sync(reader.invoices, path)
    assert served.firm.requests == 0


async def test_table_whose_rows_were_deleted_is_filled_again(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    for number in range(1, 9):
        served.firm.put(number, f"2025-03-02T0{number}:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("DELETE FROM invoices")
    result = await sync(reader.invoices, path)
    assert (result.inserted, result.complete) == (8, True)


@pytest.mark.parametrize("more", ["", "ALTER TABLE invoices ADD COLUMN mine VARCHAR DEFAULT 'x'"])
async def test_default_of_an_altered_column_marks_no_row_as_deleted(
    more: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(
            "ALTER TABLE invoices ALTER _deleted_at SET DEFAULT TIMESTAMPTZ '2025-01-01 00:00:00+00'"
        )
        file.execute("ALTER TABLE invoices ALTER notes SET DEFAULT 'none'")
        file.execute(more)
    for number, hour in ((1, 1), (2, 2), (1, 3), (3, 3)):
        served.firm.put(number, f"2025-03-02T0{hour}:00:00Z", notes=None)
        await sync(reader.invoices, path)
    assert query(path, "SELECT id, notes, _deleted_at FROM invoices ORDER BY id") == [
        (number, None, None) for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("more", ["", "ALTER TABLE invoices ADD COLUMN mine VARCHAR"])
async def test_collation_of_the_key_joins_no_rows(
    more: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put("a1", "2025-03-02T01:00:00Z")
    served.firm.put("b1", "2025-03-02T02:00:00Z")
    await sync(reader.invoices, path)
    columns = ", ".join(
        f'"{name}" {kind}{" COLLATE NOCASE PRIMARY KEY" if name == "id" else ""}'
        for name, kind, *_ in query(path, "DESCRIBE invoices")
    )
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE invoices RENAME TO before")
        file.execute(f"CREATE TABLE invoices ({columns})")
        file.execute("INSERT INTO invoices FROM before")
        file.execute("DROP TABLE before")
        file.execute(more)
    served.firm.put("A1", "2025-03-02T03:00:00Z")
    await sync(reader.invoices, path)
    assert query(path, "SELECT id FROM invoices ORDER BY encode(id)") == [("A1",), ("a1",), ("b1",)]
    del served.firm.rows["A1"]
    assert (await sync(reader.invoices, path, reconcile_deletes=True)).deleted == 1
    assert query(path, "SELECT id FROM invoices WHERE _deleted_at IS NOT NULL") == [("A1",)]


@pytest.mark.parametrize("change", ["RENAME _deleted_at TO gone", "DROP _deleted_at"])
async def test_table_without_the_column_that_marks_deleted_rows_is_refused(
    change: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute(f"ALTER TABLE invoices {change}")
    served.firm.requests = 0
    with pytest.raises(StorageError, match="lost its column _deleted_at"):
        await sync(reader.invoices, path)
    assert served.firm.requests == 0


async def test_two_states_of_a_table_are_none(served: FirmServer, reader: AiwynClient, path: Path) -> None:
    """As after the tables of two files were joined; only the older bookmark has the changes of all rows."""
    served.firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("CREATE TABLE states AS FROM _aiwyn_sync")
    served.firm.put(2, "2025-03-02T09:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("INSERT INTO states FROM _aiwyn_sync")
        file.execute("DROP TABLE _aiwyn_sync")
        file.execute("ALTER TABLE states RENAME TO _aiwyn_sync")
        file.execute("DELETE FROM invoices WHERE id = 1")
    assert (await sync(reader.invoices, path)).inserted == 1
    assert query(path, "SELECT id FROM invoices ORDER BY id") == [(1,), (2,)]


async def test_table_and_column_names_ignore_case(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE invoices RENAME TO other")
        file.execute('ALTER TABLE other RENAME TO "Invoices"')
        file.execute('ALTER TABLE "Invoices" RENAME "notes" TO "NOTES"')
    served.firm.put(1, "2025-03-02T02:00:00Z")
    assert (await sync(reader.invoices, path)).updated == 1
    assert query(path, "SELECT notes FROM invoices") == [("version 2",)]


async def test_columns_that_differ_only_in_case_are_refused(
    served: FirmServer, reader: AiwynClient, tmp_path: Path
) -> None:
    class Twice(msgspec.Struct):
        id: Id
        total: str | None = None
        other: str | None = msgspec.field(name="Total", default=None)

    kind: Any = type(reader.invoices)
    invoices: Any = type("Invoices", (kind,), {"hit_type": Twice})(session_of(reader))
    with pytest.raises(ConfigurationError, match="'total' and 'Total'"):
        await sync(invoices, tmp_path / "firm.duckdb")
    assert served.firm.requests == 0


UUIDS = [f"3f2504e0-4f89-11d3-9a0c-0305e82c33{number:02}" for number in range(10)]


@pytest.mark.parametrize("keys", [["00123", "00456", "00789"], UUIDS, ["a", "B", "ä"], [1, "x2", 3]])
async def test_text_ids_are_stored_as_text(
    keys: list[Any], served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    if len({type(key) for key in keys}) > 1:
        firm.has_mixed_keys = True
        for key in keys:
            firm.extra_fields[key] = {"id": str(key)}
    for hour, key in enumerate(keys):
        firm.put(key, f"2025-03-02T0{hour}:00:00Z")
    results = [await sync(reader.invoices, path, reconcile_deletes=True, page_size=2) for _ in range(3)]
    assert [(each.inserted, each.deleted, each.problems) for each in results] == [
        (len(keys), 0, []),
        (0, 0, []),
        (0, 0, []),
    ]
    wanted = sorted((str(key), row.notes) for key, row in firm.rows.items())
    assert query(path, "SELECT id, notes FROM invoices ORDER BY id") == wanted
    assert query(path, "SELECT count(*) FROM invoices WHERE _deleted_at IS NOT NULL") == [(0,)]


async def test_integer_ids_become_text_when_text_is_received(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 6):
        firm.put(number, f"2025-03-02T0{number}:00:00Z", clientId=number * 10)
    await sync(reader.invoices, path)
    with duckdb.connect(str(path)) as file:
        file.execute("ALTER TABLE invoices ADD COLUMN mine INTEGER")
        file.execute("UPDATE invoices SET mine = id")
    firm.put(6, "2025-03-02T06:00:00Z", clientId="C-100")
    await sync(reader.invoices, path)
    firm.put(7, "2025-03-02T07:00:00Z", clientId=70)
    result = await sync(reader.invoices, path, reconcile_deletes=True)
    assert (result.complete, result.deleted) == (True, 0)
    rows = query(path, "SELECT id, clientId, mine FROM invoices ORDER BY id")
    assert rows == [
        *((number, str(number * 10), number) for number in range(1, 6)),
        (6, "C-100", None),
        (7, "70", None),
    ]
    kinds = {row[0]: (row[1], row[3]) for row in query(path, "DESCRIBE invoices")}
    assert kinds["clientId"] == ("VARCHAR", None)
    assert kinds["id"] == ("BIGINT", "PRI"), "the primary key is made again"
    assert query(path, "SELECT count(*) FROM duckdb_tables()") == [(2,)]
    for number in range(1, 8):
        firm.put(number, f"2025-03-02T08:0{number}:00Z", clientId=number)
    assert (await sync(reader.invoices, path)).updated == 7


async def test_primary_key_that_becomes_text_retains_its_rows(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 6):
        firm.put(number, f"2025-03-02T0{number}:00:00Z")
    await sync(reader.invoices, path)
    firm.put(6, "2025-03-02T06:00:00Z", id="INV-6")
    firm.has_mixed_keys = True
    result = await sync(reader.invoices, path)
    assert result.inserted == 1
    assert query(path, "SELECT id FROM invoices ORDER BY id") == [
        (text,) for text in ("1", "2", "3", "4", "5", "INV-6")
    ]
    kinds = {row[0]: (row[1], row[3]) for row in query(path, "DESCRIBE invoices")}
    assert kinds["id"] == ("VARCHAR", "PRI")
    firm.put(2, "2025-03-02T07:00:00Z")
    assert (await sync(reader.invoices, path)).updated == 1


class Line(msgspec.Struct, rename="camel"):
    id: Id | None = None
    text: str | None = None


class WithLines(msgspec.Struct, rename="camel"):
    id: Id
    line_items: tuple[Line, ...] | None = None


class SlimLine(msgspec.Struct, rename="camel"):
    id: Id | None = None


class WithSlimLines(msgspec.Struct, rename="camel"):
    id: Id
    line_items: tuple[SlimLine, ...] | None = None


def batch(keys: list[int], line_ids: list[Any]) -> Any:
    kind = pa.string() if any(isinstance(each, str) for each in line_ids) else pa.int64()
    lines = pa.array(
        [[{"id": each, "text": "t"}] for each in line_ids],
        pa.list_(pa.struct([("id", kind), ("text", pa.string())])),
    )
    return pa.table({"id": keys, "lineItems": lines})


def test_nested_ids_become_text(path: Path) -> None:
    batches: list[tuple[list[int], list[Any]]] = [([1, 2], [10, 20]), ([3], ["L-3"]), ([4, 1], [40, 11])]
    for keys, lines in batches:
        table = SyncedTable(path, "invoices", "id", WithLines, identity=JobIdentity("s", "q"))
        table.open()
        try:
            table.write(batch(keys, lines), SyncState())
        finally:
            table.close()
    rows = query(path, "SELECT id, lineItems FROM invoices ORDER BY id")
    texts = {1: "11", 2: "20", 3: "L-3", 4: "40"}
    assert rows == [(key, [{"id": text, "text": "t"}]) for key, text in texts.items()]


def test_object_with_a_new_field_retains_its_values(path: Path) -> None:
    slim: Any = pa.array([[{"id": 10}]], pa.list_(pa.struct([("id", pa.int64())])))
    writes: list[tuple[type[Any], Any]] = [
        (WithSlimLines, pa.table({"id": [1], "lineItems": slim})),
        (WithLines, batch([2], [20])),
    ]
    for row_type, rows in writes:
        table = SyncedTable(path, "invoices", "id", row_type, identity=JobIdentity("s", "q"))
        table.open()
        try:
            table.write(rows, SyncState("kept"))
        finally:
            table.close()
    assert query(path, "SELECT id, lineItems FROM invoices ORDER BY id") == [
        (1, [{"id": 10, "text": None}]),
        (2, [{"id": 20, "text": "t"}]),
    ]


@pytest.mark.parametrize(
    ("there", "other", "both"),
    [
        ("BIGINT", "BIGINT", "BIGINT"),
        ("BIGINT", "VARCHAR", "VARCHAR"),
        ("VARCHAR", "BIGINT", "VARCHAR"),
        ("DATE", "TIMESTAMPTZ", None),
        ("STRUCT(id BIGINT, a DATE)[]", "STRUCT(id VARCHAR, a DATE)[]", 'STRUCT("id" VARCHAR, "a" DATE)[]'),
        ("STRUCT(ID BIGINT)", "STRUCT(id BIGINT, b DATE)", 'STRUCT("ID" BIGINT, "b" DATE)'),
        ("STRUCT(id BIGINT, b DATE)", "STRUCT(id BIGINT)", None),
        ("BIGINT[]", "BIGINT", None),
    ],
)
def test_common_type_holds_both_columns(there: str, other: str, both: str | None) -> None:
    with duckdb.connect() as connection:
        one, two = connection.sql(f"SELECT NULL::{there} AS a, NULL::{other} AS b").types
        assert common_type(one, two) == both
