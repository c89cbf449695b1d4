"""Staff.

Source: https://api.doc.aiwyn.ai/bundle/staff/filterstaffdynamic.md, which ends after ``active``.

List and detail are not documented; their fields are inferred from the search row.
"""

from __future__ import annotations

from aiwyn_async.models.base import Id, Model

__all__ = ["StaffMember", "StaffMemberDetail", "StaffMemberSearchRow"]


class _StaffFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows and objects share.

    Attributes:
        pms_ref: The key in the firm's practice management system.
    """

    id: Id
    pms_ref: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    active: bool | None = None


class StaffMember(_StaffFields, frozen=True, kw_only=True, gc=False):
    """A row of ``staff.list()``."""


class StaffMemberSearchRow(_StaffFields, frozen=True, kw_only=True, gc=False):
    """A row of ``staff.search()``."""


class StaffMemberDetail(_StaffFields, frozen=True, kw_only=True, gc=False):
    """The result of ``staff.get()``."""
