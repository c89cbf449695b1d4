"""Keys in another spelling than declared: snake_case or kebab-case for camelCase, and the reverse.

Decided key by key: a key that is not the name of a field, but equals one without case, ``_`` and ``-``, is
that field. If two keys claim one field, or two fields share such a spelling, each value stays under its own
name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

__all__ = ["Matched", "Names", "bare", "without_indexes"]


MAX_MATCHED: Final = 256
"""Orders of keys that are kept: the objects of a server have few."""


class Matched(NamedTuple):
    """The keys of an object: the key of each field that has one, and those of no field."""

    keys: Mapping[str, str]
    unknown: tuple[str, ...]


class Names:
    """The names of an object's fields, as declared for the wire."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        claims = Counter(map(bare, self._names))
        self._matched: dict[tuple[str, ...], Matched] = {}
        self._by_bare = {bare(name): name for name in self._names if claims[bare(name)] == 1}

    def match(self, keys: Iterable[str]) -> Matched:
        """Find the field of each key of an object."""
        keys = tuple(keys)
        matched = self._matched.get(keys)
        if matched is None:
            if len(self._matched) >= MAX_MATCHED:
                self._matched.clear()
            matched = self._matched[keys] = self._match(keys)
        return matched

    def _match(self, keys: tuple[str, ...]) -> Matched:
        found = {key: key for key in keys if key in self._names}
        others = [key for key in dict.fromkeys(keys) if key not in self._names]
        claims = Counter(map(bare, others))
        unknown: list[str] = []
        for key in others:
            name = self._by_bare.get(bare(key))
            if name is None or name in found or claims[bare(key)] > 1:
                unknown.append(key)
            else:
                found[name] = key
        return Matched(found, tuple(unknown))


def bare(name: str) -> str:
    """A name without what its spellings differ in."""
    return name.replace("_", "").replace("-", "").lower()


def without_indexes(path: str) -> str:
    """The path to a field of every item of a list: ``lineItems[0].note`` becomes ``lineItems.note``."""
    return re.sub(r"\[[0-9]+\]", "", path)
