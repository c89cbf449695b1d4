"""Invoices: https://api.doc.aiwyn.ai/bundle/invoices/getinvoices.md, getinvoicebyid.md (tag Invoices)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import Envelope, OnBadRow
from aiwyn_async.models.invoices import Invoice, InvoiceDetail, InvoiceSearchRow, InvoiceStatus
from aiwyn_async.pagination.page import Checkpoint
from aiwyn_async.pagination.pager import MAX_PAGE_SIZE, Pager
from aiwyn_async.resources.collection import Collection, Endpoints, wire_datetime
from aiwyn_async.session.session import Session

__all__ = ["Invoices"]

# The count's key is not shown inside "aggregate": that it is "count" is inferred from draft-invoice histories.
# The search's answer is not documented: that it is like the list's is inferred.
ENVELOPE: Final = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))
ENDPOINTS: Final = Endpoints(
    list_path="/invoices",
    search_path="/invoices/search",
    get_path="/invoice",
    list_envelope=ENVELOPE,
    search_envelope=ENVELOPE,
)


class Invoices(Collection[Invoice, InvoiceSearchRow, InvoiceDetail]):
    """``aiwyn.invoices``."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, ENDPOINTS, Invoice, InvoiceSearchRow, InvoiceDetail)

    def list(
        self,
        *,
        client_id: Id | None = None,
        status: InvoiceStatus | None = None,
        start_date: datetime | str | None = None,
        end_date: datetime | str | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        page_size: int = MAX_PAGE_SIZE,
        limit: int | None = None,
        strict: bool = False,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
    ) -> Pager[Invoice]:
        """Invoices page by page, as a ``Pager`` of ``Invoice`` rows. Nothing is sent before the first await.

        Args:
            client_id: of one client.
            status: documented are PENDING, POSTED, PAID, OVERDUE, CANCELLED and DRAFT; others are sent as given.
            start_date, end_date: bounds of the creation or transaction date; a naive datetime is sent naive,
                as in the documentation's example.
            sort_order: by that date; the server's default is "desc".
            page_size: rows a page, 1 to 1000.
            limit: rows in all.
            strict: raise ``IncompleteError`` unless the walk is complete.
            on_bad_row: "raise", "skip" or "collect".
            resume: the checkpoint of an earlier walk with the same filters.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        if sort_order not in {None, "asc", "desc"}:
            raise ConfigurationError("sort_order must be 'asc' or 'desc'")
        filters = {
            "clientId": client_id,
            "status": status,
            "startDate": wire_datetime("start_date", start_date),
            "endDate": wire_datetime("end_date", end_date),
            "sortOrder": sort_order,
        }
        return self._list(
            filters,
            page_size=page_size,
            limit=limit,
            strict=strict,
            on_bad_row=on_bad_row,
            resume=resume,
        )
