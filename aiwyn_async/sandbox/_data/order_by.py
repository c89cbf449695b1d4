# ruff: noqa: S608 - identifiers are taken from the declarations
"""Compile an ``orderBy`` list to ORDER BY, with the null order of Postgres."""

from typing import cast

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.where import Scope, expect_object
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES

_DIRECTIONS = {
    # Null is the largest value in Postgres and the smallest in SQLite.
    "asc": "ASC NULLS LAST",
    "asc_nulls_last": "ASC NULLS LAST",
    "asc_nulls_first": "ASC NULLS FIRST",
    "desc": "DESC NULLS FIRST",
    "desc_nulls_first": "DESC NULLS FIRST",
    "desc_nulls_last": "DESC NULLS LAST",
}


def compile_order(resource: Resource, order_by: object, collation: Collation = "C") -> tuple[str, ...]:
    """Compile the terms of ORDER BY for a resource, whose table is aliased ``t``.

    ``order_by`` has objects of one key, such as ``{"createdAt": "desc"}`` or ``{"client": {"name": "asc"}}``.
    """
    items = cast("list[object]", order_by) if isinstance(order_by, list) else [order_by]
    root = Scope.of_resource(resource, "t", collation)
    terms = [_compile_term(root, item, f"orderBy[{i}]", 0) for i, item in enumerate(items)]
    # Only ids are never null: a related row may be missing.
    return tuple(
        f"{value} {direction.split()[0] if value == 't.id' else direction}" for value, direction in terms
    )


def _compile_term(scope: Scope, item: object, path: str, depth: int) -> tuple[str, str]:
    pair = expect_object(item, path)
    if len(pair) != 1:
        raise BadRequestError(f"{path}: expected an object of exactly one key")
    ((name, target),) = pair.items()
    path = f"{path}.{name}"
    if (column := scope.columns.get(name)) is not None:
        direction = _DIRECTIONS.get(target) if isinstance(target, str) else None
        if direction is None:
            raise BadRequestError(f"{path}: expected asc or desc")
        return column_order(column, scope.alias, scope.collation), direction
    for relation in scope.resource.relations if scope.resource else ():
        if relation.wire == name:
            related = RESOURCES[relation.resource]
            inner = Scope.of_resource(related, f"o{depth}", scope.collation)
            value, direction = _compile_term(inner, target, path, depth + 1)
            link = f"{inner.alias}.id = {scope.alias}.{relation.local.sql}"
            return f"(SELECT {value} FROM {related.name} AS {inner.alias} WHERE {link})", direction
    raise BadRequestError(f"{path}: unknown field")


def column_order(column: Column, alias: str, collation: Collation) -> str:
    """Return the SQL that a column sorts by."""
    expression = f"{alias}.{column.sql}"
    return f"sort_key({expression})" if column.kind is Kind.TEXT and collation == "en_US" else expression


def tie_breaker(salt: int) -> str:
    """Return SQL that orders ties: the same order each time, but not that of the ids."""
    return f"((t.id + {salt}) * 2654435761) & 4294967295"
