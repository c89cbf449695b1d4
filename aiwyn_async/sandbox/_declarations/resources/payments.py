# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""Payments: those nested in the invoices, and unapplied ones that a test inserts."""

from aiwyn_async.sandbox._declarations.declarations import (
    ChildRows,
    Column,
    Filter,
    IdSequence,
    Kind,
    Relation,
    Resource,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import (
    CLIENT_ID,
    CLIENT_NAME,
    CREATED_AT,
    CURRENCY,
    ID,
    UPDATED_AT,
)
from aiwyn_async.sandbox._declarations.resources.clients import CLIENTS
from aiwyn_async.sandbox._declarations.resources.invoices import PAYMENTS_OF_INVOICES
from aiwyn_async.sandbox._declarations.sample_text import CARD_TYPES, PAYMENT_METHODS
from aiwyn_async.sandbox._declarations.sql import MATERIALIZED, MICRO, RANDOM_INSTANT, pick

_IDS = IdSequence(60_000_000, step=(3, 1), gap=(3, 3))
"""The ids of unapplied payments are divisible by 3; those of an invoice's payments are not."""
_INVOICE = Column("invoiceId", "invoice_id", Kind.INTEGER, nullable=True)
_COLUMNS = (
    ID,
    Column("amount", "amount_cents", Kind.DECIMAL),
    CURRENCY,
    Column("paymentMethod", "payment_method", Kind.TEXT),
    Column("cardLastFour", "card_last_four", Kind.TEXT, nullable=True),
    Column("cardType", "card_type", Kind.TEXT, nullable=True),
    Column("status", "status", Kind.TEXT),
    Column("confirmationDate", "confirmation_date_us", Kind.INSTANT),
    Column("processorReference", "processor_reference", Kind.TEXT),
    CLIENT_ID,
    CLIENT_NAME,
    _INVOICE,
    Column("invoiceNumber", "invoice_number", Kind.TEXT, nullable=True),
    CREATED_AT,
    UPDATED_AT,
)


def _made(source: str) -> str:
    """Return the SELECT of every column of the payments of a SELECT."""
    is_card = "method IN ('CREDIT_CARD', 'DEBIT_CARD')"
    return f"""
SELECT payment AS id, cents AS amount_cents, 'USD' AS currency, method AS payment_method,
  CASE WHEN {is_card} THEN printf('%04d', payment * 7919 % 10000) END AS card_last_four,
  CASE WHEN {is_card} THEN {pick("payment", CARD_TYPES)} END AS card_type, 'CONFIRMED' AS status,
  at * {MICRO} AS confirmation_date_us, 'stripe_pi_' || (payment * 1000003) AS processor_reference,
  client_id, client_name, invoice_id, invoice_number, (at - 300) * {MICRO} AS created_at_us, at * {MICRO} AS updated_at_us
FROM ({source} {MATERIALIZED})"""


_UNAPPLIED = f"""
SELECT {_IDS.sql("n")} AS payment, 1000 + s2 % 900000 AS cents, {pick("s0", PAYMENT_METHODS)} AS method,
  {RANDOM_INSTANT} / {MICRO} AS at, c.id AS client_id, c.name AS client_name, NULL AS invoice_id,
  NULL AS invoice_number
FROM rows JOIN clients AS c ON c.id = {CLIENTS.nearest_id("s1")}"""

PAYMENTS = Resource(
    name="payments",
    paths={"list": "/gql/v1/payments", "get": "/gql/v1/payment/{id}"},
    confirmed=frozenset({"list", "get"}),
    items_key="payments",
    columns=_COLUMNS,
    relations=(Relation("client", "clients", CLIENT_ID), Relation("invoice", "invoices", _INVOICE)),
    filters=(
        Filter("clientId", "clientId"),
        Filter("paymentMethod", "paymentMethod", allowed=frozenset(PAYMENT_METHODS)),
        # The documentation ends within startDate; the date that it bounds, and endDate, are inferred.
        Filter("startDate", "createdAt", "_gte"),
        Filter("endDate", "createdAt", "_lte"),
    ),
    # The order is not documented; newest first, as for invoices.
    default_order=(("id", "desc"),),
    indexes=("invoice_id",),
    seed=Seed(
        ids=_IDS,
        size=lambda _: 0,
        steps={"made": _made(_UNAPPLIED)},
        child_rows=ChildRows("invoices", _made(PAYMENTS_OF_INVOICES), "invoice_id", order="id % 3, id"),
    ),
)
