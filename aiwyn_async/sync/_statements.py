# ruff: noqa: S608 - each name in these statements is quoted by identifier()
"""The SQL of a synchronized table. Names are quoted; values are parameters.

``columns`` are the columns of the batch, with their SQL types in the table; ``types`` are SQL types to cast
columns of the batch to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiwyn_async._core.duckdb_sql import identifier

ATTACHED: Final = "firm"
BATCH: Final = "_batch"
DELETED_AT: Final = "_deleted_at"
STATE_TABLE: Final = "_aiwyn_sync"
_STATE: Final = f'{ATTACHED}.main."{STATE_TABLE}"'
_COPY: Final = "temp.main._copy"
_CHANGED: Final = "temp.main._changed"
DROP_CHANGED: Final = f"DROP TABLE {_CHANGED}"

CREATE_STATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {_STATE} (resource VARCHAR PRIMARY KEY, server VARCHAR, query VARCHAR, "
    "bookmark VARCHAR, checkpoint VARCHAR, skipped VARCHAR)"
)
SELECT_STATE: Final = f"SELECT bookmark, checkpoint, skipped FROM {_STATE} WHERE lower(resource) = lower(?)"
SELECT_OWNER: Final = f"SELECT server, query FROM {_STATE} WHERE lower(resource) = lower(?)"
# A row for a table that its owner has dropped may exist.
INSERT_STATE: Final = (
    f"INSERT OR REPLACE INTO {_STATE} (resource, server, query, bookmark, checkpoint, skipped) "
    "VALUES (?, ?, ?, NULL, NULL, NULL)"
)
UPDATE_STATE: Final = (
    f"UPDATE {_STATE} SET bookmark = ?, checkpoint = ?, skipped = ? WHERE lower(resource) = lower(?)"
)
CONTINUES: Final = "the log continues "

HAS_ANY_TABLE: Final = f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{ATTACHED}' LIMIT 1"
HAS_TABLE: Final = (
    "SELECT 1 FROM duckdb_tables() "
    f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND lower(table_name) = lower(?)"
)
PRIMARY_KEY: Final = "SELECT name FROM pragma_table_info(?) WHERE pk"
"""The parameter is a qualified name. `duckdb_constraints()` takes 4 ms longer."""


def comment_state(content_id: str) -> str:
    """Note in the log which content of the file it continues."""
    return f"COMMENT ON TABLE {_STATE} IS '{CONTINUES}{content_id}'"


def qualified_name(table: str) -> str:
    return f"{ATTACHED}.main.{identifier(table)}"


def create_table(table: str, key: str) -> Sequence[str]:
    """Create a table with the columns of the batch and a primary key."""
    empty = f"SELECT *, NULL::TIMESTAMPTZ AS {identifier(DELETED_AT)} FROM {BATCH} LIMIT 0"
    return (
        f"CREATE TABLE {qualified_name(table)} AS {empty}",
        f"ALTER TABLE {qualified_name(table)} ADD PRIMARY KEY ({identifier(key)})",
    )


def add_column(table: str, column: str, kind: str) -> str:
    return f"ALTER TABLE {qualified_name(table)} ADD COLUMN {identifier(column)} {kind}"


def convert_columns(table: str, key: str, types: Mapping[str, str]) -> Sequence[str]:
    """Cast columns to other SQL types.

    DuckDB cannot change the type of a primary key column, so the table is created again.
    """
    name = qualified_name(table)
    return (
        f"CREATE OR REPLACE TEMP TABLE {_COPY} AS SELECT * REPLACE ({_casts(types)}) FROM {name}",
        f"DROP TABLE {name}",
        f"CREATE TABLE {name} AS SELECT * FROM {_COPY}",
        f"ALTER TABLE {name} ADD PRIMARY KEY ({identifier(key)})",
        f"DROP TABLE {_COPY}",
    )


def column_types(relation: str) -> str:
    """Select no rows, for the columns of the result."""
    return f"SELECT * FROM {relation} LIMIT 0"


def insert_batch(table: str, types: Mapping[str, str]) -> str:
    """Insert the batch; DuckDB refuses it if the table has a row with one of its keys."""
    return f"INSERT INTO {qualified_name(table)} BY NAME FROM {_batch(types)}"


def find_changed(table: str, key: str, columns: Mapping[str, str], types: Mapping[str, str]) -> str:
    """Copy rows that are new, differ, or are marked as deleted, from the batch."""
    own = _exactly(key, columns[key])
    return (
        f"CREATE OR REPLACE TEMP TABLE {_CHANGED} AS SELECT b.* FROM {_batch(types)} AS b "
        f"LEFT JOIN {qualified_name(table)} AS t ON t.{own} = b.{own} "
        f"WHERE t.{identifier(key)} IS NULL OR {_differs(key, columns)}"
    )


def delete_changed(table: str, key: str, kind: str) -> str:
    """Delete the old versions of the copied rows."""
    own = _exactly(key, kind)
    return f"DELETE FROM {qualified_name(table)} WHERE {own} IN (SELECT {own} FROM {_CHANGED})"


def insert_changed(table: str) -> str:
    return f"INSERT INTO {qualified_name(table)} BY NAME FROM {_CHANGED}"


def merge_batch(table: str, key: str, columns: Mapping[str, str], types: Mapping[str, str]) -> str:
    """Insert new rows, update those that differ, and revive those marked as deleted."""
    names = [identifier(column) for column in columns if column != key]
    values = "".join(f"{name} = b.{name}, " for name in names)
    differs = _differs(key, columns)
    return (
        f"MERGE INTO {qualified_name(table)} AS t USING {_batch(types)} AS b "
        f"ON t.{_exactly(key, columns[key])} = b.{_exactly(key, columns[key])} "
        f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {values}{identifier(DELETED_AT)} = NULL "
        "WHEN NOT MATCHED THEN INSERT BY NAME * RETURNING merge_action"
    )


def select_any_row(table: str) -> str:
    return f"SELECT 1 FROM {qualified_name(table)} LIMIT 1"


def select_keys(table: str, key: str, modified_at: str | None = None) -> str:
    """Select keys and timestamps (microseconds since 1970) of rows not deleted."""
    micros = "NULL" if modified_at is None else f"epoch_us({identifier(modified_at)})"
    deleted = identifier(DELETED_AT)
    return f"SELECT {identifier(key)}, {micros} FROM {qualified_name(table)} WHERE {deleted} IS NULL"


def mark_deleted(table: str, key: str, kind: str) -> str:
    """Set the deletion time of rows whose keys are in the batch."""
    deleted, own = identifier(DELETED_AT), _exactly(key, kind)
    return (
        f"UPDATE {qualified_name(table)} SET {deleted} = ?::TIMESTAMPTZ "
        f"WHERE {deleted} IS NULL AND {own} IN (SELECT {own} FROM {BATCH})"
    )


def _batch(types: Mapping[str, str]) -> str:
    """Return the batch, with no deletion time even if a user gave its column a default."""
    replaced = f" REPLACE ({_casts(types)})" if types else ""
    return f"(SELECT *{replaced}, NULL::TIMESTAMPTZ AS {identifier(DELETED_AT)} FROM {BATCH})"


def _differs(key: str, columns: Mapping[str, str]) -> str:
    """Compare all columns but the key."""
    terms = [f"t.{identifier(DELETED_AT)} IS NOT NULL"]
    for column, kind in columns.items():
        if column != key:
            terms.append(f"t.{_exactly(column, kind)} IS DISTINCT FROM b.{identifier(column)}")
    return " OR ".join(terms)


def _exactly(column: str, kind: str) -> str:
    """Return a column as an operand that is compared exactly, even if a user gave it a collation."""
    return f'{identifier(column)} COLLATE "binary"' if kind == "VARCHAR" else identifier(column)


def _casts(types: Mapping[str, str]) -> str:
    return ", ".join(
        f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items()
    )
