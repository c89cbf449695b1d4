"""Records and custom record types.

Source: https://api.doc.aiwyn.ai/bundle/records/createorupdaterecords.md, updaterecords.md,
createcustomrecordtype.md, updatecustomrecordtype.md. The documented fields of a record's result are
``status`` (FAILED) and ``error`` (code RECORD_NOT_FOUND); the statuses CREATED and UPDATED are inferred.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aiwyn_async._html import changed_fields, fields_html
from aiwyn_async.models.base import Id, Model

__all__ = ["Record", "RecordOutcome", "RecordType", "RecordTypeField", "WriteReport"]


class Record(Model, frozen=True, kw_only=True):
    """A record to write, matched by ``system_ref``, which is any JSON value."""

    type: str
    system_ref: Any = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class RecordOutcome(Model, frozen=True, kw_only=True):
    """The outcome of writing one record.

    Attributes:
        index: index of the record in the input, from 0.
        status: "created", "updated" or another status of the server; "failed"; or "ambiguous" if the record
            may have been written: check before you send it again.
        id: the id on the server, if it returned one.
        code, message: why the record failed or is ambiguous.
    """

    index: int
    status: Literal["created", "updated", "failed", "ambiguous"] | str
    id: Id | None = None
    code: str | None = None
    message: str | None = None

    @property
    def ok(self) -> bool:
        """True if the server confirmed the write."""
        return self.status not in {"failed", "ambiguous"}


class WriteReport(msgspec.Struct, kw_only=True):
    """Counts of a write's outcomes, and those that are not ok, in input order."""

    total: int = 0
    created: int = 0
    updated: int = 0
    failed: int = 0
    ambiguous: int = 0
    batches: int = 0
    problems: list[RecordOutcome] = msgspec.field(default_factory=list[RecordOutcome])

    @property
    def ok(self) -> bool:
        """True if every record was written."""
        return not self.problems

    def add(self, outcome: RecordOutcome) -> None:
        """Count one outcome."""
        self.total += 1
        if outcome.status in {"created", "updated", "failed", "ambiguous"}:
            setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        if not outcome.ok:
            self.problems.append(outcome)

    def _repr_html_(self) -> str:
        problems = [
            f"record {each.index}: {each.status} {each.code or ''} {each.message or ''}"
            for each in self.problems
        ]
        fields = changed_fields(self) | {"problems": problems}
        fields.pop("outcomes", None)
        return fields_html(f"{type(self).__name__}: {self}", fields)

    def __str__(self) -> str:
        return (
            f"{self.total} records: {self.created} created, {self.updated} updated, "
            f"{self.failed} failed, {self.ambiguous} ambiguous"
        )


class RecordTypeField(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a custom record type. The allowed values of ``type`` are not documented."""

    name: str | None = None
    type: str | None = None
    required: bool | None = None
    nullable: bool | None = None
    referenced_entity_type: str | None = None
    rank: int | None = None


class RecordType(Model, frozen=True, kw_only=True):
    """A custom record type as the server returns it."""

    id: Id | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    is_custom: bool | None = None
    active: bool | None = None
    fields: tuple[RecordTypeField, ...] | None = None
    records_url: str | None = None
    schema_url: str | None = None
