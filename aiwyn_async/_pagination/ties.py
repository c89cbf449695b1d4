"""Rows with the same shown instant: keyset pagination within and after them.

A server may compare more digits of an instant than it shows. Rows of one shown instant are then in an order
that the client cannot see, and "after the last row" cannot be expressed by its shown values. So the next
page starts at that instant again, without the rows already received. An instant of more rows than one
condition can exclude is read by key.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Annotated, Any, Final

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.plain_types import union_members
from aiwyn_async._pagination.timestamps import (
    digits_shown,
    first_shown_as,
    instant_or_none,
    last_shown_as,
    shown_unit,
    with_digits,
)
from aiwyn_async.filters import Column, Condition, Direction
from aiwyn_async.filters._keyset import keyset_after
from aiwyn_async.models.base import Id

Order = Sequence[tuple[tuple[str, ...], Direction]]
Paths = frozenset[tuple[str, ...]]
Values = tuple[Any, ...]

MAX_KNOWN_KEYS: Final = 500
"""Keys excluded by one condition; an instant with more rows is read by key."""


class Ties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to continue after a row whose place in the server's order is not visible.

    Attributes:
        column: index of the instant among the columns of the order.
        known: keys received that may compare as equal to the last row's instant, by their shown instant.
        past: all rows up to this shown instant were received.
        by_key: the rows of the last row's instant are being read by key.
        last_key: the last key of these.
    """

    column: Annotated[int, msgspec.Meta(ge=0)]
    known: dict[str, list[Id]]
    past: str | None = None
    by_key: bool = False
    last_key: Id | None = None

    def condition(self, order: Order, after: Values) -> dict[str, Any]:
        """Return the condition of later rows; when reading by key, of one instant."""
        path, direction = order[self.column]
        instant, prefix, shown = Column(path), order[: self.column], after[self.column]
        is_descending = direction.startswith("desc")
        if self.by_key:
            return self._of_instant(order, after, is_descending=is_descending)
        if is_descending:
            rest = self._without_received(order, instant <= last_shown_as(shown))
        else:
            rest = self._without_received(order, instant >= first_shown_as(shown))
        if not (direction == "desc" or direction.endswith("nulls_first")):
            rest |= instant.is_null()
        return keyset_after(prefix, after[: self.column], rest)

    def _of_instant(self, order: Order, after: Values, *, is_descending: bool) -> dict[str, Any]:
        instant, shown = Column(order[self.column][0]), after[self.column]
        first = shown if is_descending else first_shown_as(shown)
        within = (instant >= first) & (instant <= last_shown_as(shown))
        for (path, _), value in zip(order[: self.column], after, strict=False):
            within &= Column(path).is_null() if value is None else Column(path) == value
        if self.last_key is not None:
            within &= Column(order[-1][0]) > self.last_key
        return self._without_received(order, within).to_dict()

    def _without_received(self, order: Order, rows: Condition) -> Condition:
        path, direction = order[self.column]
        if self.past is not None and direction.startswith("desc"):
            rows &= Column(path) < self.past
        elif self.past is not None:
            rows &= Column(path) > last_shown_as(self.past)
        keys = [key for each in self.known.values() for key in each]
        return rows & Column(order[-1][0]).not_in(keys) if keys else rows

    def after_instant(self, after: Values) -> Ties:
        """Return where to continue once all rows of the instant were read by key."""
        return Ties(column=self.column, known={}, past=after[self.column])

    @staticmethod
    def following(
        order: Order,
        instants: Paths,
        before: tuple[Values, Ties] | None,
        rows: Sequence[Values],
        *,
        has_new: bool,
    ) -> Ties | None:
        """Return where to continue after a page; None after a visibly ordered row.

        Args:
            order: what the rows are ordered by, the key last.
            instants: the columns that hold instants.
            before: the last row of the page before, and where it continued.
            rows: the order values of the page.
            has_new: some of its rows were not received before.
        """
        last = rows[-1]
        column = _instant_column(order, instants, last)
        if column is None:
            return None
        known: dict[str, list[Id]] = {}
        past: str | None = None
        if before is not None and before[1].column == column and before[0][:column] == last[:column]:
            known = {
                shown: list(keys) for shown, keys in before[1].known.items() if _is_near(shown, last[column])
            }
            past = before[1].past
        for row in reversed(rows):
            if row[:column] != last[:column] or not _is_near(row[column], last[column]):
                break
            known.setdefault(row[column], []).append(row[-1])
        by_key = not has_new or sum(map(len, known.values())) > MAX_KNOWN_KEYS
        return Ties(column=column, known=known, past=past, by_key=by_key)


