"""Conditions for keyset pagination: the rows after a row, or between two keys."""

from collections.abc import Sequence

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._conditions import DIRECTIONS, Condition, Direction, Path
from aiwyn_async.filters._validation import compare
from aiwyn_async.filters._values import JSON, describe


def keyset_after(
    order: Sequence[tuple[Path, Direction]], values: Sequence[object], ties: Condition | None = None
) -> dict[str, JSON]:
    """Return the ``where`` that matches all rows after the row with these values.

    Nulls sort as in Postgres (last in asc, first in desc) unless the direction says otherwise. The values
    must be as exact as the server's: a time truncated to milliseconds does not equal that of its own row.

    Args:
        order: The result of ``order_columns``. The last column must be unique and never null. An order by an
            aggregate cannot be expressed as a condition.
        values: The row's value for each column of the order, None for null.
        ties: Which of the rows that equal all these values follow; with it, no column needs to be unique.

    Raises:
        ConfigurationError: ``order`` and ``values`` differ in length, or the last value is None.

    Example:
        >>> keyset_after([(("id",), "asc")], [42])
        {'id': {'_gt': 42}}
    """
    if (not order and ties is None) or len(order) != len(values):
        raise ConfigurationError(
            f"values: got {len(values)} for {len(order)} columns of order; pass one per column"
        )
    if ties is None:
        if values[-1] is None:
            raise ConfigurationError(
                "values: the last one is None; end the order with a column that is unique and never null"
            )
        path, direction = order[-1]
        ties = compare(path, _operator_after(direction), values[-1])
        order, values = order[:-1], values[:-1]
    after = ties
    for (path, direction), value in zip(reversed(order), reversed(values), strict=True):
        after = _after_column(path, direction, value, ties=after)
    return after.to_dict()


def key_between(key: str, after: object, until: object) -> list[dict[str, JSON]]:
    """Return the conditions for keys above ``after`` and up to ``until``.

    None sets no bound.

    Example:
        >>> key_between("id", 7, 9)
        [{'id': {'_gt': 7}}, {'id': {'_lte': 9}}]
    """
    bounds = (("_gt", after), ("_lte", until))
    return [compare((key,), operator, bound).to_dict() for operator, bound in bounds if bound is not None]


def _after_column(path: Path, direction: Direction, value: object, *, ties: Condition) -> Condition:
    operator = _operator_after(direction)
    nulls_first = direction == "desc" or direction.endswith("nulls_first")
    # With _not, because a missing related row sorts as null but meets no condition on its columns.
    has_value = compare(path, "_is_null", operand=False)
    is_null = ~has_value if len(path) > 1 else compare(path, "_is_null", operand=True)
    if value is None:
        tied = is_null & ties
        return has_value | tied if nulls_first else tied
    after = compare(path, operator, value)
    tied = compare(path, "_eq", value) & ties
    return after | tied if nulls_first else after | is_null | tied


def _operator_after(direction: Direction) -> str:
    if direction not in DIRECTIONS:
        raise ConfigurationError(
            f"order: {describe(direction)} is not a direction; use {', '.join(DIRECTIONS)}"
        )
    return "_lt" if direction.startswith("desc") else "_gt"
