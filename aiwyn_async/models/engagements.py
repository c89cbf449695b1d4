"""Engagements.

Source: https://api.doc.aiwyn.ai/bundle/engagement/searchengagementsdynamic.md and getengagementbyid.md.

A search row is snake_case (the documentation ends after ``partner_staff_id``), the detail object camelCase.
The list is not documented; the fields of its rows are inferred from the detail object.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import TeamMember

__all__ = ["Engagement", "EngagementDetail", "EngagementProject", "EngagementSearchRow"]


class EngagementSearchRow(Model, frozen=True, kw_only=True, gc=False):
    """A row of ``engagements.search()``."""

    id: Id
    name: str | None = None
    start_dt: date | None = msgspec.field(name="start_dt", default=None)
    end_dt: date | None = msgspec.field(name="end_dt", default=None)
    status: str | None = None
    client_id: Id | None = msgspec.field(name="client_id", default=None)
    partner_staff_id: Id | None = msgspec.field(name="partner_staff_id", default=None)


class EngagementProject(Model, frozen=True, kw_only=True, gc=False):
    """A project as part of its engagement."""

    id: Id | None = None
    name: str | None = None
    status: str | None = None
    budget: Decimal | None = None


class _EngagementFields(Model, frozen=True, kw_only=True, gc=False):
    id: Id
    name: str | None = None
    description: str | None = None
    status: str | None = None
    type: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    client_email: str | None = None
    client_phone: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    estimated_value: Decimal | None = None
    currency: str | None = None
    projects: tuple[EngagementProject, ...] | None = None
    team_members: tuple[TeamMember, ...] | None = None


class Engagement(_EngagementFields, frozen=True, kw_only=True, gc=False):
    """A row of ``engagements.list()``."""


class EngagementDetail(_EngagementFields, frozen=True, kw_only=True, gc=False):
    """The result of ``engagements.get()``."""
