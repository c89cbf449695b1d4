"""The controls of a sandbox that change and read its rows."""

from collections.abc import Mapping, Sequence

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import (
    delete_row,
    find_resource,
    insert_rows,
    refresh_rows,
    update_row,
)
from aiwyn_async.sandbox._declarations.declarations import SqlValue
from aiwyn_async.sandbox._declarations.schema import RESOURCES


class DataControls:
    """The part of ``Sandbox`` that changes and reads rows; from any thread."""

    _database: Database

    def insert(
        self, resource: str, values: Mapping[str, object] | None = None, *, count: int = 1
    ) -> list[int]:
        """Generate rows, and set some of their fields.

        The ``updatedAt`` of each row is later than that of all rows before it, unless it is set. With
        ``FirmOptions.sync_minutes``, the rows of one call share one.

        Args:
            resource: The name of a resource, such as ``invoices``.
            values: Fields to set, by their names in a row. Amounts set here may contradict others.
            count: Number of rows.

        Returns:
            The new ids.

        Raises:
            ValueError: The resource or a field is unknown, or a value is not valid.
        """
        return insert_rows(self._database, find_resource(resource), count, values)

    def update(self, resource: str, row_id: int, values: Mapping[str, object]) -> None:
        """Set fields of a row; ``updatedAt`` becomes the latest unless it is among them.

        Raises:
            KeyError: The row does not exist.
            ValueError: The resource or a field is unknown, or a value is not valid.
        """
        update_row(self._database, find_resource(resource), row_id, values)

    def delete(self, resource: str, row_id: int) -> None:
        """Delete a row.

        Raises:
            KeyError: The row does not exist.
            ValueError: The resource is unknown.
        """
        delete_row(self._database, find_resource(resource), row_id)

    def refresh(self, resource: str | None = None) -> None:
        """Move the ``updatedAt`` of all rows to one instant, later than all others.

        Args:
            resource: The name of a resource; all resources by default.
        """
        for name in RESOURCES if resource is None else (resource,):
            refresh_rows(self._database, find_resource(name))

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """Return the rows of a SELECT.

        Columns are in snake_case, such as ``client_id``; money is in cents, instants in microseconds.
        """
        return self._database.query(sql, parameters)

    def scalar(self, sql: str, parameters: Sequence[SqlValue] = ()) -> SqlValue:
        """Return the first value of a SELECT, or None if it has no rows."""
        rows = self._database.query(sql, parameters)
        return rows[0][0] if rows else None
