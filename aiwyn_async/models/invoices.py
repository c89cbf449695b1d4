"""Invoices.

Source: https://api.doc.aiwyn.ai/bundle/invoices/getinvoices.md and getinvoicebyid.md.

Only the fields of the detail object are documented. Those of list and search rows are inferred from it; all
are optional, so that rows of a tenant with other fields decode too.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import LineItem

__all__ = [
    "Invoice",
    "InvoiceDetail",
    "InvoiceDetailStatus",
    "InvoiceLineItem",
    "InvoicePayment",
    "InvoiceSearchRow",
    "InvoiceStatus",
    "PaymentStatus",
]

# Open enums: the documented sets of values differ, so any other string is accepted unchanged.
InvoiceStatus = Literal["PENDING", "POSTED", "PAID", "OVERDUE", "CANCELLED", "DRAFT"] | str
InvoiceDetailStatus = Literal["DRAFT", "SENT", "VIEWED", "PAID", "OVERDUE", "CANCELLED"] | str
PaymentStatus = Literal["UNPAID", "PARTIALLY_PAID", "PAID", "OVERDUE"] | str


class InvoiceLineItem(LineItem, frozen=True, kw_only=True, gc=False):
    """One line of an invoice."""


class InvoicePayment(Model, frozen=True, kw_only=True, gc=False):
    """One payment on an invoice."""

    id: Id | None = None
    amount: Decimal | None = None
    payment_date: datetime | None = None
    payment_method: str | None = None
    status: str | None = None


class _InvoiceFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows and objects share.

    Attributes:
        status: One of the documented values, which differ between rows and objects, or any other string.
    """

    # In the order of the wire, which msgspec decodes fastest.
    id: Id
    invoice_number: str | None = None
    reference: str | None = None
    description: str | None = None
    status: str | None = None
    payment_status: PaymentStatus | None = None
    client_id: Id | None = None
    client_name: str | None = None
    client_email: str | None = None
    project_id: Id | None = None
    project_name: str | None = None
    issue_date: datetime | None = None
    due_date: datetime | None = None
    subtotal: Decimal | None = None
    tax_amount: Decimal | None = None
    total_amount: Decimal | None = None
    currency: str | None = None
    paid_amount: Decimal | None = None
    outstanding_amount: Decimal | None = None
    line_items: tuple[InvoiceLineItem, ...] | None = None
    payments: tuple[InvoicePayment, ...] | None = None
    notes: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Invoice(_InvoiceFields, frozen=True, kw_only=True, gc=False):
    """A row of ``invoices.list()``. Datetimes are zoned or naive, as on the wire."""

    status: InvoiceStatus | None = None


class InvoiceSearchRow(_InvoiceFields, frozen=True, kw_only=True, gc=False):
    """A row of ``invoices.search()``, which is not documented."""

    status: InvoiceStatus | None = None


class InvoiceDetail(_InvoiceFields, frozen=True, kw_only=True, gc=False):
    """The result of ``invoices.get()``: one invoice with its line items and payments."""

    status: InvoiceDetailStatus | None = None
