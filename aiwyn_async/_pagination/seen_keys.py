"""The keys seen in a read, about one byte per row if integers are close."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import sub
from typing import Final, NamedTuple, cast

from aiwyn_async.models.base import Id

SPAN_BITS: Final = 16
SPAN: Final = 1 << SPAN_BITS
# From this many keys on, a span of flags (64 KiB) is smaller than the set of its keys.
DENSE: Final = 1024
# The keys of a page. A run is dissolved as a whole if another page overlaps with it.
MAX_RUN: Final = 1024


class _Run(NamedTuple):
    """Ordered integers: lowest, highest, and the steps from 1 to 255 between."""

    low: int
    high: int
    steps: bytes

    @classmethod
    def of(cls, keys: Sequence[Id | None]) -> _Run | None:
        """Return a run of the keys of a page, in any order; None if they do not form one."""
        try:
            ordered = sorted(cast("Sequence[int]", keys))
            steps = bytes(map(sub, ordered[1:], ordered))
        except (TypeError, ValueError):  # text or None among them, or a wide gap
            return None
        if not ordered or type(ordered[0]) is not int or 0 in steps:
            return None
        return cls(ordered[0], ordered[-1], steps)

    def upwards(self) -> Iterable[int]:
        """Iterate over the keys."""
        return accumulate(self.steps, initial=self.low)


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    """Join neighboring runs that are short and close."""
    joined = [runs[0]]
    for run in runs[1:]:
        last = joined[-1]
        step = run.low - last.high
        if step < 256 and len(last.steps) + len(run.steps) < MAX_RUN:
            joined[-1] = _Run(last.low, run.high, b"".join((last.steps, bytes((step,)), run.steps)))
        else:
            joined.append(run)
    return joined


class KeySet:
    """A set of keys.

    A million integers that lie close take about 1 MB; strings are stored as they are.

    Keys apart from all others, as those of most pages are, form a run, and its ends show that they are new.
    If runs overlap, they become spans, and each key is checked.
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
        mine, theirs, none = self._spans, other._spans, set[int]()  # a span may be left without keys
        numbers = mine.keys() | theirs.keys()
        return all(_are_same(mine.get(number, none), theirs.get(number, none)) for number in numbers)

    # It changes, so no set or dict could look it up.
    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def add_if_disjoint(self, keys: Sequence[Id | None]) -> bool:
        """Add keys whose ends prove all to be new integers, as on most pages.

        Returns False, and adds nothing, if only ``add_new()`` can decide it.
        """
        run = _Run.of(keys)
        if run is None:
            return False
        index = bisect_left(self._runs, (run.low,))
        before, after = self._runs[index - 1 : index], self._runs[index : index + 1]
        if (before and before[0].high >= run.low) or (after and after[0].low <= run.high):
            return False
        if self._spans and not self._is_beside_spans(run):
            return False
        joined = _joined([*before, run, *after])
        self._runs[index - len(before) : index + len(after)] = joined
        return True

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys; return the indices of those not seen before, or None if all are new.

        None is not a key, and always new.
        """
        return None if self.add_if_disjoint(keys) else self.add_each(keys)

    def add_each(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys one by one; return what ``add_new()`` returns."""
        self._dissolve_where(keys)
        old = self._add_within_a_span(keys)
        if old is None:
            old = [index for index, key in enumerate(keys) if key is not None and not self._add(key)]
        if not old:
            return None
        repeated = set(old)
        return [index for index in range(len(keys)) if index not in repeated]

    def has_all(self, keys: Sequence[Id | None]) -> bool:
        """True if there are keys and all are known; the first decides mostly."""
        return bool(keys) and all(self._has(key) for key in keys)

    def _has(self, key: Id | None) -> bool:
        if type(key) is not int:
            return key in self._others
        span = self._spans.get(key >> SPAN_BITS)
        if span is not None:
            index = key & (SPAN - 1)
            if span[index] if isinstance(span, bytearray) else index in span:
                return True
        index = bisect_right(self._runs, (key + 1,)) - 1
        return index >= 0 and self._runs[index].high >= key and key in self._runs[index].upwards()

    def forget(self, keys: Iterable[Id | None]) -> None:
        """Remove keys, those of rows that were checked and not yielded."""
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

    def _is_beside_spans(self, run: _Run) -> bool:
        first, last = run.low >> SPAN_BITS, run.high >> SPAN_BITS
        return last - first < 2 and first not in self._spans and last not in self._spans

    def _dissolve_where(self, keys: Sequence[Id | None]) -> None:
        """Turn the runs that overlap with these keys into spans."""
        numbers = [key for key in keys if type(key) is int]
        if not numbers or not self._runs:
            return
        first = bisect_left(self._runs, (min(numbers),))
        if first and self._runs[first - 1].high >= min(numbers):
            first -= 1
        self._dissolve(first, bisect_right(self._runs, (max(numbers) + 1,)))

    def _dissolve(self, first: int, end: int) -> None:
        """Turn runs into spans."""
        gone, self._runs[first:end] = self._runs[first:end], []
        for run in gone:
            for key in run.upwards():
                self._add(key)

    def _add_within_a_span(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Return indices of known keys, or None unless they lie in one dense span."""
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
        """Add one key; return True if it is new."""
        if type(key) is not int:
            known = key in self._others
            self._others.add(key)
            return not known
        number, index = key >> SPAN_BITS, key & (SPAN - 1)
        span = self._spans.setdefault(number, set())
        if isinstance(span, bytearray):
            known = bool(span[index])
            span[index] = 1
            return not known
        known = index in span
        span.add(index)
        if len(span) >= DENSE:
            flags = bytearray(SPAN)
            for each in span:
                flags[each] = 1
            self._spans[number] = flags
        return not known


def _are_same(one: set[int] | bytearray, other: set[int] | bytearray) -> bool:
    return one == other if type(one) is type(other) else _as_set(one) == _as_set(other)


def _as_set(span: set[int] | bytearray) -> set[int]:
    return span if isinstance(span, set) else {index for index, flag in enumerate(span) if flag}
