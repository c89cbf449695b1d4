"""The keys seen in a read, in little memory: about one byte per row if integer keys are close."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import sub
from typing import Final, NamedTuple, cast

from aiwyn_async.models.base import Id

__all__ = ["KeySet"]

SPAN_BITS: Final = 16
SPAN: Final = 1 << SPAN_BITS
# From so many keys on, a span of flags (64 KiB) is smaller than the set of its keys.
DENSE: Final = 1024
# The keys of a page. A run is taken apart as a whole where another page overlaps with it.
MAX_RUN: Final = 1024


class _Run(NamedTuple):
    """Integer keys in order: the lowest, the highest, and the steps between, each from 1 to 255."""

    low: int
    high: int
    steps: bytes

    @classmethod
    def of(cls, keys: Sequence[Id | None]) -> _Run | None:
        """The keys of a page, whatever their order; None when they are no such run."""
        try:
            ordered = sorted(cast("Sequence[int]", keys))
            steps = bytes(map(sub, ordered[1:], ordered))
        except (TypeError, ValueError):  # text or no key among them, or a wide gap
            return None
        if not ordered or type(ordered[0]) is not int or 0 in steps:
            return None
        return cls(ordered[0], ordered[-1], steps)

    def upwards(self) -> Iterable[int]:
        """The keys, one by one."""
        return accumulate(self.steps, initial=self.low)


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    """Runs in order; neighbours that are short and lie close have become one."""
    found = [runs[0]]
    for run in runs[1:]:
        last = found[-1]
        step = run.low - last.high
        if step < 256 and len(last.steps) + len(run.steps) < MAX_RUN:
            found[-1] = _Run(last.low, run.high, b"".join((last.steps, bytes((step,)), run.steps)))
        else:
            found.append(run)
    return found


class KeySet:
    """A set of keys. A million integers that lie close take about 1 MB; strings are kept as they are.

    Keys that lie apart from all others, as those of most pages do, are a run, known to be new by its ends.
    Where runs would overlap, they become spans, and each key is looked at.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._spans: dict[int, set[int] | bytearray] = {}
        self._others: set[Id] = set()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeySet) or self._others != other._others:
            return False
        if self._runs == other._runs and not self._spans and not other._spans:
            return True
        for each in (self, other):
            each._dissolve(0, len(each._runs))
        mine, theirs = self._spans_with_keys(), other._spans_with_keys()
        return mine.keys() == theirs.keys() and all(
            _same_span(span, theirs[number]) for number, span in mine.items()
        )

    # It changes, so no set or dict could look it up.
    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def add_if_disjoint(self, keys: Sequence[Id | None]) -> bool:
        """Add keys that are all new integers, where their ends show it, as those of most pages do.

        False, and nothing added, where only ``add_new()`` can tell.
        """
        run = _Run.of(keys)
        return run is not None and self._add_if_disjoint(run)

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys; the indices of those not seen before, or None when all are new.

        A None is no key, and always new.
        """
        return None if self.add_if_disjoint(keys) else self.add_each(keys)

    def add_each(self, keys: Sequence[Id | None]) -> list[int] | None:
        """What ``add_new()`` does where ``add_if_apart()`` cannot tell."""
        self._dissolve_where(keys)
        old = self._add_within_a_span(keys)
        if old is None:
            old = [index for index, key in enumerate(keys) if key is not None and not self._add(key)]
        if not old:
            return None
        repeated = set(old)
        return [index for index in range(len(keys)) if index not in repeated]

    def has_all(self, keys: Sequence[Id | None]) -> bool:
        """True if there are keys and all of them are known. The first key decides for most pages."""
        return bool(keys) and all(self._has(key) for key in keys)

    def _has(self, key: Id | None) -> bool:
        if type(key) is not int:
            return key in self._others
        span = self._spans.get(key >> SPAN_BITS)
        if span is not None:
            place = key & (SPAN - 1)
            if span[place] if isinstance(span, bytearray) else place in span:
                return True
        place = bisect_right(self._runs, (key + 1,)) - 1
        return place >= 0 and self._runs[place].high >= key and key in self._runs[place].upwards()

    def forget(self, keys: Iterable[Id | None]) -> None:
        """Take keys out again, those of rows that were looked at and not given."""
        gone = list(keys)
        self._dissolve_where(gone)
        for key in gone:
            if type(key) is int:
                span = self._spans.get(key >> SPAN_BITS)
                if isinstance(span, bytearray):
                    span[key & (SPAN - 1)] = 0
                elif span is not None:
                    span.discard(key & (SPAN - 1))
            elif key is not None:
                self._others.discard(key)

    def _add_if_disjoint(self, run: _Run) -> bool:
        """Add keys between whose ends none lies that is known; False when one may."""
        place = bisect_left(self._runs, (run.low,))
        before, after = self._runs[place - 1 : place], self._runs[place : place + 1]
        if (before and before[0].high >= run.low) or (after and after[0].low <= run.high):
            return False
        if self._spans and not self._is_beside_spans(run):
            return False
        joined = _joined([*before, run, *after])
        self._runs[place - len(before) : place + len(after)] = joined
        return True

    def _is_beside_spans(self, run: _Run) -> bool:
        first, last = run.low >> SPAN_BITS, run.high >> SPAN_BITS
        return last - first < 2 and first not in self._spans and last not in self._spans

    def _dissolve_where(self, keys: Sequence[Id | None]) -> None:
        """No run lies where these keys do."""
        numbers = [key for key in keys if type(key) is int]
        if not numbers or not self._runs:
            return
        first = bisect_left(self._runs, (min(numbers),))
        if first and self._runs[first - 1].high >= min(numbers):
            first -= 1
        self._dissolve(first, bisect_right(self._runs, (max(numbers) + 1,)))

    def _dissolve(self, first: int, end: int) -> None:
        """Runs become spans."""
        gone, self._runs[first:end] = self._runs[first:end], []
        for run in gone:
            for key in run.upwards():
                self._add(key)

    def _spans_with_keys(self) -> dict[int, set[int] | bytearray]:
        return {
            number: span
            for number, span in self._spans.items()
            if span and (isinstance(span, set) or any(span))
        }

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
