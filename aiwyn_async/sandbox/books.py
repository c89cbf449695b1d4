"""The store with what is written to it: records, their types, subscriptions, and who is told of a change."""

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .schema import RESOURCES, Resource
from .store import Store

__all__ = ["Books", "Change", "Operation"]

Operation = Literal["CREATE", "UPDATE", "DELETE"]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        system_ref TEXT,
        attributes TEXT NOT NULL,
        times_applied INTEGER NOT NULL DEFAULT 1,
        UNIQUE (type, system_ref)
    )""",
    """CREATE TABLE IF NOT EXISTS record_types (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        description TEXT,
        active INTEGER NOT NULL DEFAULT 1,
        fields TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS event_subscriptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target_url TEXT NOT NULL,
        entity_types TEXT NOT NULL,
        operations TEXT NOT NULL,
        description TEXT,
        active INTEGER NOT NULL DEFAULT 1,
        secret TEXT NOT NULL
    )""",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One entity that was created, updated or deleted; `data` is its JSON afterwards, None when gone."""

    entity_type: str
    operation: Operation
    entity_id: int
    data: bytes | None


class Books(Store):
    """The firm's books, open for writing. `told` hears of each change, in whatever thread it happened."""

    told: Callable[[Sequence[Change]], None] | None = None

    def open(self) -> None:
        """Open the store and make the tables that requests write to."""
        super().open()
        with self.writing() as connection:
            for table in _TABLES:
                connection.execute(table)

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A transaction: everything within is written, or nothing."""
        with self._lock:
            connection = self.connection
            connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def tell(self, changes: Sequence[Change]) -> None:
        """Pass changes on to who listens."""
        if self.told is not None and changes:
            self.told(changes)

    def _tell_rows(self, resource: Resource, operation: Operation, ids: Sequence[int]) -> None:
        # Without a subscription, a thousand rows are not read only to be told to nobody.
        if self.told is None or not self.query("SELECT 1 FROM event_subscriptions WHERE active LIMIT 1"):
            return
        self.tell([Change(resource.name, operation, row_id, self.body(resource, row_id)) for row_id in ids])

    def entity_types(self) -> list[str]:
        """What a subscription can name: the resources, and every type of record there is."""
        sql = "SELECT name FROM record_types UNION SELECT type FROM records ORDER BY 1"
        records = [str(name) for (name,) in self.query(sql)]
        return [*RESOURCES, *(name for name in records if name not in RESOURCES)]

    def insert(
        self, resource: Resource, count: int, changes: Mapping[str, object] | None = None
    ) -> list[int]:
        """Make rows, and tell of them."""
        fresh = super().insert(resource, count, changes)
        self._tell_rows(resource, "CREATE", fresh)
        return fresh

    def update(self, resource: Resource, row_id: int, changes: Mapping[str, object]) -> None:
        """Set fields of a row, and tell of it."""
        super().update(resource, row_id, changes)
        self._tell_rows(resource, "UPDATE", (row_id,))

    def delete(self, resource: Resource, row_id: int) -> None:
        """Remove a row, and tell of it."""
        super().delete(resource, row_id)
        self._tell_rows(resource, "DELETE", (row_id,))
