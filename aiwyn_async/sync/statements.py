# ruff: noqa: S608 - each name in these statements is quoted by name()
"""The SQL of a synchronised table. Every name in it is quoted; values are parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "ATTACHED",
    "BATCH",
    "DELETED_AT",
    "MAKE_STATE",
    "STATE",
    "add_column",
    "attach",
    "create_table",
    "has_table",
    "mark_gone",
    "merge",
    "name",
    "select_keys",
    "table",
]

ATTACHED: Final = "firm"
BATCH: Final = "_batch"
DELETED_AT: Final = "_deleted_at"
STATE: Final = f'{ATTACHED}.main."_aiwyn_sync"'
STORAGE_VERSION: Final = "v1.2.0"
"""Of a new file: DuckDB 1.2 and every later one reads it."""

MAKE_STATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {STATE} "
    "(tag VARCHAR PRIMARY KEY, server VARCHAR, query VARCHAR, bookmark VARCHAR, checkpoint VARCHAR)"
)


def name(text: str) -> str:
    """A name as an identifier, whatever stands in it."""
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def table(tag: str) -> str:
    """The table of a tag in the attached file."""
    return f"{ATTACHED}.main.{name(tag)}"


def attach(path: str, *, is_new: bool) -> str:
    """Open a file beside the connection's own memory."""
    escaped = path.replace("'", "''")
    return f"ATTACH '{escaped}' AS {ATTACHED}" + (f" (STORAGE_VERSION '{STORAGE_VERSION}')" if is_new else "")


def create_table(tag: str, key: str) -> Sequence[str]:
    """A table with the columns of the batch, unique by its key."""
    empty = f"SELECT *, NULL::TIMESTAMPTZ AS {name(DELETED_AT)} FROM {BATCH} LIMIT 0"
    return (
        f"CREATE TABLE {table(tag)} AS {empty}",
        f"ALTER TABLE {table(tag)} ADD PRIMARY KEY ({name(key)})",
    )


def has_table() -> str:
    """Whether the file has a table of the name given."""
    return (
        "SELECT 1 FROM duckdb_tables() "
        f"WHERE database_name = '{ATTACHED}' AND schema_name = 'main' AND table_name = ?"
    )


def add_column(tag: str, column: str, kind: str) -> str:
    """A column more; ``kind`` is a type as DuckDB itself describes it."""
    return f"ALTER TABLE {table(tag)} ADD COLUMN {name(column)} {kind}"


def merge(tag: str, key: str, columns: Iterable[str]) -> str:
    """The batch into the table: rows that differ are replaced, and one marked as deleted lives again."""
    others = [name(column) for column in columns if column != key]
    differs = "".join(f" OR t.{column} IS DISTINCT FROM b.{column}" for column in others)
    values = "".join(f"{column} = b.{column}, " for column in others)
    deleted = name(DELETED_AT)
    return (
        f"MERGE INTO {table(tag)} AS t USING {BATCH} AS b ON t.{name(key)} = b.{name(key)} "
        f"WHEN MATCHED AND (t.{deleted} IS NOT NULL{differs}) THEN UPDATE SET {values}{deleted} = NULL "
        "WHEN NOT MATCHED THEN INSERT BY NAME * RETURNING merge_action"
    )


def select_keys(tag: str, key: str) -> str:
    """The keys of all rows that are not marked as deleted."""
    return f"SELECT {name(key)} FROM {table(tag)} WHERE {name(DELETED_AT)} IS NULL"


def mark_gone(tag: str, key: str) -> str:
    """Mark the rows whose keys are in the batch, with the instant given."""
    return (
        f"UPDATE {table(tag)} SET {name(DELETED_AT)} = ?::TIMESTAMPTZ "
        f"WHERE {name(DELETED_AT)} IS NULL AND {name(key)} IN (SELECT {name(key)} FROM {BATCH})"
    )
