# ruff: noqa: S608 - tables and columns are taken from the declarations, values are parameters
"""Insert, update, delete and refresh rows, with their JSON, columns and order."""

from collections.abc import Mapping, Sequence

from aiwyn_async.sandbox._data.adaptations import move_changes, set_currencies
from aiwyn_async.sandbox._data.changes import Change, Operation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.rewriting import rewrite_row
from aiwyn_async.sandbox._data.seed import child_resources
from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.fields import instant_text
from aiwyn_async.sandbox._declarations.schema import RESOURCES


def find_resource(name: str) -> Resource:
    """Return a resource by its name.

    Raises:
        BadRequestError: Lists the names.
    """
    if name not in RESOURCES:
        raise BadRequestError(f"unknown resource {name!r}; use one of {', '.join(RESOURCES)}")
    return RESOURCES[name]


def insert_rows(
    database: Database, resource: Resource, count: int, values: Mapping[str, object] | None = None
) -> list[int]:
    """Generate the next rows of the firm, and set fields of each."""
    with database.row_changes() as connection:
        first, fresh = _next_ids(database, resource, count)
        children: dict[str, list[int]] = {}

        def add_children(child: Resource, ids: list[int]) -> None:
            _add_ids(database, child, ids)
            children.setdefault(child.name, []).extend(ids)

        database.generate(resource, first, first + count, add_children)
        created = database.read_ids(f"SELECT count(*) FROM {resource.name} WHERE id >= ?", (fresh[0],))[0]
        if created < count:
            raise BadRequestError(f"{resource.name}: the firm has no rows to derive these from")
        _add_ids(database, resource, fresh)
        for name, ids in ((resource.name, fresh), *children.items()):
            set_currencies(database, RESOURCES[name], ids)
        fresh = _set_values(database, resource, fresh, values or {})
        for name, ids in children.items():
            _set_values(database, RESOURCES[name], ids, {})
        connection.execute(
            "UPDATE sandbox_meta SET value = ? WHERE key = ?", (first + count, f"next_{resource.name}")
        )
    _notify(database, resource, "CREATE", fresh)
    return fresh


def update_row(database: Database, resource: Resource, row_id: int, values: Mapping[str, object]) -> None:
    """Set fields of a row; ``updatedAt`` becomes the latest unless it is among them.

    Raises:
        BadRequestError: A field is unknown or its value is not valid.
        KeyError: The row does not exist.
    """
    with database.row_changes():
        change = {} if "updatedAt" in values else next_change(database, resource)
        rewrite_row(database, resource, row_id, {**values, **change})
    _notify(database, resource, "UPDATE", (row_id,))


def delete_row(database: Database, resource: Resource, row_id: int) -> None:
    """Delete a row and the rows that depend on it, or raise KeyError."""
    with database.row_changes():
        _remove(database, resource, row_id)
        for child, rows in child_resources(resource):
            sql = f"SELECT id FROM {child.name} WHERE {rows.link} = ?"
            for (child_id,) in database.query(sql, (row_id,)):
                _remove(database, child, child_id)
    _notify(database, resource, "DELETE", (row_id,))


def refresh_rows(database: Database, resource: Resource) -> None:
    """Move the ``updatedAt`` of every row to one instant, later than all others."""
    latest = _latest_change(database, resource)
    if latest is not None:
        with database.row_changes():
            move_changes(database, resource, str(latest + database.options.step_us))


def next_change(database: Database, resource: Resource) -> dict[str, object]:
    """Return the field ``updatedAt`` of a change later than all others, if rows have it."""
    latest = _latest_change(database, resource)
    return {} if latest is None else {"updatedAt": instant_text(latest + database.options.step_us)}


def _next_ids(database: Database, resource: Resource, count: int) -> tuple[int, list[int]]:
    """Return the number of the next row, and the ids of the next ``count`` rows."""
    first, ids = database.next_numbers[resource.name], resource.seed.ids
    # A row inserted with an explicit id may occupy one of them.
    while any(database.row_ids.contains(resource, ids.at(n)) for n in range(first, first + count)):
        first += 1
    return first, [ids.at(number) for number in range(first, first + count)]


def _add_ids(database: Database, resource: Resource, ids: Sequence[int]) -> None:
    for row_id in ids:
        database.row_ids.add(resource, row_id)


def _set_values(
    database: Database, resource: Resource, ids: Sequence[int], values: Mapping[str, object]
) -> list[int]:
    """Set fields of new rows, and an ``updatedAt`` later than that of every other row."""
    latest = None if "updatedAt" in values else _latest_change(database, resource)
    if latest is None:
        return [rewrite_row(database, resource, row_id, values) for row_id in ids] if values else [*ids]
    first = latest + database.options.step_us
    # Rows of one sync share its instant.
    step = 0 if database.options.sync_minutes is not None else database.options.step_us
    return [
        rewrite_row(database, resource, row_id, {**values, "updatedAt": instant_text(first + number * step)})
        for number, row_id in enumerate(ids)
    ]


def _remove(database: Database, resource: Resource, row_id: int) -> None:
    database.row_ids.remove(resource, row_id)
    for table in (resource.name, resource.bodies):
        database.connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))


def _latest_change(database: Database, resource: Resource) -> int | None:
    """Return the latest change of any row, rounded up to a sync or a second; None if rows have none."""
    stamp = resource.by_wire.get("updatedAt")
    if stamp is None:
        return None
    created = resource.by_wire.get("createdAt", stamp)
    # Two SELECTs, as SQLite uses an index for one max() only.
    latest = ", ".join(f"(SELECT max({column.sql}) FROM {resource.name})" for column in (stamp, created))
    values = database.query(f"SELECT {latest}")[0]
    instant = max((value for value in values if value is not None), default=0)
    step = database.options.step_us
    return -(-instant // step) * step


def _notify(database: Database, resource: Resource, operation: Operation, ids: Sequence[int]) -> None:
    # Rows are read only if there is a subscription: an insertion may have thousands.
    if database.query("SELECT 1 FROM event_subscriptions WHERE active LIMIT 1"):
        database.on_change(
            [Change(resource.name, operation, row_id, database.row_json(resource, row_id)) for row_id in ids]
        )
