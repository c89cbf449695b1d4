"""Lengths, counts and keys of the pages received so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aiwyn_async._core.pull_report import KeyRange
from aiwyn_async._pull.key_ranges import contains, lower_bound, upper_bound
from aiwyn_async.models.base import Id


class PageHistory:
    """What earlier pages show about later ones, and about rows not received."""

    def __init__(self) -> None:
        self._max_rows = 0
        """The length of the longest page: the server may clamp the page size."""
        self._max_count = 0
        """The highest count that exceeded its page, so that it was not the count of the page alone."""
        self._received: list[tuple[int, int]] = []
        """The lowest and the highest key of each page."""
        self.rejected: set[int] = set()
        """Integer keys of discarded responses."""

    def record_length(self, rows: int) -> None:
        self._max_rows = max(self._max_rows, rows)

    def record_keys(self, lowest: int, highest: int) -> None:
        """Record the bounds of the keys that a page added to its range."""
        self._received.append((lowest, highest))

    def reject(self, keys: Iterable[Id | None]) -> None:
        """Record a discarded response: another response has to contain its rows."""
        self.rejected.update(key for key in keys if isinstance(key, int))

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
