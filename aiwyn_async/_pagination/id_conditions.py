"""Conditions on ids that received rows must meet, since a server may ignore a filter."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import NoneType
from typing import Any, cast, get_args

import msgspec

from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._decoding.plain_types import is_struct
from aiwyn_async._pagination.query import Query


class IdConditions:
    """The ``_eq`` and ``_in`` conditions of a query that compare ids with integers.

    Those at the top level and within ``_and``; other conditions can depend on how the server compares.

    Args:
        query: the query, with its condition and the type of its rows.
    """

    def __init__(self, query: Query) -> None:
        self._allowed: dict[str, set[int]] = {}
        for column, ids in _compared_ids(query.fields.get("where")):
            if column in _id_columns(query.model):
                self._allowed[column] = self._allowed.get(column, ids) & ids
        if self._allowed:
            self._rows: PageDecoder[Any] = PageDecoder(_row_of(tuple(self._allowed)), query.envelope)

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def find_violation(self, body: bytes) -> str | None:
        """Return what a page shows that the query excludes, such as ``clientId 7``, or None."""
        if not self._allowed:
            return None
        for row in self._rows.decode(body).rows:
            values = msgspec.structs.astuple(row)
            for (column, allowed), value in zip(self._allowed.items(), values, strict=True):
                if (number := _as_integer(value)) is not None and number not in allowed:
                    return f"{column} {value}"
        return None


@functools.lru_cache(maxsize=256)
def _row_of(columns: tuple[str, ...]) -> type[Any]:
    names = enumerate(columns)
    fields = [(f"id_{index}", Any, msgspec.field(name=name, default=None)) for index, name in names]
    return msgspec.defstruct("Ids", fields, gc=False)


@functools.lru_cache(maxsize=256)
def _id_columns(model: Any) -> set[str]:
    """Return the wire names of the fields declared as ids."""
    if not is_struct(model):
        return set()
    return {
        field.encode_name
        for field in msgspec.structs.fields(model)
        if set(get_args(field.type)) - {NoneType} == {int, str}
    }


def _compared_ids(where: Any) -> Iterator[tuple[str, set[int]]]:
    terms: dict[str, Any] = cast("dict[str, Any]", where) if isinstance(where, dict) else {}
    for name, condition in terms.items():
        if name == "_and":
            for each in condition:
                yield from _compared_ids(each)
            continue
        operators: dict[str, Any] = cast("dict[str, Any]", condition) if isinstance(condition, dict) else {}
        compared = [[operators["_eq"]]] if "_eq" in operators else []
        if isinstance(operators.get("_in"), (list, tuple)):
            compared.append([*operators["_in"]])
        for ids in compared:
            if all(type(each) is int for each in ids):
                yield name, set(ids)


def _as_integer(value: object) -> int | None:
    """Return an id as the integer that it spells; None for any other value."""
    if type(value) is int:
        return value
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None
