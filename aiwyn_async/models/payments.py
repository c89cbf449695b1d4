"""Payments.

Source: https://api.doc.aiwyn.ai/bundle/payments/getpaymentbyid.md (a complete example).

The list is not documented; the fields of its rows are inferred from the detail object.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from aiwyn_async.models.base import Id, Model

__all__ = ["Payment", "PaymentDetail", "PaymentMethod"]

PaymentMethod = (
    Literal[
        "CREDIT_CARD",
        "DEBIT_CARD",
        "ACH",
        "BANK_TRANSFER",
        "CHECK",
        "WIRE",
        "PAYPAL",
        "APPLE_PAY",
        "GOOGLE_PAY",
    ]
    | str
)


class _PaymentFields(Model, frozen=True, kw_only=True, gc=False):
    """What rows and objects share.

    Attributes:
        payment_method: One of the values of the list's filter, or any other string.
    """

    id: Id
    amount: Decimal | None = None
    currency: str | None = None
    payment_method: PaymentMethod | None = None
    card_last_four: str | None = None
    card_type: str | None = None
    status: str | None = None
    confirmation_date: datetime | None = None
    processor_reference: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    invoice_id: Id | None = None
    invoice_number: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Payment(_PaymentFields, frozen=True, kw_only=True, gc=False):
    """A row of ``payments.list()``."""


class PaymentDetail(_PaymentFields, frozen=True, kw_only=True, gc=False):
    """The result of ``payments.get()``."""
