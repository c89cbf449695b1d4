# ruff: noqa: S608 - identifiers come from the declarations in schema.py, values travel as parameters
"""A `where` tree and an `orderBy` list as parameterised SQL, with the null logic of Postgres under Hasura.

Identifiers come from the declarations in `schema.py` alone; everything a request says travels as a parameter.
A row matches when the tree is true: a comparison with null is neither true nor false, and `_not` keeps it so.
"""

import functools
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from .schema import RESOURCES, Column, Kind, Nested, Resource
from .values import BadRequestError, SqlValue, decimal_bounds, instant_us, plain_value

__all__ = ["Query", "compile_order", "compile_where", "register_functions", "split_key_range"]

_MAX_DEPTH = 40
_MAX_PATTERN = 256
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
_DIRECTIONS = {
    # Postgres counts null as larger than everything, SQLite as smaller.
    "asc": "ASC NULLS LAST",
    "asc_nulls_last": "ASC NULLS LAST",
    "asc_nulls_first": "ASC NULLS FIRST",
    "desc": "DESC NULLS FIRST",
    "desc_nulls_first": "DESC NULLS FIRST",
    "desc_nulls_last": "DESC NULLS LAST",
}


@dataclass(frozen=True, slots=True)
class Query:
    """A SQL condition or order with its parameters, in order."""

    sql: str
    parameters: tuple[SqlValue, ...] = ()


_TRUE, _FALSE = Query("1"), Query("0")


