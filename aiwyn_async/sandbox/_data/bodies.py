# ruff: noqa: S608 - tables and columns are taken from the declarations, values are parameters
"""The JSON of rows: read as one value, and generated at the first read."""

import sqlite3
from collections.abc import Sequence
from typing import cast

import msgspec

from aiwyn_async.sandbox._data.seed import fill_bodies
from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._declarations.sql import row_json_sql


class Bodies:
    """Reads the JSON of rows."""

    def __init__(self) -> None:
        self._complete: set[str] = set()
        """The resources of which every row has its JSON."""

    def read(
        self, connection: sqlite3.Connection, resource: Resource, ids: Sequence[int], *, search: bool
    ) -> bytes:
        """Return the JSON of existing rows in the order of ``ids``, see ``Database.rows_json``."""
        text, table = "t.body", resource.bodies
        if search and resource.search_row:
            text, table = row_json_sql(resource.search_row, alias="t."), resource.name
        sql = (
            f"SELECT CAST(group_concat({text}, ',') AS BLOB), count(*) FROM json_each(?) AS wanted"
            # CROSS makes the list of ids the outer loop, which preserves its order.
            f" CROSS JOIN {table} AS t WHERE t.id = wanted.value"
        )
        parameters = (msgspec.json.encode(list(ids)).decode(),)
        joined, count = connection.execute(sql, parameters).fetchone()
        if count < len(ids):
            fill_bodies(connection, resource, "SELECT value FROM json_each(?)", parameters)
            joined = connection.execute(sql, parameters).fetchone()[0]
        return cast("bytes | None", joined) or b""

    def fill(
        self, connection: sqlite3.Connection, resource: Resource, ids: Sequence[int] | None = None
    ) -> None:
        """Generate the JSON of rows, or of all of them, that was never read."""
        if ids is not None:
            parameters = (msgspec.json.encode(list(ids)).decode(),)
            fill_bodies(connection, resource, "SELECT value FROM json_each(?)", parameters)
        elif resource.name not in self._complete:
            fill_bodies(connection, resource, f"SELECT id FROM {resource.name}")
            self._complete.add(resource.name)

    def fill_for(self, connection: sqlite3.Connection, sql: str) -> None:
        """Generate the JSON that a SELECT may read."""
        for resource in RESOURCES.values():
            if resource.bodies in sql:
                self.fill(connection, resource)

    def note_change(self) -> None:
        """Note that rows may have been added."""
        self._complete.clear()
