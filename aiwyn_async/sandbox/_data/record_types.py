"""Custom record types.

Documented: the paths, the envelope and the fields of a type. Inferred: the naming convention of types, how
one is deactivated, and every code.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError, RejectedRequestError, decode_body

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
TypeName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")]
"""The name of a record type; the documentation mentions a convention without showing it."""
Rank = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class RecordTypeField(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One field of a custom record type."""

    type: Name
    name: Name | None = None
    required: bool = False
    nullable: bool = True
    referenced_entity_type: str | None = None
    rank: Rank | None = None


class NewRecordType(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A custom record type to create."""

    name: TypeName
    fields: list[RecordTypeField]
    display_name: str | None = None
    description: str | None = None


class RecordTypeChanges(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The keys of a custom record type to change."""

    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    fields: list[RecordTypeField] | None = None
    active: bool | None = None


class RecordError(Exception):
    """One record of a bulk write fails."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class DeclaredType:
    """The requirements of a custom type on its records."""

    active: bool
    fields: tuple[RecordTypeField, ...]

    def check(self, attributes: Mapping[str, object]) -> None:
        """Check the attributes of a record, or raise RecordError."""
        if not self.active:
            raise RecordError("RECORD_TYPE_INACTIVE", "the record type is deactivated")
        for declared in self.fields:
            name = declared.name or ""
            if declared.required and name not in attributes:
                raise RecordError("FIELD_REQUIRED", f"{name}: required by the record type")
            if not declared.nullable and attributes.get(name, "") is None:
                raise RecordError("FIELD_NOT_NULLABLE", f"{name}: must not be null")


def load_declared_types(connection: sqlite3.Connection) -> dict[str, DeclaredType]:
    """Return all custom types by name."""
    rows = connection.execute("SELECT name, active, fields FROM record_types").fetchall()
    return {
        name: DeclaredType(bool(active), msgspec.json.decode(fields, type=tuple[RecordTypeField, ...]))
        for name, active, fields in rows
    }


def encode_canonical(value: object) -> str:
    """Encode equal values alike, whatever the order of keys."""
    return msgspec.json.encode(value, order="deterministic").decode()


@dataclass(slots=True)
class RecordTypes:
    """Changes of the table ``record_types``."""

    database: Database

    def create(self, body: object) -> dict[str, object]:
        """Define a type, unless its name is in use."""
        new = decode_body(body, NewRecordType)
        if new.name.endswith("\n"):
            # `$` also matches before a final newline.
            raise BadRequestError("name: must consist of letters, digits and _")
        row = (
            new.name,
            new.display_name or new.name,
            new.description,
            encode_canonical(_name_all(new.fields)),
        )
        sql = "INSERT INTO record_types (name, display_name, description, fields) VALUES (?, ?, ?, ?)"
        with self.database.transaction() as connection:
            if connection.execute("SELECT 1 FROM record_types WHERE name = ?", (new.name,)).fetchone():
                raise BadRequestError(
                    f"the record type {new.name!r} already exists", code="RECORD_TYPE_EXISTS"
                )
            connection.execute(sql, row)
            return _read_type(connection, new.name)

    def update(self, name: str, body: object) -> dict[str, object]:
        """Change the keys that were sent; a null ``displayName`` resets it to the name."""
        changes = decode_body(body, RecordTypeChanges)
        columns: dict[str, str | int | None] = {}
        if changes.display_name is not msgspec.UNSET:
            columns["display_name"] = changes.display_name or name
        if changes.description is not msgspec.UNSET:
            columns["description"] = changes.description
        if changes.fields is not None:
            columns["fields"] = encode_canonical(_name_all(changes.fields))
        if changes.active is not None:
            columns["active"] = int(changes.active)
        return self._change(name, columns)

    def deactivate(self, name: str) -> dict[str, object]:
        """Make writes of the type's records fail; existing records are unaffected."""
        return self._change(name, {"active": 0})

    def _change(self, name: str, columns: Mapping[str, str | int | None]) -> dict[str, object]:
        with self.database.transaction() as connection:
            for column, value in columns.items():
                sql = f"UPDATE record_types SET {column} = ? WHERE name = ?"  # noqa: S608 - named just above
                connection.execute(sql, (value, name))
            return _read_type(connection, name)


def _name_all(fields: Sequence[RecordTypeField]) -> list[RecordTypeField]:
    """Name the fields without a name: the documented request for a new type has none."""
    for number, item in enumerate(fields, 1):
        item.name = item.name or f"field{number}"
    return list(fields)


def _read_type(connection: sqlite3.Connection, name: str) -> dict[str, object]:
    sql = "SELECT id, display_name, description, active, fields FROM record_types WHERE name = ?"
    row = connection.execute(sql, (name,)).fetchone()
    if row is None:
        raise RejectedRequestError(
            404, f"the custom record type {name[:64]!r} does not exist", "RECORD_TYPE_NOT_FOUND"
        )
    return {
        "id": row[0],
        "name": name,
        "displayName": row[1],
        "description": row[2],
        "isCustom": True,
        "active": bool(row[3]),
        "fields": msgspec.Raw(row[4].encode()),
        "recordsUrl": "/api/v1/records",
        "schemaUrl": f"/api/v1/records/custom/{name}",
    }