def _mapping(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{place}: expected an object")
    return cast("dict[str, object]", value)


def _trees(value: object, place: str) -> Sequence[object]:
    """The arguments of `_and` and `_or`; one object stands for a list of it, as GraphQL has it."""
    if isinstance(value, list):
        return cast("list[object]", value)
    return (_mapping(value, place),)


def _join(parts: Sequence[Query], word: str, empty: Query) -> Query:
    """Join as a balanced tree: SQLite bounds an expression's depth, and a chain is as deep as it is long."""
    if not parts:
        return empty
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _join(parts[:middle], word, empty), _join(parts[middle:], word, empty)
    return Query(f"({left.sql} {word} {right.sql})", left.parameters + right.parameters)


class _Scope:
    """Where a name is looked up: the columns, relations and nested arrays at one level of the tree."""

    def __init__(
        self,
        columns: dict[str, Column],
        expression: Callable[[Column], str],
        resource: Resource | None,
        alias: str,
    ) -> None:
        self.columns = columns
        self.expression = expression
        self.resource = resource
        self.alias = alias

    @classmethod
    def of(cls, resource: Resource, alias: str) -> "_Scope":
        return cls(resource.by_wire, lambda column: f"{alias}.{column.sql}", resource, alias)

    @classmethod
    def within(cls, nested: Nested, alias: str) -> "_Scope":
        def expression(column: Column) -> str:
            raw = f"json_extract({alias}.value, '$.{column.sql}')"
            if column.kind is Kind.DECIMAL:
                return f"CAST(round({raw} * {10**column.scale}) AS INTEGER)"
            return f"instant_us({raw})" if column.kind is Kind.INSTANT else raw

        return cls({column.wire: column for column in nested.columns}, expression, None, alias)


def compile_where(resource: Resource, tree: object) -> Query:
    """The condition on rows of `resource`, whose table goes by the alias `t`.

    Args:
        resource: Whose columns and relations the tree may name.
        tree: Decoded JSON. `{}` is true, `_and: []` true, `_or: []` false; keys at one level all hold.

    Raises:
        BadRequestError: An unknown column or operator, an operand that does not fit, or more than 40 levels.
    """
    return _tree(_Scope.of(resource, "t"), tree, "where", 0)


def _tree(scope: _Scope, tree: object, place: str, depth: int) -> Query:
    if depth > _MAX_DEPTH:
        raise BadRequestError(f"where: nested deeper than {_MAX_DEPTH} levels")
    parts = [
        _branch(scope, name, value, f"{place}.{name}", depth) for name, value in _mapping(tree, place).items()
    ]
    return _join(parts, "AND", _TRUE)


def _branch(scope: _Scope, name: str, value: object, place: str, depth: int) -> Query:
    if name in {"_and", "_or"}:
        parts = [
            _tree(scope, item, f"{place}[{i}]", depth + 1) for i, item in enumerate(_trees(value, place))
        ]
        return _join(parts, "AND", _TRUE) if name == "_and" else _join(parts, "OR", _FALSE)
    if name == "_not":
        inner = _tree(scope, value, place, depth + 1)
        return Query(f"(NOT {inner.sql})", inner.parameters)
    column = scope.columns.get(name)
    if column is not None:
        return _conditions(scope.expression(column), column, value, place)
    return _exists(scope, name, value, place, depth)


def _exists(scope: _Scope, name: str, value: object, place: str, depth: int) -> Query:
    alias = f"r{depth}"
    if scope.resource is not None:
        for relation in scope.resource.relations:
            if relation.wire == name:
                target = RESOURCES[relation.resource]
                inner = _tree(_Scope.of(target, alias), value, place, depth + 1)
                link = f"{alias}.id = {scope.alias}.{relation.local.sql}"
                return Query(
                    f"EXISTS (SELECT 1 FROM {target.name} AS {alias} WHERE {link} AND {inner.sql})",
                    inner.parameters,
                )
        for nested in scope.resource.nested:
            if nested.wire == name:
                inner = _tree(_Scope.within(nested, alias), value, place, depth + 1)
                body = f"(SELECT body FROM {scope.resource.bodies} WHERE id = {scope.alias}.id)"
                elements = f"json_each({body}, '$.{nested.wire}') AS {alias}"
                return Query(f"EXISTS (SELECT 1 FROM {elements} WHERE {inner.sql})", inner.parameters)
    known = ", ".join(sorted(scope.columns))
    raise BadRequestError(
        f"{place}: unknown {'operator' if name.startswith('_') else 'field'}; fields are {known}"
    )


def _conditions(expression: str, column: Column, value: object, place: str) -> Query:
    parts = [
        _condition(expression, column, operator, operand, f"{place}.{operator}")
        for operator, operand in _mapping(value, place).items()
    ]
    return _join(parts, "AND", _TRUE)


def _condition(expression: str, column: Column, operator: str, operand: object, place: str) -> Query:
    if operator == "_is_null":
        if not isinstance(operand, bool):
            raise BadRequestError(f"{place}: expected true or false")
        return Query(f"({expression} IS {'NULL' if operand else 'NOT NULL'})")
    if operator in _COMPARISONS:
        return Query(f"({expression} {_COMPARISONS[operator]} ?)", (_operand(column, operand, place),))
    if operator in _MEMBERSHIP:
        if not isinstance(operand, list):
            raise BadRequestError(f"{place}: expected a list")
        values = [_operand(column, item, place) for item in cast("list[object]", operand)]
        # One parameter however long the list is: SQLite bounds the number of parameters.
        packed = msgspec.json.encode(values).decode()
        return Query(f"({expression} {_MEMBERSHIP[operator]} (SELECT value FROM json_each(?)))", (packed,))
    if operator in _MATCHES and column.kind is Kind.TEXT:
        pattern = _pattern(operator, operand, place)
        return Query(f"({_MATCHES[operator].format(expression)})", (pattern,))
    raise BadRequestError(f"{place}: unknown operator for a field of type {column.kind}")


def _operand(column: Column, operand: object, place: str) -> SqlValue:
    if operand is None:
        raise BadRequestError(f"{place}: null is no operand; use _is_null")
    if column.kind is Kind.DECIMAL:
        return decimal_bounds(operand, place, column.scale)
    if column.kind is Kind.INSTANT:
        return instant_us(operand, place)
    return plain_value(column.kind, operand, place)


def _pattern(operator: str, operand: object, place: str) -> str:
    if not isinstance(operand, str):
        raise BadRequestError(f"{place}: expected a string")
    if len(operand) > _MAX_PATTERN:
        raise BadRequestError(f"{place}: pattern longer than {_MAX_PATTERN} characters")
    try:
        if operator.endswith("regex"):
            re.compile(operand)
        else:
            _like(operand, re.NOFLAG)
    except (re.error, OverflowError) as error:
        raise BadRequestError(f"{place}: bad pattern: {error}") from None
    return operand


def split_key_range(tree: object) -> tuple[int | None, int | None, object]:
    """Take the bounds on `id` out of a `where` tree.

    A walk by key sends the same tree with another bound for each page. Without the bound the trees are equal,
    and the ids they select can be kept from page to page.

    Returns:
        The lowest id, the highest id (both inclusive, None for no bound), and the tree that is left.
    """
    if not isinstance(tree, dict):
        return None, None, tree
    lows: list[int] = []
    highs: list[int] = []
    rest: dict[str, object] = {}
    for name, value in cast("dict[str, object]", tree).items():
        if name == "id" and _is_range(value):
            bounds = cast("dict[str, int]", value)
            lows += [bounds[op] + (op == "_gt") for op in ("_gt", "_gte") if op in bounds]
            highs += [bounds[op] - (op == "_lt") for op in ("_lt", "_lte") if op in bounds]
        elif name == "_and" and isinstance(value, list):
            split = [split_key_range(item) for item in cast("list[object]", value)]
            lows += [low for low, _, _ in split if low is not None]
            highs += [high for _, high, _ in split if high is not None]
            if left := [item for _, _, item in split if item != {}]:
                rest[name] = left
        else:
            rest[name] = value
    return max(lows, default=None), min(highs, default=None), rest


def _is_range(value: object) -> bool:
    return isinstance(value, dict) and all(
        operator in {"_gt", "_gte", "_lt", "_lte"} and type(bound) is int
        for operator, bound in cast("dict[str, object]", value).items()
    )


def compile_order(resource: Resource, order_by: object) -> tuple[str, ...]:
    """The terms of ORDER BY for rows of `resource` under the alias `t`.

    Args:
        resource: Whose columns and relations may be named.
        order_by: A list of one-key objects, `{"createdAt": "desc"}` or `{"client": {"name": "asc"}}`.

    Raises:
        BadRequestError: Anything else.
    """
    items = cast("list[object]", order_by) if isinstance(order_by, list) else [order_by]
    terms = [_order_term(resource, item, "t", f"orderBy[{i}]", 0) for i, item in enumerate(items)]
    # Ids alone are never null. Any other term may be, whatever is declared: a relation may lead nowhere.
    return tuple(
        f"{value} {direction.split()[0] if value == 't.id' else direction}" for value, direction in terms
    )


def _order_term(
    resource: Resource,
    item: object,
    alias: str,
    place: str,
    depth: int,
) -> tuple[str, str]:
    pair = _mapping(item, place)
    if len(pair) != 1:
        raise BadRequestError(f"{place}: expected an object of exactly one key")
    ((name, wanted),) = pair.items()
    place = f"{place}.{name}"
    if (column := resource.by_wire.get(name)) is not None:
        direction = _DIRECTIONS.get(wanted) if isinstance(wanted, str) else None
        if direction is None:
            raise BadRequestError(f"{place}: expected asc or desc")
        return f"{alias}.{column.sql}", direction
    for relation in resource.relations:
        if relation.wire == name:
            other, target = f"o{depth}", RESOURCES[relation.resource]
            value, direction = _order_term(target, wanted, other, place, depth + 1)
            link = f"{other}.id = {alias}.{relation.local.sql}"
            return f"(SELECT {value} FROM {target.name} AS {other} WHERE {link})", direction
    raise BadRequestError(f"{place}: unknown field")


@functools.lru_cache(maxsize=256)
def _like(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """A LIKE pattern as a regular expression: `%`, `_`, and a backslash before what is meant literally."""
    parts: list[str] = []
    signs = iter(pattern)
    for sign in signs:
        if sign == "\\":
            literal = next(signs, None)
            if literal is None:
                raise re.error("a LIKE pattern must not end with its escape character")
            parts.append(re.escape(literal))
        else:
            parts.append({"%": ".*", "_": "."}.get(sign) or re.escape(sign))
    return re.compile("".join(parts), flags | re.DOTALL)


@functools.lru_cache(maxsize=256)
def _regex(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(pattern, flags)


def _like_match(value: str | None, pattern: str, *, flags: re.RegexFlag = re.NOFLAG) -> bool | None:
    return None if value is None else _like(pattern, flags).fullmatch(value) is not None


def _regex_match(value: str | None, pattern: str, *, flags: re.RegexFlag = re.NOFLAG) -> bool | None:
    return None if value is None else _regex(pattern, flags).search(value) is not None


def _instant_of(value: str | None) -> int | None:
    return None if value is None else instant_us(value, "row")


def register_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions the compiled SQL calls."""
    functions: list[tuple[str, int, Callable[..., SqlValue]]] = [
        ("like_match", 2, _like_match),
        ("ilike_match", 2, functools.partial(_like_match, flags=re.IGNORECASE)),
        ("regex_match", 2, _regex_match),
        ("iregex_match", 2, functools.partial(_regex_match, flags=re.IGNORECASE)),
        ("instant_us", 1, _instant_of),
    ]
    for name, arity, function in functions:
        connection.create_function(name, arity, function, deterministic=True)
