"""Fields of a row set in its JSON and its columns alike."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.values import row_value, to_decimal
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Resource, Row, SqlValue

if TYPE_CHECKING:  # it imports this module
    from aiwyn_async.sandbox._data.database import Database


def rewrite_row(database: "Database", resource: Resource, row_id: int, values: Mapping[str, object]) -> int:
    """Set fields of a row, and return its id, which may be among them.

    Raises:
        BadRequestError: A field is unknown or its value is not valid. Nothing is written.
        KeyError: The row does not exist.
    """
    body = database.row_json(resource, row_id)
    if body is None:
        raise KeyError(f"{resource.name} has no id {row_id}")
    row = msgspec.json.decode(body, type=Row)
    columns: dict[str, SqlValue] = {}
    for key, value in values.items():
        column = resource.by_key.get(key)
        if column is not None:
            columns[column.sql] = row_value(column, value)
        elif key not in row:
            raise BadRequestError(f"{resource.name} rows have no field {key!r}")
        if key in row:
            row[key] = _encode_field(column, value)
        is_new_id = key == "id" and value != row_id
        if is_new_id and isinstance(value, int) and database.row_ids.contains(resource, value):
            raise BadRequestError(f"{resource.name} already has a row with id {value}")
    if columns:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        sql = f"UPDATE {resource.name} SET {assignments} WHERE id = ?"  # noqa: S608 - declared columns
        database.connection.execute(sql, (*columns.values(), row_id))
    new_id = cast("int", columns.get("id", row_id))
    if new_id != row_id:
        database.row_ids.remove(resource, row_id)
        database.row_ids.add(resource, new_id)
    sql = f"UPDATE {resource.bodies} SET id = ?, body = ? WHERE id = ?"  # noqa: S608 - a declared table
    database.connection.execute(sql, (new_id, msgspec.json.encode(row).decode(), row_id))
    return new_id


def _encode_field(column: Column | None, value: object) -> msgspec.Raw:
    """Encode a field; money has all its decimals, as in generated rows."""
    if column is not None and column.kind is Kind.DECIMAL and value is not None:
        return msgspec.Raw(f"{to_decimal(value, column.wire):.{column.scale}f}".encode())
    return msgspec.Raw(msgspec.json.encode(value))
