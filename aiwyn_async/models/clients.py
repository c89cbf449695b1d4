"""Clients.

Source: https://api.doc.aiwyn.ai/bundle/client/getclients.md and getclientbyid.md.

A list row is documented up to ``partnerStaffId``, the detail object by an example that ends after
``financialSummary.outstandingBalance``. The fields of a search row are inferred from a list row.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import Address

__all__ = [
    "Client",
    "ClientDetail",
    "ClientEngagement",
    "ClientFinancialSummary",
    "ClientPrimaryContact",
    "ClientSearchRow",
]


class _ClientFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows of list and search share.

    Attributes:
        pms_ref: The key in the firm's practice management system.
    """

    id: Id
    pms_ref: str | None = None
    client_ref: str | None = None
    name: str | None = None
    client_key: str | None = None
    active: bool | None = None
    partner_staff_id: Id | None = None


class Client(_ClientFields, frozen=True, kw_only=True, gc=False):
    """A row of ``clients.list()``."""


class ClientSearchRow(_ClientFields, frozen=True, kw_only=True, gc=False):
    """A row of ``clients.search()``."""


class ClientPrimaryContact(Model, frozen=True, kw_only=True, gc=False):
    """The primary contact of a client."""

    id: Id | None = None
    name: str | None = None
    title: str | None = None
    email: str | None = None
    phone: str | None = None


class ClientEngagement(Model, frozen=True, kw_only=True, gc=False):
    """An engagement as part of its client."""

    id: Id | None = None
    name: str | None = None
    status: str | None = None
    type: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None


class ClientFinancialSummary(Model, frozen=True, kw_only=True, gc=False):
    """The totals of a client."""

    total_revenue: Decimal | None = None
    outstanding_balance: Decimal | None = None


class ClientDetail(Model, frozen=True, kw_only=True, gc=False):
    """The result of ``clients.get()``; it has few fields in common with a list row."""

    id: Id
    name: str | None = None
    legal_name: str | None = None
    status: str | None = None
    type: str | None = None
    industry: str | None = None
    size: str | None = None
    website: str | None = None
    tax_id: str | None = None
    phone: str | None = None
    email: str | None = None
    address: Address | None = None
    billing_address: Address | None = None
    primary_contact: ClientPrimaryContact | None = None
    engagements: tuple[ClientEngagement, ...] | None = None
    financial_summary: ClientFinancialSummary | None = None
