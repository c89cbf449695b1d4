"""The keys that a walk has given, in little memory: about a byte a row where integer keys lie dense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from aiwyn_async.models.base import Id

__all__ = ["KeySet"]

SPAN_BITS: Final = 16
SPAN: Final = 1 << SPAN_BITS
# From so many keys on, a span of flags (64 KiB) is smaller than the set of its keys.
DENSE: Final = 1024


class KeySet:
    """A set of keys. A million dense integers take about 1 MB; strings are kept as they are."""

    def __init__(self) -> None:
        self._spans: dict[int, set[int] | bytearray] = {}
        self._others: set[Id] = set()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeySet) or self._others != other._others:
            return False
        mine, theirs = self._spans_with_keys(), other._spans_with_keys()
        return mine.keys() == theirs.keys() and all(
            _same_span(span, theirs[number]) for number, span in mine.items()
        )

    # It changes, so no set or dict could look it up.
    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def _spans_with_keys(self) -> dict[int, set[int] | bytearray]:
        return {
            number: span
            for number, span in self._spans.items()
            if span and (isinstance(span, set) or any(span))
        }

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys; the indices of those not seen before, or None when all are new.

        A None is no key, and always new.
        """
        old = self._add_within_a_span(keys)
        if old is None:
            old = [index for index, key in enumerate(keys) if key is not None and not self._add(key)]
        if not old:
            return None
        repeated = set(old)
        return [index for index in range(len(keys)) if index not in repeated]

    def forget(self, keys: Iterable[Id | None]) -> None:
        """Take keys out again, those of rows that were looked at and not given."""
        for key in keys:
            if type(key) is int:
                span = self._spans.get(key >> SPAN_BITS)
                if isinstance(span, bytearray):
                    span[key & (SPAN - 1)] = 0
                elif span is not None:
                    span.discard(key & (SPAN - 1))
            elif key is not None:
                self._others.discard(key)

    def _add_within_a_span(self, keys: Sequence[Id | None]) -> list[int] | None:
        """The indices of old keys; None when this short cut, for most pages of a long walk, does not fit."""
        if set(map(type, keys)) != {int}:
            return None
        numbers = cast("Sequence[int]", keys)
        number = min(numbers) >> SPAN_BITS
        flags = self._spans.get(number)
        if not isinstance(flags, bytearray) or max(numbers) >> SPAN_BITS != number:
            return None
        first = number << SPAN_BITS
        old: list[int] = []
        for index, key in enumerate(numbers):
            if flags[key - first]:
                old.append(index)
            else:
                flags[key - first] = 1
        return old

    def _add(self, key: Id) -> bool:
        """Add one key; True when it is new."""
        if type(key) is not int:
            known = key in self._others
            self._others.add(key)
            return not known
        number, place = key >> SPAN_BITS, key & (SPAN - 1)
        span = self._spans.setdefault(number, set())
        if isinstance(span, bytearray):
            known = bool(span[place])
            span[place] = 1
            return not known
        known = place in span
        span.add(place)
        if len(span) >= DENSE:
            flags = bytearray(SPAN)
            for each in span:
                flags[each] = 1
            self._spans[number] = flags
        return not known


def _same_span(one: set[int] | bytearray, other: set[int] | bytearray) -> bool:
    if type(one) is type(other):
        return one == other
    return _as_set(one) == _as_set(other)


def _as_set(span: set[int] | bytearray) -> set[int]:
    return span if isinstance(span, set) else {place for place, flag in enumerate(span) if flag}
