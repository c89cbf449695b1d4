"""Work in progress.

Source: https://api.doc.aiwyn.ai/bundle/time/getwipbyid.md (a truncated example).

List and search are not documented; the fields of their rows are inferred from the detail object.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from aiwyn_async.models.base import Id, Measure, Model

__all__ = ["WipApproval", "WipEntry", "WipEntryDetail", "WipEntrySearchRow"]


class WipApproval(Model, frozen=True, kw_only=True, gc=False):
    """An approval decision on a time entry."""

    id: Id | None = None
    approver_id: Id | None = None
    approver_name: str | None = None
    approval_date: datetime | None = None
    status: str | None = None


class _WipFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows and objects share.

    Attributes:
        duration: Hours.
    """

    id: Id
    description: str | None = None
    status: str | None = None
    # TIME, EXPENSE or FIXED_FEE in the filters, BILLABLE in the detail example: an open string.
    type: str | None = None
    staff_id: Id | None = None
    staff_name: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    project_id: Id | None = None
    project_name: str | None = None
    task_id: Id | None = None
    task_name: str | None = None
    date: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration: Measure | None = None
    billable_hours: Measure | None = None
    non_billable_hours: Measure | None = None
    hourly_rate: Measure | None = None
    billable_amount: Decimal | None = None
    currency: str | None = None
    notes: str | None = None
    approval_history: tuple[WipApproval, ...] | None = None


class WipEntry(_WipFields, frozen=True, kw_only=True, gc=False):
    """A row of ``wip.list()``."""


class WipEntrySearchRow(_WipFields, frozen=True, kw_only=True, gc=False):
    """A row of ``wip.search()``."""


class WipEntryDetail(_WipFields, frozen=True, kw_only=True, gc=False):
    """The result of ``wip.get()``."""
