"""Draft invoices.

Source: https://api.doc.aiwyn.ai/bundle/billing/getdraftinvoicehistoriespaginated.md.

List and search return rows of the *history* of draft invoices, whose documentation is complete and shows no
key. The detail object differs (getdraftinvoicebyid.md, an example that ends in ``reviewHistory``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import LineItem

__all__ = [
    "DraftInvoiceClient",
    "DraftInvoiceDetail",
    "DraftInvoiceHistory",
    "DraftInvoiceHistorySearchRow",
    "DraftInvoiceLineItem",
    "DraftInvoiceReview",
    "DraftInvoiceSummary",
]


class DraftInvoiceClient(Model, frozen=True, kw_only=True, gc=False):
    """The client of a history row."""

    active: bool | None = None
    client_ref: str | None = None
    name: str | None = None
    pms_ref: str | None = None


class DraftInvoiceSummary(Model, frozen=True, kw_only=True, gc=False):
    """The draft invoice of a history row."""

    approved_at: datetime | None = None
    ar_tran_id: Id | None = None
    approver_staff_id: Id | None = None
    approved_by_staff_id: Id | None = None
    invoice_id: Id | None = None
    is_active: bool | None = None
    # The only snake_case key among camelCase keys in the documentation.
    pms_invoice_number: str | None = msgspec.field(name="pms_invoice_number", default=None)
    status: str | None = None


class _HistoryFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows of list and search share.

    Attributes:
        job_id: Probably the project's id (inferred from projects, which are a view of jobs).
    """

    client_id: Id | None = None
    invoice_id: Id | None = None
    job_id: Id | None = None
    client: DraftInvoiceClient | None = None
    draft_invoice: DraftInvoiceSummary | None = None


class DraftInvoiceHistory(_HistoryFields, frozen=True, kw_only=True, gc=False):
    """A row of ``draft_invoices.list()``."""


class DraftInvoiceHistorySearchRow(_HistoryFields, frozen=True, kw_only=True, gc=False):
    """A row of ``draft_invoices.search()``."""


class DraftInvoiceLineItem(LineItem, frozen=True, kw_only=True, gc=False):
    """One line of a draft invoice."""

    notes: str | None = None


class DraftInvoiceReview(Model, frozen=True, kw_only=True, gc=False):
    """One review of a draft invoice; the documentation ends after ``reviewDate``."""

    id: Id | None = None
    reviewer_id: Id | None = None
    reviewer_name: str | None = None
    review_date: datetime | None = None


class DraftInvoiceDetail(Model, frozen=True, kw_only=True, gc=False):
    """The result of ``draft_invoices.get()``."""

    id: Id
    draft_number: str | None = None
    reference: str | None = None
    status: str | None = None
    review_status: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    client_email: str | None = None
    project_id: Id | None = None
    project_name: str | None = None
    prepared_date: datetime | None = None
    proposed_issue_date: datetime | None = None
    proposed_due_date: datetime | None = None
    subtotal: Decimal | None = None
    tax_amount: Decimal | None = None
    total_amount: Decimal | None = None
    currency: str | None = None
    line_items: tuple[DraftInvoiceLineItem, ...] | None = None
    review_history: tuple[DraftInvoiceReview, ...] | None = None
