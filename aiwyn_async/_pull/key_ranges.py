"""Checks of keys, arithmetic of key ranges, and what earlier pages show. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import le, lt
from typing import Any, TypeGuard

from aiwyn_async._core.pull_report import KeyRange, MissingRange
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async.models.base import Id


class KeyFilterIgnored(Exception):  # noqa: N818 (never leaves this package)
    """The server does not apply the key filter or the order; the text says how."""


def find_violation(after: Id | None, until: Id | None, keys: Sequence[Id | None]) -> str | None:
    """Return how a page violates the key filter or the order, or None if it does not."""
    if None in keys:
        return "the server returned rows without a key"
    if not are_integers(keys):
        return "the server returned the same rows twice" if after is not None and after in keys else None
    if not all(map(lt, keys, keys[1:])):
        return "the server returned rows out of key order"
    is_above = not isinstance(after, int) or keys[0] > after
    is_below = not isinstance(until, int) or keys[-1] <= until
    return None if is_above and is_below else "the server returned rows outside the requested range of keys"


def are_integers(keys: Sequence[Id | None]) -> TypeGuard[Sequence[int]]:
    """Return whether there are keys and all of them are integers."""
    return set(map(type, keys)) == {int}


def follows_in_order(after: Id | None, keys: Sequence[Id | None]) -> bool:
    """Return whether text keys are ordered by code point, casefolded text or number."""
    texts = list(map(str, [*([] if after is None else [after]), *keys]))
    forms: list[list[Any]] = [texts, [text.casefold() for text in texts]]
    if all(text.isdecimal() for text in texts):
        forms.append([(len(text.lstrip("0")), text.lstrip("0")) for text in texts])
    return any(all(map(le, form, form[1:])) for form in forms)


def _is_not_above(after: Id | None, keys: Sequence[Id | None]) -> bool:
    """Return whether the only key is this one, or a lower integer."""
    return list(keys) == [after] or (isinstance(after, int) and are_integers(keys) and keys[0] < after)


def lower_bound(key_range: KeyRange) -> float:
    """Return ``after`` in a form that compares with numbers."""
    return key_range.after if isinstance(key_range.after, int) else -math.inf


def upper_bound(key_range: KeyRange) -> float:
    """Return ``until`` in a form that compares with numbers."""
    return key_range.until if isinstance(key_range.until, int) else math.inf


def contains(key_range: KeyRange, key: int) -> bool:
    return lower_bound(key_range) < key <= upper_bound(key_range)


def merge_adjacent(ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """Merge neighboring ranges that share a bound."""
    merged: list[KeyRange] = []
    for each in ranges:
        if merged and merged[-1].until is not None and merged[-1].until == each.after:
            merged[-1] = KeyRange(merged[-1].after, each.until)
        else:
            merged.append(each)
    return merged


def add_missing(ranges: list[MissingRange], missing: MissingRange) -> None:
    """Add a missing range, merged with adjacent ones."""
    for index, other in enumerate(ranges):
        if other.until is not None and other.until == missing.after:
            merged = MissingRange(other.after, missing.until, other.reason)
        elif missing.until is not None and missing.until == other.after:
            merged = MissingRange(missing.after, other.until, missing.reason)
        else:
            continue
        del ranges[index]
        add_missing(ranges, merged)
        return
    ranges.append(missing)


class PageHistory:
    """What earlier pages show about later ones, and about rows not received."""

    def __init__(self) -> None:
        self._max_rows = 0
        """The length of the longest page shorter than requested: the server may clamp the page size."""
        self._max_count = 0
        """The highest count that exceeded its page, so that it was not the count of the page alone."""
        self._received: list[tuple[int, int]] = []
        """The lowest and the highest key of each page."""
        self.rejected: set[int] = set()
        """Integer keys of discarded responses."""
        self._end_key: Id | None = None
        """The last key received, if the server returned no higher one as the highest."""
        self._passed_key: Id | None = None
        """The same, once rows above it were received."""

    def record_length(self, rows: int) -> None:
        self._max_rows = max(self._max_rows, rows)

    def record_keys(self, lowest: int, highest: int) -> None:
        """Record the bounds of the keys that a page added to its range."""
        self._received.append((lowest, highest))

    def reject(self, keys: Iterable[Id | None]) -> None:
        """Record a discarded response: another response has to contain its rows."""
        self.rejected.update(key for key in keys if isinstance(key, int))

    def record_highest(self, keys: Sequence[Id | None], after: Id | None) -> None:
        """Record the highest key, requested after the row with the key ``after``.

        It is doubted only if each page had one row, which shows no order.
        """
        if _is_not_above(after, keys) and all(low == high for low, high in self._received):
            self._end_key = after

    def doubts_highest(self) -> bool:
        """Return whether rows follow where the list ended, so that the highest key is requested again."""
        self._passed_key, self._end_key = self._end_key, None
        return self._passed_key is not None

    def is_below_received(self, keys: Sequence[Id | None]) -> bool:
        """Return whether the highest key is below the end of the first page, or still where the list ended.

        Either rows were deleted, or the server ignores the order.
        """
        if self._passed_key is not None and _is_not_above(self._passed_key, keys):
            return True
        return are_integers(keys) and [keys[0] < high for _, high in self._received] == [True]

    def is_short(self, rows: int) -> bool:
        """Return whether a page may have fewer rows than the server usually returns."""
        return rows != self._max_rows

    def is_all(self, rows: int, count: int | None) -> bool:
        """Return whether a page has all rows that its count announces.

        A server that clamps pages may clamp the count too, so only a count lower than one that exceeded its
        page is reliable, and not of a page that may be full.
        """
        if count is not None and count > rows:
            self._max_count = max(self._max_count, count)
        return count == rows < self._max_count and rows != self._max_rows

    def find_suspect_ranges(self, start: Sequence[KeyRange], left: Sequence[KeyRange]) -> list[KeyRange]:
        """Return ranges without received rows, of which a discarded response had rows.

        ``start`` are the ranges that the pull started with, ``left`` those that are known to be unread.
        """
        suspects: list[KeyRange] = []
        for key in sorted(self.rejected):
            origin = next((each for each in start if contains(each, key)), None)
            is_received = any(low <= key <= high for low, high in self._received)
            is_left = any(contains(each, key) for each in [*left, *suspects])
            if origin is None or is_received or is_left:
                continue
            lower = [high for _, high in self._received if lower_bound(origin) < high < key]
            upper = [low - 1 for low, _ in self._received if key < low <= upper_bound(origin)]
            suspects.append(KeyRange(max(lower, default=origin.after), min(upper, default=origin.until)))
        return suspects


class RangeKeys:
    """The keys yielded by a pull by key ranges.

    Attributes:
        known: the keys to compare with; None as soon as the key order guarantees that keys are new.
    """

    def __init__(self) -> None:
        self.known: KeySet | None = KeySet()
        self._text_keys = KeySet()

    def trust_order(self) -> None:
        """Stop comparing integer keys: the server applies the key filter."""
        if self.known is not None:
            self._text_keys, self.known = self.known, None

    def has_all(self, keys: Sequence[Id | None]) -> bool:
        """Return whether all keys of a page are known to be yielded."""
        return self.known is not None and self.known.has_all(keys)

    def select_new(self, keys: Sequence[Id | None]) -> Sequence[int]:
        """Add keys and return the indices of the new ones.

        Raises:
            KeyFilterIgnored: none is new.
        """
        new: Sequence[int] | None = None
        if self.known is not None:
            new = self.known.add_new(keys)
        elif keys and isinstance(keys[-1], str):
            # The order of text keys depends on a collation, so it cannot show repeated rows.
            new = self._text_keys.add_new(keys)
        if keys and new == []:
            raise KeyFilterIgnored("the server returned the same rows twice")
        return range(len(keys)) if new is None else new