def _instant_column(order: Order, instants: Paths, row: Values) -> int | None:
    for index, (path, _) in enumerate(order[:-1]):
        if path in instants and isinstance(row[index], str):
            return index if _is_near(row[index], row[index]) else None
    return None


def with_equal_digits(rows: Sequence[Values], column: int, before: Values | None) -> Sequence[Values]:
    """Return rows whose instants have as many digits as the longest one: a server may omit final zeros.

    Args:
        rows: the order values of a page.
        column: index of an instant.
        before: those of the last row of the page before, or None.
    """
    values = {row[column] for row in (rows if before is None else (*rows, before))}
    shown = [value for value in values if isinstance(value, str)]
    if len(set(map(len, shown))) <= 1:
        return rows
    digits = max(map(digits_shown, shown))
    equal = {text: with_digits(text, digits) for text in shown}
    return [(*row[:column], equal.get(row[column]), *row[column + 1 :]) for row in rows]


def _is_near(shown: object, other: str) -> bool:
    """Return whether two shown instants may be of rows that compare as equal."""
    one, two = instant_or_none(shown), instant_or_none(other)
    return one is not None and two is not None and abs(one - two) <= shown_unit(other)


def is_before(
    order: Order, earlier: Values, later: Values, instants: Paths, *, may_be_near: bool = False
) -> bool:
    """Return whether ``later`` visibly precedes ``earlier`` in the order.

    Text is ordered by a collation that only the server knows. Rows of one shown instant are in an order
    that is not visible; with ``may_be_near``, so are those of neighbouring ones.
    """
    for (path, direction), one, other in zip(order, earlier, later, strict=True):
        if path in instants and isinstance(one, str) and isinstance(other, str):
            is_tie = one == other or (may_be_near and _is_near(other, one))
            return not is_tie and _precedes(instant_or_none(other), instant_or_none(one), direction)
        if one == other:
            continue
        if one is None or other is None:
            nulls_first = direction == "desc" or direction.endswith("nulls_first")
            return (other is None) == nulls_first
        return not isinstance(one, str) and _precedes(other, one, direction)
    return False


def are_out_of_order(order: Order, rows: Sequence[Values], instants: Paths) -> bool:
    """Return whether a row precedes the one before it."""
    if len(order) == 1:
        numbers = list(chain.from_iterable(rows))
        if set(map(type, numbers)) == {int}:
            precedes = operator.lt if order[0][1].startswith("desc") else operator.gt
            return any(map(precedes, numbers, numbers[1:]))
    return any(is_before(order, one, other, instants) for one, other in pairwise(rows))


def _precedes(one: Any, other: Any, direction: Direction) -> bool:
    """Return whether a value precedes another; values that do not compare do not."""
    try:
        return bool(one > other if direction.startswith("desc") else one < other)
    except TypeError:
        return False


@functools.lru_cache(maxsize=256)
def holds_instants(row_type: Any, path: tuple[str, ...]) -> bool:
    """Return whether a row type declares a column, by wire names, as a datetime."""
    try:
        kinds: Sequence[inspect.Type] = union_members(inspect.type_info(row_type))
    except (TypeError, NotImplementedError):  # a type of the caller's own that cannot be inspected
        return False
    for name in path:
        fields = [field for kind in kinds if isinstance(kind, inspect.StructType) for field in kind.fields]
        named = [field.type for field in fields if field.encode_name == name]
        kinds = [member for kind in named for member in union_members(kind)]
    return any(isinstance(kind, inspect.DateTimeType) for kind in kinds)
