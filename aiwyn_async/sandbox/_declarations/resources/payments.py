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
from aiwyn_async.sandbox._declarations.sample_text import CARD_TYPES, PAYMENT_METHODS
from aiwyn_async.sandbox._declarations.sql import MATERIALIZED, MICRO, pick, random_instant, row_json_sql

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


_WORDED = f"""
SELECT *, 'CONFIRMED' AS status, at * {MICRO} AS confirmation_date_us, (at - 300) * {MICRO} AS created_at_us,
  at * {MICRO} AS updated_at_us, 'stripe_pi_' || (id * 1000003) AS processor_reference
FROM ({{}} {MATERIALIZED})"""


def _made(source: str, *, payment: str, cents: str, method: str, at: str, bill: str) -> str:
    """Return the SELECT of payments from the SQL of its parts."""
    is_card = f"{method} IN ('CREDIT_CARD', 'DEBIT_CARD')"
    return _WORDED.format(f"""
SELECT {payment} AS id, {cents} AS amount_cents, 'USD' AS currency, {method} AS payment_method,
  CASE WHEN {is_card} THEN printf('%04d', ({payment}) * 7919 % 10000) END AS card_last_four,
  CASE WHEN {is_card} THEN {pick(payment, CARD_TYPES)} END AS card_type, client_id, client_name, {bill},
  {at} AS at
FROM {source}""")


def _of_invoices(number: int) -> str:
    return _made(
        f"temp.invoices_stage WHERE payments >= {number}",
        payment=f"id * 3 + {number}",
        cents=f"pay{number}",
        method=f"method{number}",
        at=f"at{number}",
        bill="id AS invoice_id, invoice_number",
    )


_UNAPPLIED = _made(
    f"(SELECT rows.*, {pick('s0', PAYMENT_METHODS)} AS method, c.id AS client_id, c.name AS client_name,"
    f" {random_instant('s5')} / {MICRO} AS moment FROM rows JOIN clients AS c ON c.id = {CLIENTS.nearest_id('s1')})",
    payment=_IDS.sql("n"),
    cents="1000 + s2 % 900000",
    method="method",
    at="moment",
    bill="NULL AS invoice_id, NULL AS invoice_number",
)

PAYMENTS = Resource(
    name="payments",
    list_path="/gql/v1/payments",
    get_path="/gql/v1/payment/{id}",
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
        steps={"made": _UNAPPLIED},
        bodies=f"SELECT id, {row_json_sql(_COLUMNS)} AS body FROM wanted",
        child_rows=ChildRows("invoices", f"{_of_invoices(1)} UNION ALL {_of_invoices(2)}", "invoice_id"),
    ),
)
