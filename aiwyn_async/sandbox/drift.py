"""A firm at work: rows inserted, updated and deleted between two requests of whoever reads them."""

import random
from dataclasses import dataclass, field

from .schema import Resource
from .store import Store

__all__ = ["Drift"]


@dataclass(slots=True)
class Drift:
    """How many rows change after each list or search page that was served.

    Args:
        insert: New rows, later than all there are.
        update: Rows whose status (posted to closed, closed to posted), notes and `updatedAt` change.
        delete: Rows removed, never the last one.
        seed: Which rows.
        every: The changes of so many pages arrive together after the last of them, as those of a sync do:
            rows inserted or updated share one `updatedAt`.
        refresh_every: After so many pages, a full refresh moves the `updatedAt` of all rows at once.

    The rows changed are kept in `inserted`, `updated` and `deleted`: a test can tell what a pull may miss.
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
        if self.every < 1 or (self.refresh_every is not None and self.refresh_every < 1):
            raise ValueError("every and refresh_every count from 1")
        self._random = random.Random(self.seed)  # noqa: S311 - a test's choice, no secret

    def apply(self, store: Store, resource: Resource) -> None:
        """Count a page that was served, and change the firm if it is time to."""
        self.pages += 1
        if self.pages % self.every == 0:
            self._change(store, resource)
        if self.refresh_every is not None and self.pages % self.refresh_every == 0:
            store.refresh(resource)

    def _change(self, store: Store, resource: Resource) -> None:
        self.rounds += 1
        for row_id in self._choose(store, resource, self.delete * self.every, spare=1):
            store.delete(resource, row_id)
            self.deleted.append(row_id)
        shared = self._shared_stamp(store, resource)
        for row_id in self._choose(store, resource, self.update * self.every, spare=0):
            store.update(resource, row_id, {**self._changes(store, resource, row_id), **shared})
            self.updated.append(row_id)
        if self.insert:
            self.inserted += store.insert(resource, self.insert * self.every, shared)

    def _shared_stamp(self, store: Store, resource: Resource) -> dict[str, object]:
        """The `updatedAt` of all changes of a burst; without bursts, each change has its own."""
        stamp = store.next_change(resource) if self.every > 1 else None
        return {} if stamp is None else {"updatedAt": stamp}

    def _choose(self, store: Store, resource: Resource, count: int, *, spare: int) -> list[int]:
        ids = store.ids(resource)
        return self._random.sample(ids, max(0, min(count, len(ids) - spare)))

    def _changes(self, store: Store, resource: Resource, row_id: int) -> dict[str, object]:
        if resource.name == "invoices":
            (status,) = store.query("SELECT status FROM invoices WHERE id = ?", (row_id,))[0]
            # Neither is settled, so the money and the payment status stay true.
            moved = {"POSTED": "CLOSED", "CLOSED": "POSTED"}.get(str(status), status)
            return {"status": moved, "notes": f"Revised in round {self.rounds}."}
        return {"name": f"Renamed in round {self.rounds}"} if "name" in resource.by_wire else {}
