"""Payments.

https://api.doc.aiwyn.ai/bundle/payments/getpayments.md, getpaymentbyid.md (Payments).

The list's response is not documented, so its envelope is detected. No search is documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Unpack

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.arguments import extra_fields, optional_id, optional_word, wire_date
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async.models.base import Id
from aiwyn_async.models.payments import Payment, PaymentDetail, PaymentMethod


class Payments(Collection[Payment, Payment, PaymentDetail]):
    """``aiwyn.payments``."""

    endpoint: Endpoint = Endpoint(resource="payments", list_path="/payments", get_path="/payment")

    def list(
        self,
        *,
        client_id: Id | None = None,
        payment_method: PaymentMethod | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        extra: Mapping[str, object] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[Payment]:
        """Return payments, as a ``Pager``.

        Args:
            client_id: only payments of this client.
            payment_method: one of the documented values; others are sent as is.
            start_date: lower bound of a date range.
            end_date: its upper bound; that its key is ``endDate`` is inferred, the documentation is cut.
            extra: more fields of the body; the documentation is cut before the rest.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        filters = {
            "clientId": optional_id("client_id", client_id),
            "paymentMethod": optional_word("payment_method", payment_method),
            "startDate": wire_date("start_date", start_date),
            "endDate": wire_date("end_date", end_date, is_end=True),
        }
        return self._list(filters | extra_fields(extra), options)
