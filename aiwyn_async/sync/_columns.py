"""Column types of a synchronized table, and changes required by a row type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import inspect

from aiwyn_async._core.duckdb_sql import identifier, normalize
from aiwyn_async._decoding.plain_types import union_members
from aiwyn_async.arrow._options import EXTRA_COLUMN
from aiwyn_async.errors import StorageError
from aiwyn_async.sync._statements import DELETED_AT

# A type as DuckDB returns it: `id`, and `children` as pairs of a name and a type.
DuckType = Any

DATE_TYPE: Final = "DATE"
TIMESTAMP_TYPE: Final = "TIMESTAMP WITH TIME ZONE"
_LISTS: Final = (inspect.VarTupleType, inspect.ListType)


class SchemaChanges(NamedTuple):
    """Columns to add and columns to convert, each with its type as SQL."""

    added: dict[str, str]
    converted: dict[str, str]


def schema_changes(
    wanted: Mapping[str, DuckType],
    existing: Mapping[str, DuckType],
    declared: Mapping[str, inspect.Type],
    *,
    resource: str,
    path: Path,
) -> SchemaChanges:
    """Return what a table needs to hold the rows of a row type.

    ``existing`` are the column types of the table by normalized name, ``declared`` the field types of the row
    type by column.

    Raises:
        StorageError: a column has a type that would change values, the rows lack the column ``extra``, or the
            table lacks the one that marks deleted rows.
    """
    table = f'table "{resource}" in {path}'
    added = {name: to_sql(kind) for name, kind in wanted.items() if normalize(name) not in existing}
    _check_extra_column(table, wanted, existing)
    converted: dict[str, str] = {}
    for name, kind in wanted.items():
        own = existing.get(normalize(name), kind)
        both = common_type(own, kind, declared[name])
        if both is None:
            raise _altered_column(table, name, to_sql(own), to_sql(kind))
        if both != to_sql(own):
            converted[name] = both
    deleted_at = existing.get(normalize(DELETED_AT))
    if deleted_at is None:
        raise StorageError(
            f"{table} lost its column {DELETED_AT}, without which rows that were deleted on the server look "
            "as if they existed; restore it, or drop the table, and the next sync reads all rows"
        )
    if to_sql(deleted_at) != TIMESTAMP_TYPE:
        raise _altered_column(table, DELETED_AT, to_sql(deleted_at), TIMESTAMP_TYPE)
    return SchemaChanges(added, converted)


def _check_extra_column(table: str, wanted: Iterable[str], existing: Mapping[str, DuckType]) -> None:
    own = existing.get(EXTRA_COLUMN)
    if own is not None and own.id == "varchar" and EXTRA_COLUMN not in map(normalize, wanted):
        raise StorageError(
            f"{table} has a column {EXTRA_COLUMN}, which would keep old values; "
            f'pass extra="json" to update it, or drop or rename the column'
        )


def _altered_column(table: str, name: str, own: str, wanted: str) -> StorageError:
    advice = "restore the type (ALTER TABLE) or drop the table; use a view for other types"
    if (own, wanted) == (DATE_TYPE, TIMESTAMP_TYPE):
        advice = f"pass date_columns=('{name}',) if earlier syncs did; otherwise {advice}"
    elif (own, wanted) == (TIMESTAMP_TYPE, DATE_TYPE):
        advice = f"remove {name} from date_columns, or drop the table to read all rows again"
    return StorageError(
        f"column {name} of {table} has type {own} instead of {wanted}, which would change values; {advice}"
    )


def to_sql(kind: DuckType) -> str:
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{identifier(name)} {to_sql(each)}' for name, each in kind.children)})"
    if kind.id == "list":
        return f"{to_sql(kind.children[0][1])}[]"
    return str(kind)


def common_type(own: DuckType, other: DuckType, declared: inspect.Type | None = None) -> str | None:
    """Return the SQL type of a column that can hold the values of both types, or None.

    Integers and text become text, since ids may be either; with a declared type, only if it is that of an id.
    An object may gain fields but not lose any.
    """
    kinds = () if declared is None else union_members(declared)
    if own.id == other.id == "struct":
        return _common_struct(own, other, kinds)
    if own.id == other.id == "list":
        item = next((each.item_type for each in kinds if isinstance(each, _LISTS)), None)
        both = common_type(own.children[0][1], other.children[0][1], item)
        return None if both is None else f"{both}[]"
    if to_sql(own) == to_sql(other):
        return to_sql(own)
    may_be_text = declared is None or {inspect.IntType, inspect.StrType} <= set(map(type, kinds))
    return "VARCHAR" if may_be_text and {own.id, other.id} == {"bigint", "varchar"} else None


def _common_struct(own: DuckType, other: DuckType, kinds: Sequence[inspect.Type]) -> str | None:
    fields = [field for each in kinds if isinstance(each, inspect.StructType) for field in each.fields]
    declared = {normalize(field.encode_name): field.type for field in fields}
    others = {normalize(name): kind for name, kind in other.children}
    texts: list[str] = []
    for name, kind in own.children:
        wanted = others.pop(normalize(name), None)
        both = None if wanted is None else common_type(kind, wanted, declared.get(normalize(name)))
        if both is None:
            return None
        texts.append(f"{identifier(name)} {both}")
    new = [(name, kind) for name, kind in other.children if normalize(name) in others]
    return f"STRUCT({', '.join([*texts, *(f'{identifier(name)} {to_sql(kind)}' for name, kind in new)])})"
