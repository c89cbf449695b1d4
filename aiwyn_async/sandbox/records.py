"""Records and the types of them: bulk writes that succeed in part, as the documents tell.

Documented: the paths, the envelope, at most 100 records, that good ones are kept when others fail, the
status `FAILED`, the code `RECORD_NOT_FOUND`, and the fields of a type. Inferred: what a summary holds
beyond `failed`, the shape of an item, the statuses `CREATED` and `UPDATED`, every other code, that
attributes are merged, that a record without `systemRef` is created anew each time, the naming convention of
types, and how one is deactivated.
"""

import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec

from .books import Books, Change
from .envelope import Refusal, read
from .values import BadRequestError

__all__ = [
    "MAX_RECORDS",
    "NewRecordType",
    "RecordFailure",
    "RecordInput",
    "RecordTypeChanges",
    "RecordTypeField",
    "RecordTypes",
    "Records",
    "RecordsRequest",
]

MAX_RECORDS = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
TypeName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")]
"""What a type may be called: our choice, the documents speak of a convention and do not tell it."""
Rank = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class RecordInput(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One record as it is written."""

    type: Name
    system_ref: Any = None
    attributes: dict[str, Any] = {}


class RecordsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A bulk write."""

    records: Annotated[list[RecordInput], msgspec.Meta(max_length=MAX_RECORDS)]


class RecordTypeField(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One field of a custom record type."""

    type: Name
    name: Name | None = None
    required: bool = False
    nullable: bool = True
    referenced_entity_type: str | None = None
    rank: Rank | None = None


class NewRecordType(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A custom record type to be."""

    name: TypeName
    fields: list[RecordTypeField]
    display_name: str | None = None
    description: str | None = None


class RecordTypeChanges(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The keys of a custom record type that are to change."""

    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    fields: list[RecordTypeField] | None = None
    active: bool | None = None


@dataclass(slots=True, eq=False)
class RecordFailure:
    """A rule by which records fail. `hits` says how often it has.

    Args:
        when: Asked with a record as it was sent; it fails when this says so.
        every: Or each n-th record fails, counted over all requests.
        times: Stop after so many.
        code: The code of the item's error.
        message: Its message.
    """

    when: Callable[[Mapping[str, object]], bool] | None = None
    every: int | None = None
    times: int | None = None
    code: str = "VALIDATION_FAILED"
    message: str = "planned failure"
    seen: int = 0
    hits: int = 0

    def is_due(self, record: Mapping[str, object]) -> bool:
        """Count a record, and say whether it is to fail."""
        if self.when is not None and not self.when(record):
            return False
        self.seen += 1
        if self.times is not None and self.hits >= self.times:
            return False
        due = self.every is None or self.seen % self.every == 0
        self.hits += due
        return due


class _ItemError(Exception):
    """One record fails; the others do not mind."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Records:
    """Upserts and updates.

    Args:
        books: Where they are kept, in the table `records`.
        failures: The rules by which records fail.
    """

    books: Books
    failures: list[RecordFailure] = field(default_factory=list[RecordFailure])

    def write(self, body: object, *, create: bool) -> tuple[dict[str, object], str]:
        """Apply a bulk write.

        Args:
            body: The decoded request.
            create: Whether a record that is not there is created, or fails.

        Returns:
            The envelope's data and message.

        Raises:
            BadRequestError: The body is no list of at most 100 records. Nothing was applied.
        """
        bulk = read(body, RecordsRequest)
        items: list[dict[str, object]] = []
        changes: list[Change] = []
        with self.books.writing() as connection:
            types = _declared(connection)
            for record in bulk.records:
                item: dict[str, object] = {"type": record.type, "systemRef": record.system_ref}
                try:
                    change = self._apply(connection, record, types.get(record.type), create=create)
                except _ItemError as error:
                    item |= {"status": "FAILED", "error": {"code": error.code, "message": str(error)}}
                else:
                    item |= {"status": f"{change.operation}D", "id": change.entity_id}
                    changes.append(change)
                items.append(item)
        self.books.tell(changes)
        return _answer(items)

    def _apply(
        self,
        connection: sqlite3.Connection,
        record: RecordInput,
        declared: "_Declared | None",
        *,
        create: bool,
    ) -> Change:
        sent = cast("dict[str, object]", msgspec.to_builtins(record))
        # All rules count every record, so that one does not hide a record from another.
        due = [rule for rule in self.failures if rule.is_due(sent)]
        if due:
            raise _ItemError(due[0].code, due[0].message)
        if record.system_ref is None and not create:
            raise _ItemError("SYSTEM_REF_REQUIRED", "systemRef: an update needs it to find the record")
        ref = None if record.system_ref is None else _text(record.system_ref)
        found = connection.execute(
            "SELECT id, attributes FROM records WHERE type = ? AND system_ref = ?", (record.type, ref)
        ).fetchone()
        if found is None and not create:
            raise _ItemError("RECORD_NOT_FOUND", f"no {record.type} has this systemRef")
        attributes = record.attributes if found is None else {**_decoded(found[1]), **record.attributes}
        if declared is not None:
            declared.check(attributes)
        if found is None:
            sql = "INSERT INTO records (type, system_ref, attributes) VALUES (?, ?, ?) RETURNING id"
            row_id = connection.execute(sql, (record.type, ref, _text(attributes))).fetchone()[0]
        else:
            row_id = found[0]
            sql = "UPDATE records SET attributes = ?, times_applied = times_applied + 1 WHERE id = ?"
            connection.execute(sql, (_text(attributes), row_id))
        data = {"id": row_id, "type": record.type, "systemRef": record.system_ref, "attributes": attributes}
        return Change(record.type, "CREATE" if found is None else "UPDATE", row_id, msgspec.json.encode(data))


def _answer(items: Sequence[dict[str, object]]) -> tuple[dict[str, object], str]:
    def count(status: str) -> int:
        return sum(item["status"] == status for item in items)

    created, updated, failed = count("CREATED"), count("UPDATED"), count("FAILED")
    summary = {"total": len(items), "created": created, "updated": updated, "failed": failed}
    return {"summary": summary, "records": items}, f"{len(items) - failed} of {len(items)} records written"


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a custom type asks of its records."""

    active: bool
    fields: tuple[RecordTypeField, ...]

    def check(self, attributes: Mapping[str, object]) -> None:
        if not self.active:
            raise _ItemError("RECORD_TYPE_INACTIVE", "the record type was deactivated")
        for declared in self.fields:
            name = declared.name or ""
            if declared.required and name not in attributes:
                raise _ItemError("FIELD_REQUIRED", f"{name}: required by the record type")
            if not declared.nullable and attributes.get(name, "") is None:
                raise _ItemError("FIELD_NOT_NULLABLE", f"{name}: may not be null")


def _declared(connection: sqlite3.Connection) -> dict[str, _Declared]:
    rows = connection.execute("SELECT name, active, fields FROM record_types").fetchall()
    return {
        name: _Declared(bool(active), msgspec.json.decode(fields, type=tuple[RecordTypeField, ...]))
        for name, active, fields in rows
    }


def _text(value: object) -> str:
    """One text for one value, whatever the order of keys: what `systemRef` is matched by."""
    return msgspec.json.encode(value, order="deterministic").decode()


def _decoded(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


@dataclass(slots=True)
class RecordTypes:
    """Custom record types, kept in the table `record_types`."""

    books: Books

    def create(self, body: object) -> dict[str, object]:
        """Define a type.

        Raises:
            BadRequestError: A field is unknown, missing or misshapen.
            Refusal: The name is taken.
        """
        new = read(body, NewRecordType)
        if new.name.endswith("\n"):
            # Python's `$` lets one pass.
            raise BadRequestError("name: a record type's name holds letters, digits and _ only")
        row = (new.name, new.display_name or new.name, new.description, _text(_named(new.fields)))
        sql = "INSERT INTO record_types (name, display_name, description, fields) VALUES (?, ?, ?, ?)"
        with self.books.writing() as connection:
            if connection.execute("SELECT 1 FROM record_types WHERE name = ?", (new.name,)).fetchone():
                raise Refusal(400, "RECORD_TYPE_EXISTS", f"there is a record type {new.name!r} already")
            connection.execute(sql, row)
            return _shown(connection, new.name)

    def update(self, name: str, body: object) -> dict[str, object]:
        """Change the keys that were sent. A null `displayName` stands for the name.

        Raises:
            BadRequestError: A field is unknown or misshapen.
            Refusal: There is no such type.
        """
        changes = read(body, RecordTypeChanges)
        columns: dict[str, str | int | None] = {}
        if changes.display_name is not msgspec.UNSET:
            columns["display_name"] = changes.display_name or name
        if changes.description is not msgspec.UNSET:
            columns["description"] = changes.description
        if changes.fields is not None:
            columns["fields"] = _text(_named(changes.fields))
        if changes.active is not None:
            columns["active"] = int(changes.active)
        return self._change(name, columns)

    def deactivate(self, name: str) -> dict[str, object]:
        """Make records of a type fail from now on; those there are stay.

        Raises:
            Refusal: There is no such type.
        """
        return self._change(name, {"active": 0})

    def _change(self, name: str, columns: Mapping[str, str | int | None]) -> dict[str, object]:
        with self.books.writing() as connection:
            for column, value in columns.items():
                sql = f"UPDATE record_types SET {column} = ? WHERE name = ?"  # noqa: S608 - named just above
                connection.execute(sql, (value, name))
            return _shown(connection, name)


def _named(fields: Sequence[RecordTypeField]) -> list[RecordTypeField]:
    """Fields with names: the documents' listing of a new type has none, that of an update has."""
    for place, item in zip(itertools.count(1), fields, strict=False):
        item.name = item.name or f"field{place}"
    return list(fields)


def _shown(connection: sqlite3.Connection, name: str) -> dict[str, object]:
    sql = "SELECT id, display_name, description, active, fields FROM record_types WHERE name = ?"
    row = connection.execute(sql, (name,)).fetchone()
    if row is None:
        raise Refusal(404, "RECORD_TYPE_NOT_FOUND", f"there is no custom record type {name[:64]!r}")
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
