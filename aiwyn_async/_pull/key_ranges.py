"""Checks of keys and arithmetic of key ranges. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import le, lt
from typing import Any, TypeGuard

from aiwyn_async._core.pull_report import KeyRange
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
