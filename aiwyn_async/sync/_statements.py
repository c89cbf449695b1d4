# ruff: noqa: S608 - each name in these statements is quoted by identifier()
"""The SQL of a synchronised table. Every name in it is quoted; values are parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiwyn_async._core.duckdb_sql import identifier

__all__ = [
    "ATTACHED",
    "BATCH",
    "DELETED_AT",
    "INSERT_STATE",
    "MAKE_STATE",
    "MORE_STATE",
    "SELECT_OWNER",
    "SELECT_STATE",
    "TOUCH_STATE",
    "UPDATE_STATE",
    "add_column",
    "change_types",
    "create_table",
    "has_any_table",
    "has_table",
    "mark_deleted",
    "merge",
    "primary_key",
    "rows_of",
    "select_keys",
    "table",
]

ATTACHED: Final = "firm"
BATCH: Final = "_batch"
DELETED_AT: Final = "_deleted_at"
STATE: Final = f'{ATTACHED}.main."_aiwyn_sync"'

MAKE_STATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {STATE} "
    "(tag VARCHAR PRIMARY KEY, server VARCHAR, query VARCHAR, bookmark VARCHAR, checkpoint VARCHAR)"
)

MORE_STATE: Final = f"ALTER TABLE {STATE} ADD COLUMN IF NOT EXISTS skipped VARCHAR"
"""A column that files of earlier releases do not have."""
SELECT_STATE: Final = f"SELECT bookmark, checkpoint, skipped FROM {STATE} WHERE lower(tag) = lower(?)"
SELECT_OWNER: Final = f"SELECT server, query FROM {STATE} WHERE lower(tag) = lower(?)"
INSERT_STATE: Final = (
    f"INSERT OR REPLACE INTO {STATE} (tag, server, query, bookmark, checkpoint, skipped) "
    "VALUES (?, ?, ?, NULL, NULL, NULL)"
)
"""A line of a table that its owner has dropped may be there."""
UPDATE_STATE: Final = (
    f"UPDATE {STATE} SET bookmark = ?, checkpoint = ?, skipped = ? WHERE lower(tag) = lower(?)"
)
TOUCH_STATE: Final = f"UPDATE {STATE} SET server = server"
COPY: Final = "temp.main._copy"


def table(tag: str) -> str:
    """The table of a tag in the attached file."""
    return f"{ATTACHED}.main.{identifier(tag)}"


def create_table(tag: str, key: str) -> Sequence[str]:
    """A table with the columns of the batch, unique by its key."""
    empty = f"SELECT *, NULL::TIMESTAMPTZ AS {identifier(DELETED_AT)} FROM {BATCH} LIMIT 0"
    return (
        f"CREATE TABLE {table(tag)} AS {empty}",
        f"ALTER TABLE {table(tag)} ADD PRIMARY KEY ({identifier(key)})",
    )


def has_any_table() -> str:
    """Whether there is a table in the file."""
    return f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{ATTACHED}' LIMIT 1"


def has_table() -> str:
    """Whether the file has a table of the name given."""
    return (
        "SELECT 1 FROM duckdb_tables() "
        f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND lower(table_name) = lower(?)"
    )


def primary_key() -> str:
    """The columns of the primary key of the table of the name given."""
    return (
        "SELECT constraint_column_names FROM duckdb_constraints() "
        f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND lower(table_name) = lower(?) "
        "AND constraint_type = 'PRIMARY KEY'"
    )


def add_column(tag: str, column: str, kind: str) -> str:
    """A column more; ``kind`` is a type as DuckDB itself describes it."""
    return f"ALTER TABLE {table(tag)} ADD COLUMN {identifier(column)} {kind}"


def change_types(tag: str, key: str, types: Mapping[str, str]) -> Sequence[str]:
    """Give columns other types, as SQL, to which their values are cast.

    DuckDB does not change the type of a column of a primary key, so the table is made again.
    """
    casts = ", ".join(
        f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items()
    )
    return (
        f"CREATE OR REPLACE TEMP TABLE {COPY} AS SELECT * REPLACE ({casts}) FROM {table(tag)}",
        f"DROP TABLE {table(tag)}",
        f"CREATE TABLE {table(tag)} AS SELECT * FROM {COPY}",
        f"ALTER TABLE {table(tag)} ADD PRIMARY KEY ({identifier(key)})",
        f"DROP TABLE {COPY}",
    )


def rows_of(relation: str) -> str:
    """All rows, of which only the columns are looked at."""
    return f"SELECT * FROM {relation} LIMIT 0"


def merge(tag: str, key: str, columns: Iterable[str], types: Mapping[str, str]) -> str:
    """The batch into the table: rows that differ are replaced, and one marked as deleted lives again.

    Args:
        tag: names the table.
        key: its unique column.
        columns: of the batch.
        types: of those that the table has with another type.
    """
    others = [identifier(column) for column in columns if column != key]
    differs = "".join(f" OR t.{column} IS DISTINCT FROM b.{column}" for column in others)
    values = "".join(f"{column} = b.{column}, " for column in others)
    deleted = identifier(DELETED_AT)
    casts = ", ".join(
        f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items()
    )
    batch = f"(SELECT * REPLACE ({casts}) FROM {BATCH})" if casts else BATCH
    return (
        f"MERGE INTO {table(tag)} AS t USING {batch} AS b ON t.{identifier(key)} = b.{identifier(key)} "
        f"WHEN MATCHED AND (t.{deleted} IS NOT NULL{differs}) THEN UPDATE SET {values}{deleted} = NULL "
        "WHEN NOT MATCHED THEN INSERT BY NAME * RETURNING merge_action"
    )


def select_keys(tag: str, key: str, instant: str | None = None) -> str:
    """The keys of all rows that are not marked as deleted, with an instant in microseconds since 1970."""
    micros = "NULL" if instant is None else f"epoch_us({identifier(instant)})"
    deleted = identifier(DELETED_AT)
    return f"SELECT {identifier(key)}, {micros} FROM {table(tag)} WHERE {deleted} IS NULL"


def mark_deleted(tag: str, key: str) -> str:
    """Mark the rows whose keys are in the batch, with the instant given."""
    deleted, own = identifier(DELETED_AT), identifier(key)
    return (
        f"UPDATE {table(tag)} SET {deleted} = ?::TIMESTAMPTZ "
        f"WHERE {deleted} IS NULL AND {own} IN (SELECT {own} FROM {BATCH})"
    )
