"""Invoices.

https://api.doc.aiwyn.ai/bundle/invoices/getinvoices.md, getinvoicebyid.md (Invoices).
"""

from __future__ import annotations

from datetime import date
from typing import Literal, Unpack

from aiwyn_async._core.checks import check_word
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.arguments import optional_id, optional_word, wire_date
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.models.base import Id
from aiwyn_async.models.invoices import Invoice, InvoiceDetail, InvoiceSearchRow, InvoiceStatus


class Invoices(SearchableCollection[Invoice, InvoiceSearchRow, InvoiceDetail]):
    """``aiwyn.invoices``."""

    endpoint: Endpoint = Endpoint(
        resource="invoices",
        list_path="/invoices",
        search_path="/invoices/search",
        get_path="/invoice",
        # That the key inside "aggregate" is "count" is inferred from draft-invoice histories.
        # The search's response is not documented; that it is like the list's is inferred.
        envelope=Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count")),
        # The by-id object has it. That every change updates it, and a search can order by it, is inferred.
        modified_at_field="updatedAt",
    )

    def list(
        self,
        *,
        client_id: Id | None = None,
        status: InvoiceStatus | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[Invoice]:
        """Return invoices, as a ``Pager``. Nothing is sent before the first await.

        Args:
            client_id: only invoices of this client.
            status: documented are PENDING, POSTED, PAID, OVERDUE, CANCELLED, DRAFT; others are sent as is.
            start_date: lower bound of the creation or transaction date; a naive datetime is sent naive, as in
                the documentation's example.
            end_date: its upper bound.
            sort_order: by that date; the server's default is "desc".
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        if sort_order is not None:
            check_word("sort_order", sort_order, ("asc", "desc"))
        filters = {
            "clientId": optional_id("client_id", client_id),
            "status": optional_word("status", status),
            "startDate": wire_date("start_date", start_date),
            "endDate": wire_date("end_date", end_date, is_end=True),
            "sortOrder": sort_order,
        }
        return self._list(filters, options)
