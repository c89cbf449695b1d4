"""Rows inserted, updated and deleted between the requests of a reader."""

import random
from dataclasses import dataclass, field

from aiwyn_async.sandbox._checks import check_fields
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import delete_row, insert_rows, next_change, refresh_rows, update_row
from aiwyn_async.sandbox._declarations.declarations import Resource


@dataclass(slots=True)
class Drift:
    """Changes to the rows of a list or search after each page served.

    ``inserted``, ``updated`` and ``deleted`` record the ids, so that a test knows what a read may miss.

    Args:
        insert: Number of new rows, later than all others.
        update: Number of rows whose status (between posted and closed), notes and ``updatedAt`` change.
        delete: Number of rows deleted; one row always remains.
        seed: Selects the rows.
        every: Apply the changes of this many pages together after the last of them, as a sync does; rows
            inserted or updated together share one ``updatedAt``.
        refresh_every: Number of pages after which a full refresh moves the ``updatedAt`` of all rows.
    """

    insert: int = 0
    update: int = 0
    delete: int = 0
    seed: int = 1
    every: int = 1
    refresh_every: int | None = None
    inserted: list[int] = field(default_factory=list[int])
    updated: list[int] = field(default_factory=list[int])
    deleted: list[int] = field(default_factory=list[int])
    rounds: int = 0
    pages: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.every < 1 or (self.refresh_every is not None and self.refresh_every < 1):
            raise ValueError("every and refresh_every must be at least 1")
        self._random = random.Random(self.seed)  # noqa: S311 - selects test data

    def reset(self) -> None:
        """Forget all changes, so that the same ones follow."""
        for ids in (self.inserted, self.updated, self.deleted):
            ids.clear()
        self.rounds = self.pages = 0
        self._random.seed(self.seed)

    def apply(self, database: Database, resource: Resource) -> None:
        """Count a page, and change rows if they are due."""
        self.pages += 1
        if self.pages % self.every == 0:
            self._change(database, resource)
        if self.refresh_every is not None and self.pages % self.refresh_every == 0:
            refresh_rows(database, resource)

    def _change(self, database: Database, resource: Resource) -> None:
        self.rounds += 1
        for row_id in self._choose(database, resource, self.delete * self.every, spare=1):
            delete_row(database, resource, row_id)
            self.deleted.append(row_id)
        # Changes of several pages share one instant, as those of a sync.
        shared = next_change(database, resource) if self.every > 1 else {}
        for row_id in self._choose(database, resource, self.update * self.every, spare=0):
            update_row(database, resource, row_id, {**self._new_values(database, resource, row_id), **shared})
            self.updated.append(row_id)
        if self.insert:
            self.inserted += insert_rows(database, resource, self.insert * self.every, shared)

    def _choose(self, database: Database, resource: Resource, count: int, *, spare: int) -> list[int]:
        ids = database.ids(resource)
        return self._random.sample(ids, max(0, min(count, len(ids) - spare)))

    def _new_values(self, database: Database, resource: Resource, row_id: int) -> dict[str, object]:
        if resource.name == "invoices":
            (status,) = database.query("SELECT status FROM invoices WHERE id = ?", (row_id,))[0]
            # Neither status is a paid one, so amounts and payment status stay consistent.
            new_status = {"POSTED": "CLOSED", "CLOSED": "POSTED"}.get(status, status)
            return {"status": new_status, "notes": f"Revised in round {self.rounds}."}
        return {"name": f"Renamed in round {self.rounds}"} if "name" in resource.by_wire else {}
