# ruff: noqa: S608 - identifiers are taken from the declarations, values are parameters
"""Compile a ``where`` tree to parameterized SQL, with Postgres' null logic.

A row matches if the tree is true. A comparison with null is neither true nor false, and ``_not`` preserves
that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from aiwyn_async.sandbox._data.collation import Collation, sort_key
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.regex import RegexSyntaxError, RegexTooComplexError, compile_regex
from aiwyn_async.sandbox._data.sql_functions import LikeSyntaxError, compile_like
from aiwyn_async.sandbox._data.values import operand_value
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Nested, Resource, SqlValue
from aiwyn_async.sandbox._declarations.schema import RESOURCES

_MAX_DEPTH = 40
_MAX_PATTERN = 256
_ORDERINGS = {"_gt", "_gte", "_lt", "_lte"}
_COMPARISONS = {"_eq": "=", "_neq": "<>", "_gt": ">", "_gte": ">=", "_lt": "<", "_lte": "<="}
_MEMBERSHIP = {"_in": "IN", "_nin": "NOT IN"}
_MATCHES = {
    "_like": "like_match({}, ?)",
    "_nlike": "NOT like_match({}, ?)",
    "_ilike": "ilike_match({}, ?)",
    "_nilike": "NOT ilike_match({}, ?)",
    "_regex": "regex_match({}, ?)",
    "_iregex": "iregex_match({}, ?)",
}


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


_TRUE, _FALSE = Query("1"), Query("0")


def _list_trees(value: object, path: str) -> Sequence[object]:
    """Return the arguments of ``_and`` or ``_or``; one object may replace a list."""
    if isinstance(value, list):
        return cast("list[object]", value)
    return (expect_object(value, path),)


def _join(parts: Sequence[Query], word: str, empty: Query) -> Query:
    """Join as a balanced tree, because SQLite bounds the depth of an expression."""
    if not parts:
        return empty
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _join(parts[:middle], word, empty), _join(parts[middle:], word, empty)
    return Query(f"({left.sql} {word} {right.sql})", left.parameters + right.parameters)


def compile_where(resource: Resource, tree: object, collation: Collation = "C") -> Query:
    """Compile a condition on rows of a resource, whose table has the alias ``t``.

    ``{}`` and ``_and: []`` are true, ``_or: []`` is false; the keys of a level are joined by AND. A tree of
    more than 40 levels is not valid.
    """
    return _compile_tree(Scope.of_resource(resource, "t", collation), tree, "where", 0)


def _compile_tree(scope: Scope, tree: object, path: str, depth: int) -> Query:
    if depth > _MAX_DEPTH:
        raise BadRequestError(f"where: nested deeper than {_MAX_DEPTH} levels")
    parts = [
        _compile_branch(scope, name, value, f"{path}.{name}", depth)
        for name, value in expect_object(tree, path).items()
    ]
    return _join(parts, "AND", _TRUE)


def _compile_branch(scope: Scope, name: str, value: object, path: str, depth: int) -> Query:
    if name in {"_and", "_or"}:
        parts = [
            _compile_tree(scope, item, f"{path}[{i}]", depth + 1)
            for i, item in enumerate(_list_trees(value, path))
        ]
        return _join(parts, "AND", _TRUE) if name == "_and" else _join(parts, "OR", _FALSE)
    if name == "_not":
        inner = _compile_tree(scope, value, path, depth + 1)
        return Query(f"(NOT {inner.sql})", inner.parameters)
    if (column := scope.columns.get(name)) is not None:
        parts = [
            _compile_condition(scope, column, operator, operand, f"{path}.{operator}")
            for operator, operand in expect_object(value, path).items()
        ]
        return _join(parts, "AND", _TRUE)
    return _compile_exists(scope, name, value, path, depth)


def _compile_exists(scope: Scope, name: str, value: object, path: str, depth: int) -> Query:
    alias = f"r{depth}"
    if scope.resource is not None:
        for relation in scope.resource.relations:
            if relation.wire == name:
                target = RESOURCES[relation.resource]
                inner = _compile_tree(
                    Scope.of_resource(target, alias, scope.collation), value, path, depth + 1
                )
                link = f"{alias}.id = {scope.alias}.{relation.local.sql}"
                return Query(
                    f"EXISTS (SELECT 1 FROM {target.name} AS {alias} WHERE {link} AND {inner.sql})",
                    inner.parameters,
                )
        for nested in scope.resource.nested:
            if nested.wire == name:
                inner = _compile_tree(Scope.of_nested(nested, alias, scope.collation), value, path, depth + 1)
                body = f"(SELECT body FROM {scope.resource.bodies} WHERE id = {scope.alias}.id)"
                elements = f"json_each({body}, '$.{nested.wire}') AS {alias}"
                return Query(f"EXISTS (SELECT 1 FROM {elements} WHERE {inner.sql})", inner.parameters)
    known = ", ".join(sorted(scope.columns))
    raise BadRequestError(
        f"{path}: unknown {'operator' if name.startswith('_') else 'field'}; fields are {known}"
    )


def _compile_condition(scope: Scope, column: Column, operator: str, operand: object, path: str) -> Query:
    expression = scope.expression(column)
    if operator == "_is_null":
        if not isinstance(operand, bool):
            raise BadRequestError(f"{path}: expected true or false")
        return Query(f"({expression} IS {'NULL' if operand else 'NOT NULL'})")
    if operator in _COMPARISONS:
        value = _to_operand(column, operand, path)
        if operator in _ORDERINGS and isinstance(value, str) and scope.collation == "en_US":
            expression, value = f"sort_key({expression})", sort_key(value)
        return Query(f"({expression} {_COMPARISONS[operator]} ?)", (value,))
    if operator in _MEMBERSHIP:
        if not isinstance(operand, list):
            raise BadRequestError(f"{path}: expected a list")
        values = [_to_operand(column, item, path) for item in cast("list[object]", operand)]
        # A list is one parameter, because SQLite bounds their number.
        packed = msgspec.json.encode(values).decode()
        return Query(f"({expression} {_MEMBERSHIP[operator]} (SELECT value FROM json_each(?)))", (packed,))
    if operator in _MATCHES and column.kind is Kind.TEXT:
        pattern = _check_pattern(operator, operand, path)
        return Query(f"({_MATCHES[operator].format(expression)})", (pattern,))
    raise BadRequestError(f"{path}: unknown operator for a field of type {column.kind}")


def _to_operand(column: Column, operand: object, path: str) -> SqlValue:
    if operand is None:
        raise BadRequestError(f"{path}: cannot compare with null; use _is_null")
    return operand_value(column, operand, path)


def _check_pattern(operator: str, operand: object, path: str) -> str:
    if not isinstance(operand, str):
        raise BadRequestError(f"{path}: expected a string")
    if len(operand) > _MAX_PATTERN:
        raise BadRequestError(f"{path}: pattern longer than {_MAX_PATTERN} characters")
    try:
        if operator.endswith("regex"):
            compile_regex(operand, ignore_case=operator == "_iregex")
        else:
            compile_like(operand)
    except RegexSyntaxError as error:
        # The message of Postgres, and the code of Hasura for its errors of class 22.
        raise BadRequestError(f"invalid regular expression: {error}", code="data-exception") from None
    except (RegexTooComplexError, LikeSyntaxError) as error:
        raise BadRequestError(str(error), code="data-exception") from None
    return operand


def split_key_range(tree: object) -> tuple[int | None, int | None, object]:
    """Return the lowest and the highest id of a ``where`` tree, and the rest of it.

    Both are inclusive, and None if not bounded. Keyset pagination sends the same tree with another bound per
    page. Without it, all pages share one cached order.
    """
    if not isinstance(tree, dict):
        return None, None, tree
    lows: list[int] = []
    highs: list[int] = []
    rest: dict[str, object] = {}
    for name, value in cast("dict[str, object]", tree).items():
        if name == "id" and _is_key_range(value):
            bounds = cast("dict[str, int]", value)
            lows += [bounds[op] + (op == "_gt") for op in ("_gt", "_gte") if op in bounds]
            highs += [bounds[op] - (op == "_lt") for op in ("_lt", "_lte") if op in bounds]
        elif name == "_and" and isinstance(value, list):
            split = [split_key_range(item) for item in cast("list[object]", value)]
            lows += [low for low, _, _ in split if low is not None]
            highs += [high for _, high, _ in split if high is not None]
            if remaining := [item for _, _, item in split if item != {}]:
                rest[name] = remaining
        else:
            rest[name] = value
    return max(lows, default=None), min(highs, default=None), rest


def _is_key_range(value: object) -> bool:
    return isinstance(value, dict) and all(
        operator in {"_gt", "_gte", "_lt", "_lte"} and type(bound) is int
        for operator, bound in cast("dict[str, object]", value).items()
    )
