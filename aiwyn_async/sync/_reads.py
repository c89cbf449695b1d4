"""The reads of one resource under one condition, as a sync needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from aiwyn_async._changes.bookmarks import StateBackend
from aiwyn_async._changes.changes import Changes
from aiwyn_async._changes.reconcile import KeyDiff, diff_rows
from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async._pagination.page import fingerprint
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.arrow._rows import raw_pages
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import Where, to_where
from aiwyn_async.models.base import Id

KEYS_PER_LOOKUP: Final = 500
MAX_LOOKUP_SHARE: Final = 0.25
"""Of all rows; if more differ, pulling all rows takes fewer requests."""


class ResourceReads:
    """Creates the reads of a resource.

    Raises:
        ConfigurationError: rows have no key, or the condition needs a search that is not documented.
    """

    def __init__(self, collection: Collection[Any, Any, Any], where: Where, options: dict[str, Any]) -> None:
        endpoint = collection.endpoint
        if endpoint.key is None:
            raise ConfigurationError(f"{endpoint.resource} have no key, which sync needs to merge rows")
        self.resource = endpoint.resource
        self.key = endpoint.key
        self.modified_at_field = endpoint.modified_at_field
        self.on_bad_row: OnBadRow = options["on_bad_row"]
        self._collection: Any = collection
        self._has_search = isinstance(collection, SearchableCollection)
        self._where = to_where(where)
        self._options = options
        if not self._has_search and (self._where is not None or self.has_changes):
            option = "modified_at_field" if self._where is None else "where"
            raise ConfigurationError(
                f"{self.resource} have no documented search endpoint, which {option} requires; "
                f"sync them without {option}"
            )

    @property
    def has_changes(self) -> bool:
        """True if rows have the time of their last change."""
        return self.modified_at_field is not None

    @property
    def skips_bad_rows(self) -> bool:
        """True if rows that do not decode are left out."""
        return self.on_bad_row != "raise"

    def fingerprint(self) -> str:
        """Return a hash of the condition."""
        return fingerprint(self.resource, {"where": self._where, "key": self.key})

    def pull(self, keys: Sequence[Id] | None = None, **more: Any) -> Pull[Any]:
        """Pull all rows, or those with the given keys."""
        where: Any = self._where
        if keys is not None:
            by_key = {self.key: {"_in": list(keys)}}
            where = by_key if where is None else {"_and": [where, by_key]}
        pull: Pull[Any] = self._collection.pull(where, **(self._options | more))
        return pull

    def read(
        self, state: StateBackend, overlap: float | timedelta | None, resume: str | None
    ) -> Changes[Any] | Pull[Any]:
        """Read what changed since the bookmark in ``state``, or all rows without timestamps.

        ``resume`` is a checkpoint of the same read.
        """
        read: Any = (
            self._collection.changes(where=self._where, state=state, overlap=overlap, **self._options)
            if self.has_changes
            else self.pull()
        )
        source: Changes[Any] | Pull[Any] = raw_pages(read)
        return source if resume is None else source.resume_from(resume)

    def lookups(self, keys: Sequence[Id], *, total: int | None = None) -> list[Pull[Any]]:
        """Return pulls that read the rows with these keys.

        If the keys are a large share of the ``total`` of known rows, one pull reads all rows.
        """
        if not keys:
            return []
        is_large = total is not None and len(keys) > max(KEYS_PER_LOOKUP, total * MAX_LOOKUP_SHARE)
        if not self._has_search or is_large:
            return [self.pull()]
        starts = range(0, len(keys), KEYS_PER_LOOKUP)
        return [self.pull(keys[start : start + KEYS_PER_LOOKUP]) for start in starts]

    async def compare(self, known: Iterable[tuple[Id, int | None]], column: str | None) -> KeyDiff:
        """Compare all keys, and the times of the last change, with known ones."""
        return await diff_rows(
            self.pull(on_progress=None), known, column, allow_rows_without_key=self.skips_bad_rows
        )
