"""A ``where`` tree evaluated over decoded rows in plain Python, as an oracle for the compiled SQL.

It shares only the declarations with the sandbox. True, false and unknown (None) follow Kleene's tables, as in
Postgres; a row matches if the tree is true.
"""

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

from aiwyn_async.sandbox._declarations.declarations import Column, DateForm, Kind, Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES

__all__ = ["Row", "Truth", "evaluate", "like", "matches"]

Row = Mapping[str, object]
Truth = bool | None
Lookup = Callable[[str, object], Row | None]
"""Returns the row of another resource by its id."""


def matches(resource: Resource, tree: object, row: Row, lookup: Lookup) -> bool:
    """Whether a row matches.

    Args:
        resource: The resource of the row.
        tree: A valid ``where`` tree.
        row: The decoded row, numbers as ``Decimal``, ``int`` or ``str``.
        lookup: Called with the name of a resource and an id.
    """
    return evaluate(resource, tree, row, lookup) is True


def evaluate(resource: Resource, tree: object, row: Row, lookup: Lookup) -> Truth:
    """Return the value of the tree for a row: true, false or unknown."""
    return _all(_branch(resource, name, value, row, lookup) for name, value in _items(tree))


def _items(tree: object) -> Iterable[tuple[str, object]]:
    return cast("dict[str, object]", tree).items()


def _all(truths: Iterable[Truth]) -> Truth:
    seen = list(truths)
    return False if False in seen else None if None in seen else True


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _branch(resource: Resource, name: str, value: object, row: Row, lookup: Lookup) -> Truth:
    if name in {"_and", "_or"}:
        trees = cast("list[object]", value if isinstance(value, list) else [value])
        truths = [evaluate(resource, tree, row, lookup) for tree in trees]
        return _all(truths) if name == "_and" else _not(_all(map(_not, truths)))
    if name == "_not":
        return _not(evaluate(resource, value, row, lookup))
    if name in resource.by_wire:
        column = resource.by_wire[name]
        return _column(column, value, row[column.key])
    for relation in resource.relations:
        if relation.wire == name:
            other = lookup(relation.resource, row[relation.local.key])
            return other is not None and matches(RESOURCES[relation.resource], value, other, lookup)
    nested = next(item for item in resource.nested if item.wire == name)
    elements = cast("list[Row]", row[nested.wire])
    inside = replace(resource, name=name, columns=nested.columns, relations=(), nested=())
    return any(matches(inside, value, element, lookup) for element in elements)


def _column(column: Column, conditions: object, cell: object) -> Truth:
    return _all(_condition(column, operator, operand, cell) for operator, operand in _items(conditions))


def _condition(column: Column, operator: str, operand: object, cell: object) -> Truth:
    if operator == "_is_null":
        return (cell is None) is operand
    if operand == []:
        return operator == "_nin"
    if cell is None:
        return None
    if operator in {"_in", "_nin"}:
        operands = [_comparable(column, item) for item in cast("list[object]", operand)]
        return (_comparable(column, cell) in operands) is (operator == "_in")
    if operator.endswith(("like", "regex")):
        return _pattern(operator, str(operand), str(cell))
    return _compare(operator, _comparable(column, cell), _comparable(column, operand))


def _comparable(column: Column, value: object) -> Decimal | dt.datetime | str | int:
    if column.kind is Kind.DECIMAL:
        return Decimal(str(value))
    if column.kind is Kind.INSTANT:
        moment = dt.datetime.fromisoformat(str(value))
        if column.form in {DateForm.NAIVE, DateForm.DATE}:
            moment = moment.replace(tzinfo=dt.UTC)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return cast("str | int", value)


def _compare(operator: str, left: object, right: object) -> bool:
    # Both have the type of the column, so they are comparable.
    less = cast("int", left) < cast("int", right)
    equal = left == right
    return {
        "_eq": equal,
        "_neq": not equal,
        "_lt": less,
        "_lte": less or equal,
        "_gt": not less and not equal,
        "_gte": not less,
    }[operator]


def _pattern(operator: str, pattern: str, text: str) -> bool:
    if operator.endswith("regex"):
        flags = re.IGNORECASE if operator == "_iregex" else re.NOFLAG
        return re.search(pattern, text, flags) is not None
    if "ilike" in operator:
        pattern, text = pattern.lower(), text.lower()
    matched = like(pattern, text)
    return not matched if operator.startswith("_n") else matched


@functools.lru_cache(maxsize=10_000)
def like(pattern: str, text: str) -> bool:
    r"""Match SQL LIKE: ``%``, ``_``, and ``\`` before a literal character."""
    chars = iter(pattern)
    tokens = [(next(chars), True) if char == "\\" else (char, False) for char in chars]
    # reached[i]: the tokens so far match the first i chars of the text.
    reached = [True] + [False] * len(text)
    for token in tokens:
        reached = _step(token, reached, text)
    return reached[-1]


def _step(token: tuple[str, bool], reached: Sequence[bool], text: str) -> list[bool]:
    char, literal = token
    if char == "%" and not literal:
        first = next((i for i, here in enumerate(reached) if here), len(reached))
        return [i >= first for i in range(len(reached))]
    any_char = char == "_" and not literal
    return [False, *(reached[i] and (any_char or text[i] == char) for i in range(len(text)))]
