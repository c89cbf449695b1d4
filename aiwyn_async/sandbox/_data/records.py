"""Bulk writes of records, in which some records may fail.

Documented: the paths, the envelope, the limit of 100 records, that valid records are written when others
fail, the status ``FAILED`` and the code ``RECORD_NOT_FOUND``. Inferred: the summary beyond ``failed``, the
form of an item, the statuses ``CREATED`` and ``UPDATED``, every other code, that attributes are merged, and
that a record without ``systemRef`` is created each time.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec

from aiwyn_async.sandbox._data.changes import Change, Operation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import decode_body
from aiwyn_async.sandbox._data.record_types import (
    DeclaredType,
    Name,
    RecordError,
    encode_canonical,
    load_declared_types,
)

MAX_RECORDS = 100
_SUMMARIZED = ("created", "updated", "failed")


class RecordInput(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A record to write."""

    type: Name
    system_ref: Any = None
    attributes: dict[str, Any] = {}


class RecordsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A bulk write."""

    records: Annotated[list[RecordInput], msgspec.Meta(max_length=MAX_RECORDS)]


@dataclass(slots=True, eq=False)
class RecordFailure:
    """A rule that makes records fail; ``hits`` counts them.

    Args:
        when: Called with a record as sent, ``{"type", "systemRef", "attributes"}``; the rule applies if it
            returns true.
        every: Fail each n-th of these records, counted over all requests.
        times: Maximum number of failures.
        code: The code in the error of the item.
        message: The message in the error of the item.
    """

    when: Callable[[Mapping[str, object]], bool] | None = None
    every: int | None = None
    times: int | None = None
    code: str = "VALIDATION_FAILED"
    message: str = "planned failure"
    seen: int = 0
    hits: int = 0

    def is_due(self, record: Mapping[str, object]) -> bool:
        """Count a record, and return whether it fails."""
        if self.when is not None and not self.when(record):
            return False
        self.seen += 1
        if self.times is not None and self.hits >= self.times:
            return False
        due = self.every is None or self.seen % self.every == 0
        self.hits += due
        return due


@dataclass(slots=True)
class Records:
    """Upserts and updates of the table ``records``; ``failures`` make records fail."""

    database: Database
    failures: list[RecordFailure] = field(default_factory=list[RecordFailure])

    def write(self, body: object, *, create: bool) -> tuple[dict[str, object], str]:
        """Apply a bulk write, and return the data and the message of its envelope.

        Without ``create``, records that do not exist fail. Nothing is written of a body that is not valid.
        """
        bulk = decode_body(body, RecordsRequest)
        items: list[dict[str, object]] = []
        changes: list[Change] = []
        with self.database.transaction() as connection:
            types = load_declared_types(connection)
            for record in bulk.records:
                item: dict[str, object] = {"type": record.type, "systemRef": record.system_ref}
                try:
                    change = self._apply(connection, record, types.get(record.type), create=create)
                except RecordError as error:
                    item |= {"status": "FAILED", "error": {"code": error.code, "message": str(error)}}
                else:
                    item |= {"status": f"{change.operation}D", "id": change.entity_id}
                    changes.append(change)
                items.append(item)
        self.database.on_change(changes)
        counts = Counter(item["status"] for item in items)
        summary = {"total": len(items), **{name: counts[name.upper()] for name in _SUMMARIZED}}
        return {"summary": summary, "records": items}, f"{len(changes)} of {len(items)} records written"

    def _apply(
        self,
        connection: sqlite3.Connection,
        record: RecordInput,
        declared: DeclaredType | None,
        *,
        create: bool,
    ) -> Change:
        sent = cast("dict[str, object]", msgspec.to_builtins(record))
        # Every rule counts every record, whether or not another rule applies.
        due = [rule for rule in self.failures if rule.is_due(sent)]
        if due:
            raise RecordError(due[0].code, due[0].message)
        if record.system_ref is None and not create:
            raise RecordError("SYSTEM_REF_REQUIRED", "systemRef: required to find the record to update")
        ref = None if record.system_ref is None else encode_canonical(record.system_ref)
        row = connection.execute(
            "SELECT id, attributes FROM records WHERE type = ? AND system_ref = ?", (record.type, ref)
        ).fetchone()
        if row is None and not create:
            raise RecordError("RECORD_NOT_FOUND", f"{record.type} has no record with this systemRef")
        stored = {} if row is None else msgspec.json.decode(row[1], type=dict[str, Any])
        attributes = {**stored, **record.attributes}
        if declared is not None:
            declared.check(attributes)
        operation: Operation
        if row is None:
            sql = "INSERT INTO records (type, system_ref, attributes) VALUES (?, ?, ?) RETURNING id"
            row = connection.execute(sql, (record.type, ref, encode_canonical(attributes))).fetchone()
            operation = "CREATE"
        else:
            sql = "UPDATE records SET attributes = ?, times_applied = times_applied + 1 WHERE id = ?"
            connection.execute(sql, (encode_canonical(attributes), row[0]))
            operation = "UPDATE"
        data = {"id": row[0], "type": record.type, "systemRef": record.system_ref, "attributes": attributes}
        return Change(record.type, operation, row[0], msgspec.json.encode(data))
