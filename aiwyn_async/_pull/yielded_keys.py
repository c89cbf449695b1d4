"""The keys of the rows that a pull yielded, so that it yields no row twice."""

from __future__ import annotations

from collections.abc import Sequence

from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.key_ranges import KeyFilterIgnored
from aiwyn_async.models.base import Id


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


class ScanKeys(KeySet):
    """The keys yielded by full scans. Only the first scan yields rows without a key.

    Attributes:
        rows_without_key: rows without a key in the current scan.
    """

    def __init__(self, known: KeySet) -> None:
        super().__init__()
        self._known = known
        self._scans = 0
        self.rows_without_key = 0

    def start_scan(self) -> None:
        self._scans += 1
        self.rows_without_key = 0

    def add_new(self, keys: Sequence[Id | None]) -> list[int] | None:
        """Add keys and return the indices of the rows to yield, or None for all."""
        new = self._known.add_new(keys)
        if None not in keys:
            return new
        self.rows_without_key += sum(key is None for key in keys)
        if self._scans == 1:
            return new
        return [index for index in (range(len(keys)) if new is None else new) if keys[index] is not None]
