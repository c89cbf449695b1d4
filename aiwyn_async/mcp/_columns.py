"""Checks of the names that a model sends, whose errors list the possible ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from aiwyn_async._resources.describe import ColumnDescription, ResourceDescription
from aiwyn_async._resources.endpoint import Verb
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import to_where
from aiwyn_async.filters._validation import order_columns

Columns = Sequence[ColumnDescription]
_CONNECTIVES: Final = ("_and", "_or", "_not")


def columns_of(resource: ResourceDescription, verb: Verb) -> Columns:
    """Return the columns of the rows of a verb; empty if they are not known."""
    return [column for column in resource.columns if verb in column.verbs]


def check_columns(columns: Columns, names: Sequence[str] | None) -> None:
    """Refuse unknown and repeated names, and an empty list."""
    if names is None:
        return
    if not names:
        raise ConfigurationError(f"columns must have at least one name; {_choice(columns)}")
    for index, name in enumerate(names):
        _find(columns, name, "columns")
        if name in names[:index]:
            raise ConfigurationError(f"columns: {name!r} is repeated; name each column once")


def check_where(resource: ResourceDescription, where: Mapping[str, Any] | None) -> None:
    """Refuse a condition with an unknown column or operator, or one on a resource without a search."""
    if where is None:
        return
    if not resource.operators:
        advice = "use filters instead" if resource.filters else "leave where out"
        raise ConfigurationError(f"{resource.name} has no search, which where needs; {advice}")
    _check_condition(where, columns_of(resource, "search"), resource.operators, "where")
    to_where(where)


def check_order(resource: ResourceDescription, order_by: Any) -> None:
    """Refuse an order by an unknown column, or one of a resource without a search."""
    if order_by is None:
        return
    if not resource.operators:
        raise ConfigurationError(f"{resource.name} has no search, which order_by needs; leave order_by out")
    for path, _ in order_columns(order_by):
        columns = columns_of(resource, "search")
        for name in path:
            column = _find(columns, name, "order_by")
            columns = () if column is None else column.columns


def check_filters(resource: ResourceDescription, filters: Mapping[str, Any] | None) -> None:
    """Refuse unknown filters, and an extra that is not an object."""
    known = {each.name: each for each in resource.filters}
    for name, value in (filters or {}).items():
        if name not in known and resource.columns:
            advice = (
                f"use one of {', '.join(known)}" if known else f"{resource.name} takes no filters; use where"
            )
            raise ConfigurationError(f"filters: unknown name {name!r}; {advice}")
        if name in known and known[name].type == "object" and not isinstance(value, dict):
            raise ConfigurationError(f"filters.{name} must be an object, got {value!r}")


def _check_condition(tree: Any, columns: Columns, operators: Sequence[str], at: str) -> None:
    """Check the names in a condition; ``to_where()`` refuses what else is wrong with it."""
    entries = cast("dict[str, Any]", tree).items() if isinstance(tree, dict) else ()
    for key, inner in entries:
        if key in _CONNECTIVES:
            # What mypy calls redundant, pyright needs.
            branches = cast("list[Any]", inner) if isinstance(inner, list) else [inner]  # type: ignore[redundant-cast]
            for each in branches:
                _check_condition(each, columns, operators, f"{at}.{key}")
        elif not key.startswith("_"):
            column = _find(columns, key, at)
            if column is not None and column.columns:
                _check_condition(inner, column.columns, operators, f"{at}.{key}")
            elif column is not None:
                _check_comparison(inner, operators, f"{at}.{key}")


def _check_comparison(inner: object, operators: Sequence[str], at: str) -> None:
    if not isinstance(inner, dict):
        example = json.dumps({"_eq": inner}, default=str)
        raise ConfigurationError(f"{at}: expected an object with an operator; for example {example}")
    for name in cast("dict[str, Any]", inner):
        if name not in operators or name in _CONNECTIVES:
            known = ", ".join(operator for operator in operators if operator not in _CONNECTIVES)
            raise ConfigurationError(f"{at}: unknown operator {name!r}; use one of {known}")


def _find(columns: Columns, name: str, at: str) -> ColumnDescription | None:
    """Return a column by its name; None if no columns are known."""
    column = next((each for each in columns if each.name == name), None)
    if column is None and columns:
        raise ConfigurationError(f"{at}: unknown column {name!r}; {_choice(columns)}")
    return column


def _choice(columns: Columns) -> str:
    return f"use one of {', '.join(column.name for column in columns)}"
