"""Conditions that received rows must visibly meet, since a server may ignore a filter."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import NoneType
from typing import Any, cast, get_args

import msgspec

from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._decoding.plain_types import is_struct
from aiwyn_async._pagination.query import Query


class Conditions:
    """The conditions of a query that do not depend on how the server compares.

    ``_eq`` and ``_in`` of ids with integers, and ``_is_null: True``; at the top level and within ``_and``.
    """

    def __init__(self, query: Query) -> None:
        self._allowed: dict[str, set[int] | None] = {}  # None: the column must be null
        for column, ids in _checked_conditions(query.fields.get("where")):
            if ids is None or column in _id_columns(query.model):
                others = self._allowed.get(column)
                self._allowed[column] = ids if ids is None or others is None else others & ids
        if self._allowed:
            self._rows: PageDecoder[Any] = PageDecoder(_row_of(tuple(self._allowed)), query.envelope)

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def violations(self, body: bytes) -> Iterator[tuple[str, bool]]:
        """Yield what a page shows that the query excludes, such as ``clientId 7``, and if that is an id."""
        for row in self._rows.decode(body).rows if self._allowed else ():
            values = msgspec.structs.astuple(row)
            for (column, allowed), value in zip(self._allowed.items(), values, strict=True):
                if allowed is None:
                    is_violated = value is not None
                else:
                    number = _as_integer(value)
                    is_violated = number is not None and number not in allowed
                if is_violated:
                    yield f"{column} {value}", allowed is not None


@functools.lru_cache(maxsize=256)
def _row_of(columns: tuple[str, ...]) -> type[Any]:
    names = enumerate(columns)
    fields = [(f"column_{index}", Any, msgspec.field(name=name, default=None)) for index, name in names]
    return msgspec.defstruct("Checked", fields, gc=False)


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


def _checked_conditions(where: Any) -> Iterator[tuple[str, set[int] | None]]:
    """Yield each column that is compared with integers, with these, or that must be null, with None."""
    terms: dict[str, Any] = cast("dict[str, Any]", where) if isinstance(where, dict) else {}
    for name, condition in terms.items():
        if name == "_and":
            for each in condition:
                yield from _checked_conditions(each)
            continue
        operators: dict[str, Any] = cast("dict[str, Any]", condition) if isinstance(condition, dict) else {}
        if operators.get("_is_null") is True:
            yield name, None
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
