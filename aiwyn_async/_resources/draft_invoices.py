"""Draft invoices (tag Billing).

Sources: https://api.doc.aiwyn.ai/bundle/billing/getdraftinvoicehistoriespaginated.md,
filterdraftinvoicehistoriesdynamic.md, getdraftinvoicebyid.md. The path of the by-id object is inferred.
"""

from __future__ import annotations

from typing import Final, Unpack

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.collection import SearchableCollection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async.models.draft_invoices import (
    DraftInvoiceDetail,
    DraftInvoiceHistory,
    DraftInvoiceHistorySearchRow,
)

__all__ = ["DraftInvoices"]

ENVELOPE: Final = Envelope(("draftInvoices",), ("total", "aggregate", "count"))
ENDPOINT: Final = Endpoint(
    resource="draft_invoices",
    list_path="/draft_invoice_histories",
    search_path="/draft_invoice_histories/search",
    get_path="/draft_invoice",
    # A history row is shown whole and without a key of its own; one invoice may have several.
    key=None,
    list_envelope=ENVELOPE,
    search_envelope=ENVELOPE,
    undocumented=frozenset({"get"}),
)


class DraftInvoices(
    SearchableCollection[DraftInvoiceHistory, DraftInvoiceHistorySearchRow, DraftInvoiceDetail]
):
    """``aiwyn.draft_invoices``: list and search give their history, get the draft invoice itself.

    History rows have no key, so a walk cannot tell rows given twice: its report says ``deduplicated`` False,
    and a search goes by page number.
    """

    endpoint = ENDPOINT
    row_type = DraftInvoiceHistory
    hit_type = DraftInvoiceHistorySearchRow
    detail_type = DraftInvoiceDetail

    def list(self, **options: Unpack[ListOptions]) -> Pager[DraftInvoiceHistory]:
        """Every history row; the endpoint takes no filters. A ``Pager`` of ``DraftInvoiceHistory`` rows.

        Args:
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        return self._list({}, options)
