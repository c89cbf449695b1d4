"""Match keys to fields in another case: snake_case or kebab-case for camelCase, and the reverse.

Each key is matched by itself: a key that is not the name of a field is that of the field it equals without
case, ``_`` and ``-``. If two keys match one field, or two fields are equal without these, neither matches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MAX_CACHED: Final = 256
"""Cached results; the objects of a server have few different lists of keys."""


class MatchedKeys(NamedTuple):
    """The key of each field that an object has, and the keys without a field."""

    keys: Mapping[str, str]
    unknown: tuple[str, ...]


class FieldNames:
    """The declared names of an object's fields on the wire."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        counts = Counter(map(normalize, self._names))
        self._cache: dict[tuple[str, ...], MatchedKeys] = {}
        self._by_normalized = {normalize(name): name for name in self._names if counts[normalize(name)] == 1}

    def match(self, keys: Iterable[str]) -> MatchedKeys:
        """Find the field of each key of an object."""
        keys = tuple(keys)
        matched = self._cache.get(keys)
        if matched is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            matched = self._cache[keys] = self._match(keys)
        return matched

    def _match(self, keys: tuple[str, ...]) -> MatchedKeys:
        matched = {key: key for key in keys if key in self._names}
        others = [key for key in dict.fromkeys(keys) if key not in self._names]
        counts = Counter(map(normalize, others))
        unknown: list[str] = []
        for key in others:
            name = self._by_normalized.get(normalize(key))
            if name is None or name in matched or counts[normalize(key)] > 1:
                unknown.append(key)
            else:
                matched[name] = key
        return MatchedKeys(matched, tuple(unknown))


def can_be_field(key: str) -> bool:
    """Return whether msgspec accepts a key as the name of a field."""
    return _UNSUPPORTED(key) is None


_UNSUPPORTED: Final = re.compile(r'["\\\x00-\x1f]').search


def normalize(name: str) -> str:
    """Return a name without case, ``_`` and ``-``."""
    return name.replace("_", "").replace("-", "").lower()


def strip_indexes(path: str) -> str:
    """Return a path without list indexes: ``lineItems[0].note`` as ``lineItems.note``."""
    return re.sub(r"\[[0-9]+\]", "", path)
