"""Staff. Source: https://api.doc.aiwyn.ai/bundle/staff/filterstaffdynamic.md, cut after ``active``.

Of the list and the by-id object nothing is shown: that they bear the search row's names is inferred.
"""

from __future__ import annotations

from aiwyn_async.models.base import Id, Model

__all__ = ["StaffMember", "StaffMemberDetail", "StaffMemberSearchRow"]


class _StaffFields(Model, frozen=True, kw_only=True, gc=False):
    id: Id
    pms_ref: str | None = None
    """Its key in the firm's practice management system."""
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    active: bool | None = None


class StaffMember(_StaffFields, frozen=True, kw_only=True, gc=False):
    """A row of ``staff.list()``."""


class StaffMemberSearchRow(_StaffFields, frozen=True, kw_only=True, gc=False):
    """A row of ``staff.search()``."""


class StaffMemberDetail(_StaffFields, frozen=True, kw_only=True, gc=False):
    """What ``staff.get()`` gives."""
