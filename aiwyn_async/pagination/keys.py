"""The keys that a walk has given, in little memory: about a byte a row where integer keys lie dense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiwyn_async.models.base import Id

__all__ = ["KeySet"]

SPAN_BITS: Final = 16
SPAN: Final = 1 << SPAN_BITS
# From so many keys on, a span of flags (64 KiB) is smaller than the set of its keys.
DENSE: Final = 1024


class KeySet:
    """A set of keys that only grows. A million dense integers take about 1 MB; strings are kept as they are."""

    def __init__(self) -> None:
        self._spans: dict[int, set[int] | bytearray] = {}
        self._others: set[Id] = set()

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys; the indices of those not seen before, or None when all are new.

        A None is no key, and always new.
        """
        old: list[int] = []
        spans = self._spans
        for index, key in enumerate(keys):
            if type(key) is int:
                number, place = key >> SPAN_BITS, key & (SPAN - 1)
                span = spans.get(number)
                if type(span) is bytearray:
                    if span[place]:
                        old.append(index)
                    else:
                        span[place] = 1
                elif not self._add_sparse(number, place):
                    old.append(index)
            elif key is not None:
                if key in self._others:
                    old.append(index)
                self._others.add(key)
        if not old:
            return None
        repeated = set(old)
        return [index for index in range(len(keys)) if index not in repeated]

    def _add_sparse(self, number: int, place: int) -> bool:
        span = self._spans.setdefault(number, set())
        if isinstance(span, bytearray) or place in span:
            return False
        span.add(place)
        if len(span) >= DENSE:
            flags = bytearray(SPAN)
            for each in span:
                flags[each] = 1
            self._spans[number] = flags
        return True
