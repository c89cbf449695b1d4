"""The names usable in a condition or an order, and their SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Nested, Resource, SqlValue


@dataclass(frozen=True, slots=True)
class Query:
    """A SQL condition with its parameters in order."""

    sql: str
    parameters: tuple[SqlValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """One level of a tree, with SQL per column; no resource within a nested array."""

    columns: dict[str, Column]
    expression: Callable[[Column], str]
    resource: Resource | None
    alias: str
    collation: Collation

    @classmethod
    def of_resource(cls, resource: Resource, alias: str, collation: Collation) -> "Scope":
        return cls(resource.by_wire, lambda column: f"{alias}.{column.sql}", resource, alias, collation)

    @classmethod
    def of_nested(cls, nested: Nested, alias: str, collation: Collation) -> "Scope":

        def expression(column: Column) -> str:
            raw = f"json_extract({alias}.value, '$.{column.sql}')"
            if column.kind is Kind.DECIMAL:
                return f"CAST(round({raw} * {10**column.scale}) AS INTEGER)"
            if column.kind is Kind.INSTANT:
                return f"instant_us({raw}, '{column.form}')"
            return raw

        return cls({column.wire: column for column in nested.columns}, expression, None, alias, collation)


def expect_object(value: object, path: str) -> dict[str, object]:
    """Return a JSON object, or raise BadRequestError with its path in the request."""
    if not isinstance(value, dict):
        raise BadRequestError(f"{path}: expected an object")
    return cast("dict[str, object]", value)
