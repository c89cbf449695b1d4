"""Projects.

Source: https://api.doc.aiwyn.ai/bundle/projects/getprojectbyid.md (a truncated example).

The list is not documented; the fields of its rows are inferred from the detail object.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import TeamMember

__all__ = ["Project", "ProjectDetail", "ProjectMilestone"]


class ProjectMilestone(Model, frozen=True, kw_only=True, gc=False):
    """A milestone of a project."""

    id: Id | None = None
    name: str | None = None
    due_date: datetime | None = None
    status: str | None = None


class _ProjectFields(Model, frozen=True, kw_only=True, gc=False):
    id: Id
    name: str | None = None
    description: str | None = None
    status: str | None = None
    phase: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    engagement_id: Id | None = None
    engagement_name: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    budget: Decimal | None = None
    currency: str | None = None
    actual_cost: Decimal | None = None
    team_members: tuple[TeamMember, ...] | None = None
    milestones: tuple[ProjectMilestone, ...] | None = None


class Project(_ProjectFields, frozen=True, kw_only=True, gc=False):
    """A row of ``projects.list()``."""


class ProjectDetail(_ProjectFields, frozen=True, kw_only=True, gc=False):
    """The result of ``projects.get()``."""
