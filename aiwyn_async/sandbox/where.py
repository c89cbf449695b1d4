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

from .characters import fold
from .collation import Collation, sort_key
from .regex import RegexSyntaxError, RegexTooComplexError, compiled
from .schema import RESOURCES, Column, DateForm, Filter, Kind, Nested, Resource
from .values import BadRequestError, SqlValue, decimal_bounds, instant_us, plain_value

__all__ = [
    "Functions",
    "Query",
    "check_filter",
    "compile_order",
    "compile_where",
    "order_term",
    "split_key_range",
]

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
        collation: Collation,
    ) -> None:
        self.columns = columns
        self.expression = expression
        self.resource = resource
        self.alias = alias
        self.collation: Collation = collation

    @classmethod
    def of(cls, resource: Resource, alias: str, collation: Collation) -> "_Scope":
        return cls(resource.by_wire, lambda column: f"{alias}.{column.sql}", resource, alias, collation)

    @classmethod
    def within(cls, nested: Nested, alias: str, collation: Collation) -> "_Scope":
        def expression(column: Column) -> str:
            raw = f"json_extract({alias}.value, '$.{column.sql}')"
            if column.kind is Kind.DECIMAL:
                return f"CAST(round({raw} * {10**column.scale}) AS INTEGER)"
            if column.kind is Kind.INSTANT:
                return f"instant_us({raw}, '{column.form}')"
            return raw

        return cls({column.wire: column for column in nested.columns}, expression, None, alias, collation)


def compile_where(resource: Resource, tree: object, collation: Collation = "C") -> Query:
    """The condition on rows of `resource`, whose table goes by the alias `t`.

    Args:
        resource: Whose columns and relations the tree may name.
        tree: Decoded JSON. `{}` is true, `_and: []` true, `_or: []` false; keys at one level all hold.
        collation: How texts compare.

    Raises:
        BadRequestError: An unknown column or operator, an operand that does not fit, or more than 40 levels.
    """
    return _tree(_Scope.of(resource, "t", collation), tree, "where", 0)


def check_filter(resource: Resource, item: Filter, value: object) -> None:
    """Check the value of a list request's field, so that an error names the field that was sent.

    Raises:
        BadRequestError: The value does not fit the column.
    """
    column = resource.by_wire.get(item.column)
    if column is None:
        return
    if value is None:
        raise BadRequestError(f"{item.wire}: must not be null")
    is_list = isinstance(value, list) and item.operator in _MEMBERSHIP
    for operand in cast("list[object]", value if is_list else [value]):
        _operand(column, operand, item.wire)


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
        return _conditions(scope, column, value, place)
    return _exists(scope, name, value, place, depth)


def _exists(scope: _Scope, name: str, value: object, place: str, depth: int) -> Query:
    alias = f"r{depth}"
    if scope.resource is not None:
        for relation in scope.resource.relations:
            if relation.wire == name:
                target = RESOURCES[relation.resource]
                inner = _tree(_Scope.of(target, alias, scope.collation), value, place, depth + 1)
                link = f"{alias}.id = {scope.alias}.{relation.local.sql}"
                return Query(
                    f"EXISTS (SELECT 1 FROM {target.name} AS {alias} WHERE {link} AND {inner.sql})",
                    inner.parameters,
                )
        for nested in scope.resource.nested:
            if nested.wire == name:
                inner = _tree(_Scope.within(nested, alias, scope.collation), value, place, depth + 1)
                body = f"(SELECT body FROM {scope.resource.bodies} WHERE id = {scope.alias}.id)"
                elements = f"json_each({body}, '$.{nested.wire}') AS {alias}"
                return Query(f"EXISTS (SELECT 1 FROM {elements} WHERE {inner.sql})", inner.parameters)
    known = ", ".join(sorted(scope.columns))
    raise BadRequestError(
        f"{place}: unknown {'operator' if name.startswith('_') else 'field'}; fields are {known}"
    )


def _conditions(scope: _Scope, column: Column, value: object, place: str) -> Query:
    parts = [
        _condition(scope, column, operator, operand, f"{place}.{operator}")
        for operator, operand in _mapping(value, place).items()
    ]
    return _join(parts, "AND", _TRUE)


def _condition(scope: _Scope, column: Column, operator: str, operand: object, place: str) -> Query:
    expression = scope.expression(column)
    if operator == "_is_null":
        if not isinstance(operand, bool):
            raise BadRequestError(f"{place}: expected true or false")
        return Query(f"({expression} IS {'NULL' if operand else 'NOT NULL'})")
    if operator in _COMPARISONS:
        value = _operand(column, operand, place)
        if operator in _ORDERINGS and isinstance(value, str) and scope.collation == "en_US":
            expression, value = f"sort_key({expression})", sort_key(value)
        return Query(f"({expression} {_COMPARISONS[operator]} ?)", (value,))
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
        return instant_us(operand, place, column.form)
    return plain_value(column.kind, operand, place)


