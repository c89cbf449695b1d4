"""Rows that a sync left out because they do not decode.

Later runs request them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from aiwyn_async._changes.reconcile import plain_key
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._decoding.row_decoder import key_decoder
from aiwyn_async._pagination.page import Stored
from aiwyn_async.errors import CheckpointError
from aiwyn_async.models.base import Id

MAX_NAMED_KEYS: Final = 10


class _StoredRows(Stored, frozen=True, kw_only=True):
    keys: list[Id]
    without_key: int
    _name = "list of skipped rows"
    _error = CheckpointError


class SkippedRows:
    """The skipped rows of this run and of earlier ones.

    Args:
        key: wire name of the key.
        stored: the rows of earlier runs, as ``to_json()`` returned them.

    Raises:
        CheckpointError: ``stored`` is damaged.
    """

    def __init__(self, key: str, stored: str | None = None) -> None:
        self._decode_key = key_decoder(key)
        self._rows: dict[Id, BadRow | None] = {}
        self._without_key: list[BadRow] = []
        self._earlier_without_key = 0  # only a full read returns them
        if stored is not None:
            earlier = _StoredRows.from_json(stored)
            self._rows, self._earlier_without_key = dict.fromkeys(earlier.keys), earlier.without_key

    def __len__(self) -> int:
        return len(self._rows) + len(self._without_key) + self._earlier_without_key

    @property
    def keys(self) -> list[Id]:
        """The keys of all skipped rows that have one."""
        return list(self._rows)

    @property
    def earlier_keys(self) -> list[Id]:
        """The keys of rows that only earlier runs received."""
        return [key for key, row in self._rows.items() if row is None]

    @property
    def bad_rows(self) -> list[BadRow]:
        """The skipped rows of this run."""
        return [row for row in self._rows.values() if row is not None] + self._without_key

    def add(self, rows: Sequence[BadRow]) -> int:
        """Add rows that do not decode, and return how many."""
        for row in rows:
            key = row.key if row.key is not None else self._decode_key(bytes(row.raw))
            if key is None:
                self._without_key.append(row)
            else:
                self._rows[key] = row
        return len(rows)

    def discard(self, keys: Iterable[Id]) -> None:
        """Remove rows that now decode or were deleted."""
        plain = set(map(plain_key, keys))
        self._rows = {key: row for key, row in self._rows.items() if plain_key(key) not in plain}

    def clear(self) -> None:
        """Remove all rows, before a full read adds those that still do not decode."""
        self._rows, self._without_key, self._earlier_without_key = {}, [], 0

    def to_json(self) -> str | None:
        """Return the keys as JSON, or None if no row is skipped."""
        without_key = self._earlier_without_key + len(self._without_key)
        if not self._rows and not without_key:
            return None
        return _StoredRows(keys=self.keys, without_key=without_key).to_json()

    def problems(self) -> list[str]:
        """Return a sentence that names the rows, if there are any."""
        if not len(self):
            return []
        named = join_keys(self.keys)
        more = f", and {len(self) - MAX_NAMED_KEYS} more" if len(self) > MAX_NAMED_KEYS else ""
        which = f" ({named}{more})" if named else ""
        return [f"{len(self)} rows do not decode and were left out{which}"]


def join_keys(keys: list[Id]) -> str:
    """Return the first keys, separated by commas."""
    return ", ".join(repr(key) for key in keys[:MAX_NAMED_KEYS])
