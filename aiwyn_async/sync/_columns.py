"""The type of a column that must hold the values of two: what a table has, and what a batch brings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import inspect

from aiwyn_async._core.duckdb_sql import identifier

__all__ = ["folded", "same_name_twice", "type_for_both", "type_text"]

# What DuckDB gives for a type: its `id`, and `children` as pairs of a name and a type.
DuckType = Any


def folded(name: str) -> str:
    """Return a name as DuckDB compares it: without the case of ASCII letters."""
    return name.encode().lower().decode()


def same_name_twice(names: Iterable[str]) -> list[str]:
    """Return the names that differ by case only, which one table cannot have."""
    names = list(names)
    counts = Counter(map(folded, names))
    return [name for name in names if counts[folded(name)] > 1]


def type_text(kind: DuckType) -> str:
    """Return a type as SQL."""
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{identifier(name)} {type_text(each)}' for name, each in kind.children)})"
    if kind.id == "list":
        return f"{type_text(kind.children[0][1])}[]"
    return str(kind)


def type_for_both(there: DuckType, other: DuckType, declared: inspect.Type | None = None) -> str | None:
    """Return the type, as SQL, of a column that holds the values of both types; None if there is none.

    Integers and text become text: ids that are not integers. An object may get more fields, and loses none.

    Args:
        there: the type of the column.
        other: the type of the values that it is to hold.
        declared: the field's type in the row type; then only ids may be text.
    """
    kinds = _members(declared)
    if there.id == other.id == "struct":
        return _struct_for_both(there, other, kinds)
    if there.id == other.id == "list":
        item = next((each.item_type for each in kinds if isinstance(each, _LISTS)), None)
        both = type_for_both(there.children[0][1], other.children[0][1], item)
        return None if both is None else f"{both}[]"
    if type_text(there) == type_text(other):
        return type_text(there)
    may_be_text = declared is None or {inspect.IntType, inspect.StrType} <= set(map(type, kinds))
    return "VARCHAR" if may_be_text and {there.id, other.id} == {"bigint", "varchar"} else None


def _struct_for_both(there: DuckType, other: DuckType, kinds: Sequence[inspect.Type]) -> str | None:
    fields = [field for each in kinds if isinstance(each, inspect.StructType) for field in each.fields]
    declared = {folded(field.encode_name): field.type for field in fields}
    theirs = {folded(name): kind for name, kind in other.children}
    texts: list[str] = []
    for name, kind in there.children:
        wanted = theirs.pop(folded(name), None)
        both = None if wanted is None else type_for_both(kind, wanted, declared.get(folded(name)))
        if both is None:
            return None
        texts.append(f"{identifier(name)} {both}")
    more = [(name, kind) for name, kind in other.children if folded(name) in theirs]
    return f"STRUCT({', '.join([*texts, *(f'{identifier(name)} {type_text(kind)}' for name, kind in more)])})"


_LISTS = (inspect.VarTupleType, inspect.ListType)


def _members(kind: inspect.Type | None) -> Sequence[inspect.Type]:
    if kind is None:
        return ()
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)
