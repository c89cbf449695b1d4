"""Draft invoices (Billing).

Sources: https://api.doc.aiwyn.ai/bundle/billing/getdraftinvoicehistoriespaginated.md,
filterdraftinvoicehistoriesdynamic.md, getdraftinvoicebyid.md. The path of the by-id object is inferred.
"""

from __future__ import annotations

from typing import Unpack

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.models.draft_invoices import (
    DraftInvoiceDetail,
    DraftInvoiceHistory,
    DraftInvoiceHistorySearchRow,
)


class DraftInvoices(
    SearchableCollection[DraftInvoiceHistory, DraftInvoiceHistorySearchRow, DraftInvoiceDetail]
):
    """``aiwyn.draft_invoices``: histories of drafts, and draft invoices by id.

    list and search return histories, get returns the draft invoice.

    History rows have no key, so duplicates cannot be detected: the report has ``deduplicated=False``, and a
    search is paged by number.
    """

    endpoint: Endpoint = Endpoint(
        resource="draft_invoices",
        list_path="/draft_invoice_histories",
        search_path="/draft_invoice_histories/search",
        get_path="/draft_invoice",
        # The documented history row has no key of its own; one invoice may have several rows.
        key=None,
        envelope=Envelope(("draftInvoices",), ("total", "aggregate", "count")),
        undocumented=frozenset({"get"}),
    )

    def list(self, **options: Unpack[ListOptions]) -> Pager[DraftInvoiceHistory]:
        """Return all history rows, as a ``Pager``; the endpoint takes no filters.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list({}, options)
