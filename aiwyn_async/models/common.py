"""Objects that several resources share."""

from __future__ import annotations

from decimal import Decimal

from aiwyn_async.models.base import Id, Measure, Model

__all__ = ["Address", "LineItem", "TeamMember"]


class Address(Model, frozen=True, kw_only=True, gc=False):
    """A postal address."""

    street: str | None = None
    city: str | None = None
    state: str | None = None
    zip_code: str | None = None
    country: str | None = None


class LineItem(Model, frozen=True, kw_only=True, gc=False):
    """One line of a bill. Money is exact and in the bill's currency; ``tax_rate`` is a fraction."""

    id: Id | None = None
    description: str | None = None
    quantity: Measure | None = None
    unit_price: Measure | None = None
    amount: Decimal | None = None
    tax_rate: Measure | None = None


class TeamMember(Model, frozen=True, kw_only=True, gc=False):
    """A staff member's part in a project or engagement; ``allocation`` is a fraction of their time."""

    staff_id: Id | None = None
    name: str | None = None
    role: str | None = None
    allocation: Measure | None = None
