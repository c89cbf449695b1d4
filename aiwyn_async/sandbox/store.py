# ruff: noqa: S608 - tables and columns come from the declarations, values travel as parameters
"""The store: what `Shelf` reads, and rows inserted, updated and deleted."""

import bisect
import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import cast

import msgspec

from . import seed as firm
from .adaptations import adapt, move_changes, set_currencies
from .schema import RESOURCES, Column, Kind, Resource
from .shelf import Shelf
from .values import BadRequestError, SqlValue, instant_text, row_value, to_decimal

__all__ = ["Store"]


class Store(Shelf):
    """The firm's books, open for changes. JSON, columns and orders stay in step."""

    def insert(
        self, resource: Resource, count: int, changes: Mapping[str, object] | None = None
    ) -> list[int]:
        """Make the firm's next rows, then set fields on each.

        Raises:
            BadRequestError: A field is unknown or does not fit.
        """
        with self._lock, self._change():
            first, ids = self._next[resource.name], resource.seed.ids
            # A row inserted under an id of the caller's choice may have taken one.
            while any(self._has(resource, ids.at(number)) for number in range(first, first + count)):
                first += 1
            fresh = [ids.at(number) for number in range(first, first + count)]
            born: dict[str, list[int]] = {}

            def remember(made: Resource, ids: list[int]) -> None:
                self._remember(made, ids)
                born.setdefault(made.name, []).extend(ids)

            self._generate(resource, first, first + count, remember)
            if self._read_ids(f"SELECT count(*) FROM {resource.name} WHERE id >= ?", (fresh[0],))[0] < count:
                raise BadRequestError(f"{resource.name}: the firm has no rows to make these from")
            self._remember(resource, fresh)
            if self.options.currencies != ("USD",):
                for name, made in ((resource.name, fresh), *born.items()):
                    set_currencies(self, RESOURCES[name], self.options.currencies, made)
            fresh = self._finish(resource, fresh, changes or {})
            for name, made in born.items():
                self._finish(RESOURCES[name], made, {})
            self.connection.execute(
                "UPDATE sandbox_meta SET value = ? WHERE key = ?", (first + count, f"next_{resource.name}")
            )
            return fresh

    def _adapt(self) -> None:
        adapt(self, self.options)

    def refresh(self, resource: Resource) -> None:
        """Move the `updatedAt` of every row to one instant, later than all there were."""
        stamp = resource.by_wire.get("updatedAt")
        if stamp is None:
            return
        with self._lock, self._change():
            move_changes(self, resource, str(self._latest(resource, stamp) + self.options.step_us))

    def next_change(self, resource: Resource) -> str | None:
        """An `updatedAt` later than all there are, or None if rows have none."""
        stamp = resource.by_wire.get("updatedAt")
        if stamp is None:
            return None
        return instant_text(self._latest(resource, stamp) + self.options.step_us)

    def _finish(self, resource: Resource, fresh: Sequence[int], changes: Mapping[str, object]) -> list[int]:
        """Set fields of new rows, and an `updatedAt` later than that of every other row."""
        stamp = resource.by_wire.get("updatedAt")
        if stamp is None or stamp.key in changes:
            return [self.rewrite(resource, row_id, changes) for row_id in fresh] if changes else [*fresh]
        latest, step = self._latest(resource, stamp), self.options.step_us
        # Rows of one sync share its instant.
        steps = [number if self.options.sync_minutes is None else 1 for number in range(1, len(fresh) + 1)]
        return [
            self.rewrite(resource, row_id, {**changes, stamp.key: instant_text(latest + number * step)})
            for number, row_id in zip(steps, fresh, strict=True)
        ]

    def _has(self, resource: Resource, row_id: int) -> bool:
        ids = self._ids[resource.name]
        place = bisect.bisect_left(ids, row_id)
        return place < len(ids) and ids[place] == row_id

    def _remember(self, resource: Resource, fresh: Sequence[int]) -> None:
        for row_id in fresh:
            bisect.insort(self._ids[resource.name], row_id)

    def update(self, resource: Resource, row_id: int, changes: Mapping[str, object]) -> None:
        """Set fields of a row, in its JSON and in its columns. `updatedAt` moves on by itself.

        Raises:
            BadRequestError: A field is unknown or does not fit.
            KeyError: There is no such row.
        """
        with self._lock, self._change():
            stamp = resource.by_wire.get("updatedAt")
            if stamp is not None and stamp.key not in changes:
                changes = {**changes, stamp.key: self.next_change(resource)}
            self.rewrite(resource, row_id, changes)

    def delete(self, resource: Resource, row_id: int) -> None:
        """Remove a row.

        Raises:
            KeyError: There is no such row.
        """
        with self._lock, self._change():
            self._remove(resource, row_id)
            for child, along in firm.children(resource):
                sql = f"SELECT id FROM {child.name} WHERE {along.link} = ?"
                for child_id in self._read_ids(sql, (row_id,)):
                    self._remove(child, child_id)

    def _remove(self, resource: Resource, row_id: int) -> None:
        self._forget(resource, row_id)
        for table in (resource.name, resource.bodies):
            self.connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))

    @contextlib.contextmanager
    def _change(self) -> Generator[None]:
        """Both tables change or none does, and no order that was read before is used after."""
        self.connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            self._load_ids()
            raise
        else:
            self.connection.execute("COMMIT")
        finally:
            self._orders.clear()

    def _forget(self, resource: Resource, row_id: int) -> None:
        ids = self._ids[resource.name]
        place = bisect.bisect_left(ids, row_id)
        if place == len(ids) or ids[place] != row_id:
            raise KeyError(f"{resource.name} has no id {row_id}")
        ids.pop(place)

    def _latest(self, resource: Resource, stamp: Column) -> int:
        """The latest creation or change of any row, rounded up to a sync, or to a second."""
        created = resource.by_wire.get("createdAt", stamp)
        found = self.query(f"SELECT max({stamp.sql}), max({created.sql}) FROM {resource.name}")[0]
        latest = max((int(str(value)) for value in found if value is not None), default=0)
        # Syncs keep to their clock.
        step = self.options.step_us
        return -(-latest // step) * step

    def rewrite(self, resource: Resource, row_id: int, changes: Mapping[str, object]) -> int:
        """Set fields of a row within a transaction, and return its id, which is a field as well.

        Raises:
            BadRequestError: A field is unknown or does not fit.
            KeyError: There is no such row.
        """
        body = self.body(resource, row_id)
        if body is None:
            raise KeyError(f"{resource.name} has no id {row_id}")
        row = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        columns: dict[str, SqlValue] = {}
        for key, value in changes.items():
            column = resource.by_key.get(key)
            if key in row:
                row[key] = _encoded(column, value)
            elif column is None:
                raise BadRequestError(f"{resource.name} rows have no field {key!r}")
            if key == "id" and value != row_id and isinstance(value, int) and self._has(resource, value):
                raise BadRequestError(f"{resource.name} has a row of id {value} already")
            if column is not None:
                # Raises before anything is written.
                columns[column.sql] = row_value(column, value)
        if columns:
            # A column's name comes from the declarations, never from the caller.
            marks = ", ".join(f"{name} = ?" for name in columns)
            self.connection.execute(
                f"UPDATE {resource.name} SET {marks} WHERE id = ?", (*columns.values(), row_id)
            )
        new_id = cast("int", columns.get("id", row_id))
        if new_id != row_id:
            self._forget(resource, row_id)
            bisect.insort(self._ids[resource.name], new_id)
        sql = f"UPDATE {resource.bodies} SET id = ?, body = ? WHERE id = ?"
        self.connection.execute(sql, (new_id, msgspec.json.encode(row).decode(), row_id))
        return new_id


def _encoded(column: Column | None, value: object) -> msgspec.Raw:
    """A field's JSON, money with all its decimals as the seeded rows have it."""
    if column is not None and column.kind is Kind.DECIMAL and value is not None:
        return msgspec.Raw(f"{to_decimal(value, column.wire):.{column.scale}f}".encode())
    return msgspec.Raw(msgspec.json.encode(value))
