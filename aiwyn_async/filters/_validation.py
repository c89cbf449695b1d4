"""Checks of ``where`` and ``order_by``, raw objects included."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from aiwyn_async._core.checks import check_flag
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._conditions import (
    DIRECTIONS,
    Condition,
    Direction,
    Order,
    OrderBy,
    Path,
    Where,
    check_depth,
    format_path,
    nest,
)
from aiwyn_async.filters._values import (
    JSON,
    check_column_name,
    check_key,
    check_list,
    describe,
    encode_scalar,
)

_LIKE_OPERATORS: Final = ("_like", "_nlike", "_ilike", "_nilike")
_PATTERN_OPERATORS: Final = (*_LIKE_OPERATORS, "_regex", "_iregex")
_LIST_OPERATORS: Final = ("_in", "_nin")
_COMPARISONS: Final = (
    *("_eq", "_neq", "_gt", "_gte", "_lt", "_lte"),
    *_LIST_OPERATORS,
    *_PATTERN_OPERATORS,
    "_is_null",
)
OPERATORS: Final = ("_and", "_or", "_not", *_COMPARISONS)


def to_where(where: Where, *, allow_unknown_operators: bool = False) -> dict[str, JSON] | None:
    """Check a condition or a raw ``where`` object, and return it as a new dict.

    A raw object may contain conditions and the values of ``F``: ``{"dueDate": {"_gte": date.today()}}``.

    Args:
        where: A ``Condition``, a dict such as ``{"status": {"_eq": "PAID"}}``, or None for no filter.
        allow_unknown_operators: Send unknown operators unchanged, such as ``{"tags": {"_contains": ["a"]}}``.
            Their operands may be any JSON; known operators and their operands are still checked.

    Raises:
        ConfigurationError: An operator is unknown, an operand has the wrong type or is None, a list of values
            or a key is empty, a key contains control characters, or the object is nested more than 64 deep.
            The message contains the path to the error. Or a flag has another type.
    """
    allow_unknown_operators = check_flag("allow_unknown_operators", allow_unknown_operators)
    if where is None:
        return None
    if isinstance(where, Condition):
        return where.to_dict()  # its parts were checked when it was built
    return check_where(where, "where", 1, allow_unknown=allow_unknown_operators)


def to_order_by(order_by: OrderBy) -> list[dict[str, JSON]]:
    """Check an order, and return it as a new list of one-key objects.

    Args:
        order_by: ``F.id.asc()``, ``{"id": "asc"}``, a list of these, or None for an empty list.

    Raises:
        ConfigurationError: A direction is unknown, an object has several keys, or a column is repeated.
    """
    return [order.to_dict() for order in _check_orders(order_by)]


def order_columns(order_by: OrderBy) -> list[tuple[Path, Direction]]:
    """Return the path and the direction of each column, checked as in ``to_order_by``.

    Example:
        >>> order_columns([{"client": {"name": "asc"}}, F.id.desc()])
        [(('client', 'name'), 'asc'), (('id',), 'desc')]
    """
    return [(order.path, order.direction) for order in _check_orders(order_by)]


def compare(path: Path, operator: str, operand: object) -> Condition:
    """Return the condition that compares the column at the path with an operand."""
    return Condition(
        nest(path, {operator: _check_operand(operator, operand, f"{format_path(path)}.{operator}")})
    )


def check_where(node: object, at: str, depth: int, *, allow_unknown: bool = False) -> dict[str, JSON]:
    """Return a checked copy of an object of columns, relations and ``_and _or _not``."""
    entries = _check_entries(node, at, depth, allow_unknown=allow_unknown)
    return {
        key: _check_clause(key, inner, f"{at}.{key}", depth, allow_unknown=allow_unknown)
        for key, inner in entries
    }


def _check_clause(key: str, inner: object, at: str, depth: int, *, allow_unknown: bool) -> JSON:
    if key in {"_and", "_or"}:
        return [
            check_where(item, f"{at}[{index}]", depth + 1, allow_unknown=allow_unknown)
            for index, item in enumerate(check_list(inner, at))
        ]
    if key == "_not":
        return check_where(inner, at, depth + 1, allow_unknown=allow_unknown)
    if _is_unknown(key):
        return to_wire(inner, at, depth + 1)
    if key in _COMPARISONS:
        raise ConfigurationError(
            f'{at}: the operator is outside a column; write {{"column": {{"{key}": ...}}}}'
        )
    entries = _check_entries(inner, at, depth + 1, allow_unknown=allow_unknown)
    is_comparison = [name in _COMPARISONS or _is_unknown(name) for name, _ in entries]
    if not any(is_comparison):
        return check_where(inner, at, depth + 1, allow_unknown=allow_unknown)
    if not all(is_comparison):
        raise ConfigurationError(
            f"{at}: contains both operators and columns; split it into two conditions under _and"
        )
    return {operator: _check_operand(operator, operand, f"{at}.{operator}") for operator, operand in entries}


def _is_unknown(key: str) -> bool:
    return key.startswith("_") and key not in OPERATORS


def _check_entries(node: object, at: str, depth: int, *, allow_unknown: bool) -> list[tuple[str, object]]:
    check_depth(depth, "where")
    if isinstance(node, Condition):
        node = node.to_dict()
    if not isinstance(node, Mapping):
        name = at.rpartition(".")[2]
        fix = 'for example F.id == 1 or {"id": {"_eq": 1}}'
        if f"_{name}" in OPERATORS:
            fix = f'write the operator as "_{name}"'
        raise ConfigurationError(f"{at}: expected a condition or a dict, got {describe(node)}; {fix}")
    entries = cast("Mapping[object, object]", node).items()
    return [(_check_clause_key(key, at, allow_unknown=allow_unknown), inner) for key, inner in entries]


def _check_clause_key(key: object, at: str, *, allow_unknown: bool) -> str:
    key = check_key(key, at)
    if _is_unknown(key) and not allow_unknown:
        raise ConfigurationError(
            f"{at}: unknown operator {describe(key)}; use one of {', '.join(OPERATORS)}, "
            "or pass allow_unknown_operators=True"
        )
    return key


def _check_operand(operator: str, operand: object, at: str) -> JSON:
    if operator not in _COMPARISONS:
        return to_wire(operand, at)
    if operator in _LIST_OPERATORS:
        values = check_list(operand, at)
        if not values:
            raise ConfigurationError(
                f"{at}: needs at least one value; leave the condition out, or skip the request"
            )
        return [encode_scalar(value, f"{at}[{index}]") for index, value in enumerate(values)]
    if operator == "_is_null" and not isinstance(operand, bool):
        raise ConfigurationError(f"{at}: expected True or False, got {describe(operand)}")
    if operator in _PATTERN_OPERATORS and not isinstance(operand, str):
        raise ConfigurationError(f"{at}: expected a str as the pattern, got {describe(operand)}")
    if operator in _LIKE_OPERATORS and isinstance(operand, str) and _ends_in_lone_backslash(operand):
        raise ConfigurationError(
            f"{at}: the pattern ends in a lone backslash, which escapes nothing; double it, or use contains()"
        )
    return encode_scalar(operand, at)


def _ends_in_lone_backslash(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def to_wire(value: object, at: str, depth: int = 1) -> JSON:
    """Return any value of a request body as JSON, encoded as in a ``where``.

    Raises:
        ConfigurationError: The value has no JSON form: NaN, ``NaT``, an array. The message names ``at``.
    """
    check_depth(depth, at)
    if value is None:
        return None
    if isinstance(value, Condition):
        return value.to_dict()
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return {check_key(key, at): to_wire(inner, f"{at}.{key}", depth + 1) for key, inner in entries}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = cast("Iterable[object]", value)
        return [to_wire(item, f"{at}[{index}]", depth + 1) for index, item in enumerate(items)]
    return encode_scalar(value, at)


def _check_orders(order_by: OrderBy) -> list[Order]:
    if order_by is None:
        return []
    items: Sequence[object] = order_by if isinstance(order_by, (list, tuple)) else [order_by]
    orders = [_check_order(item, f"order_by[{index}]") for index, item in enumerate(items)]
    seen: set[Path] = set()
    for order in orders:
        if order.path in seen:
            raise ConfigurationError(f"order_by: {'.'.join(order.path)} is repeated; keep the first")
        seen.add(order.path)
    return orders


def _check_order(item: object, at: str) -> Order:
    path: list[str] = []
    inner = item.to_dict() if isinstance(item, Order) else item
    while isinstance(inner, Mapping):
        entries = list(cast("Mapping[object, object]", inner).items())
        if len(entries) != 1:
            raise ConfigurationError(
                f"{at}: expected an object with one key, got {len(entries)} keys;"
                " pass a list of one-key objects"
            )
        path.append(check_column_name(entries[0][0], at))
        check_depth(len(path), at)
        inner = entries[0][1]
    direction = DIRECTIONS.get(inner) if path and isinstance(inner, str) else None
    if direction is None:
        raise ConfigurationError(
            f"{at}: expected an order, got {describe(inner)};"
            ' for example F.id.asc(), F.id.desc() or {"id": "asc"}'
        )
    return Order(tuple(path), direction)
