# ruff: noqa: S608 - each name in these statements is quoted by identifier()
"""The SQL of a synchronised table. Every name in it is quoted; values are parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from aiwyn_async.duckdb_sql import identifier

__all__ = [
    "ATTACHED",
    "BATCH",
    "DELETED_AT",
    "MAKE_STATE",
    "STATE",
    "add_column",
    "create_table",
    "has_any_table",
    "has_table",
    "mark_gone",
    "merge",
    "primary_key",
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
        f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND table_name = ?"
    )


def primary_key() -> str:
    """The columns of the primary key of the table of the name given."""
    return (
        "SELECT constraint_column_names FROM duckdb_constraints() "
        f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND table_name = ? "
        "AND constraint_type = 'PRIMARY KEY'"
    )


def add_column(tag: str, column: str, kind: str) -> str:
    """A column more; ``kind`` is a type as DuckDB itself describes it."""
    return f"ALTER TABLE {table(tag)} ADD COLUMN {identifier(column)} {kind}"


def merge(tag: str, key: str, columns: Iterable[str]) -> str:
    """The batch into the table: rows that differ are replaced, and one marked as deleted lives again."""
    others = [identifier(column) for column in columns if column != key]
    differs = "".join(f" OR t.{column} IS DISTINCT FROM b.{column}" for column in others)
    values = "".join(f"{column} = b.{column}, " for column in others)
    deleted = identifier(DELETED_AT)
    return (
        f"MERGE INTO {table(tag)} AS t USING {BATCH} AS b ON t.{identifier(key)} = b.{identifier(key)} "
        f"WHEN MATCHED AND (t.{deleted} IS NOT NULL{differs}) THEN UPDATE SET {values}{deleted} = NULL "
        "WHEN NOT MATCHED THEN INSERT BY NAME * RETURNING merge_action"
    )


def select_keys(tag: str, key: str) -> str:
    """The keys of all rows that are not marked as deleted."""
    return f"SELECT {identifier(key)} FROM {table(tag)} WHERE {identifier(DELETED_AT)} IS NULL"


def mark_gone(tag: str, key: str) -> str:
    """Mark the rows whose keys are in the batch, with the instant given."""
    deleted, own = identifier(DELETED_AT), identifier(key)
    return (
        f"UPDATE {table(tag)} SET {deleted} = ?::TIMESTAMPTZ "
        f"WHERE {deleted} IS NULL AND {own} IN (SELECT {own} FROM {BATCH})"
    )