def _pattern(operator: str, operand: object, place: str) -> str:
    if not isinstance(operand, str):
        raise BadRequestError(f"{place}: expected a string")
    if len(operand) > _MAX_PATTERN:
        raise BadRequestError(f"{place}: pattern longer than {_MAX_PATTERN} characters")
    try:
        if operator.endswith("regex"):
            compiled(operand, ignore_case=operator == "_iregex")
        else:
            _like(operand)
    except RegexSyntaxError as error:
        # Postgres' words and Hasura's code for its errors of class 22.
        raise BadRequestError(f"invalid regular expression: {error}", code="data-exception") from None
    except (RegexTooComplexError, _LikeError) as error:
        raise BadRequestError(str(error), code="data-exception") from None
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


def compile_order(resource: Resource, order_by: object, collation: Collation = "C") -> tuple[str, ...]:
    """The terms of ORDER BY for rows of `resource` under the alias `t`.

    Args:
        resource: Whose columns and relations may be named.
        order_by: A list of one-key objects, `{"createdAt": "desc"}` or `{"client": {"name": "asc"}}`.
        collation: How texts are ordered.

    Raises:
        BadRequestError: Anything else.
    """
    items = cast("list[object]", order_by) if isinstance(order_by, list) else [order_by]
    root = _Scope.of(resource, "t", collation)
    terms = [_order_term(root, item, f"orderBy[{i}]", 0) for i, item in enumerate(items)]
    # Ids alone are never null. Any other term may be, whatever is declared: a relation may lead nowhere.
    return tuple(
        f"{value} {direction.split()[0] if value == 't.id' else direction}" for value, direction in terms
    )


def _order_term(scope: _Scope, item: object, place: str, depth: int) -> tuple[str, str]:
    pair = _mapping(item, place)
    if len(pair) != 1:
        raise BadRequestError(f"{place}: expected an object of exactly one key")
    ((name, wanted),) = pair.items()
    place = f"{place}.{name}"
    if (column := scope.columns.get(name)) is not None:
        direction = _DIRECTIONS.get(wanted) if isinstance(wanted, str) else None
        if direction is None:
            raise BadRequestError(f"{place}: expected asc or desc")
        return order_term(column, scope.alias, scope.collation), direction
    for relation in scope.resource.relations if scope.resource else ():
        if relation.wire == name:
            target = RESOURCES[relation.resource]
            inner = _Scope.of(target, f"o{depth}", scope.collation)
            value, direction = _order_term(inner, wanted, place, depth + 1)
            link = f"{inner.alias}.id = {scope.alias}.{relation.local.sql}"
            return f"(SELECT {value} FROM {target.name} AS {inner.alias} WHERE {link})", direction
    raise BadRequestError(f"{place}: unknown field")


def order_term(column: Column, alias: str, collation: Collation) -> str:
    """What a column is ordered by."""
    expression = f"{alias}.{column.sql}"
    return f"sort_key({expression})" if column.kind is Kind.TEXT and collation == "en_US" else expression


class _LikeError(Exception):
    """A LIKE pattern that Postgres refuses."""


@functools.lru_cache(maxsize=256)
def _like(pattern: str) -> re.Pattern[str]:
    """A LIKE pattern as a regular expression: `%`, `_`, and a backslash before what is meant literally.

    The first place where a part between two `%` fits is as good as any later one. So each is an atomic group,
    and many `%` do not backtrack.
    """
    parts = [""]
    signs = iter(pattern)
    for sign in signs:
        if sign == "%":
            parts.append("")
            continue
        literal = next(signs, None) if sign == "\\" else sign
        if literal is None:
            raise _LikeError("LIKE pattern must not end with escape character")
        parts[-1] += "." if sign == "_" else re.escape(literal)
    first, *middle = parts
    if not middle:
        return re.compile(first, re.DOTALL)
    *middle, last = middle
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}", re.DOTALL)


def _like_match(value: str | None, pattern: str) -> bool | None:
    return None if value is None else _like(pattern).fullmatch(value) is not None


def _ilike_match(value: str | None, pattern: str) -> bool | None:
    return None if value is None else _like(fold(pattern)).fullmatch(fold(value)) is not None


def _instant_of(value: str | None, form: str) -> int | None:
    return None if value is None else instant_us(value, "row", DateForm(form))


def _sort_key_of(value: str | None) -> bytes | None:
    return None if value is None else sort_key(value)


class Functions:
    """What the compiled SQL calls. SQLite hides why a function failed, so the last failure is kept here."""

    def __init__(self) -> None:
        self.failure: str | None = None

    def register(self, connection: sqlite3.Connection) -> None:
        """Give the functions to a connection."""
        functions: list[tuple[str, int, Callable[..., SqlValue]]] = [
            ("like_match", 2, _like_match),
            ("ilike_match", 2, _ilike_match),
            ("regex_match", 2, functools.partial(self._regex_match, ignore_case=False)),
            ("iregex_match", 2, functools.partial(self._regex_match, ignore_case=True)),
            ("instant_us", 2, _instant_of),
            ("sort_key", 1, _sort_key_of),
        ]
        for name, arity, function in functions:
            connection.create_function(name, arity, function, deterministic=True)

    def _regex_match(self, value: str | None, pattern: str, *, ignore_case: bool) -> bool | None:
        try:
            return None if value is None else compiled(pattern, ignore_case=ignore_case).search(value)
        except RegexTooComplexError as error:
            self.failure = str(error)
            raise
