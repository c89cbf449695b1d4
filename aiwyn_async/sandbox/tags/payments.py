# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""What clients have paid: exactly the payments nested in the invoices, and what a test adds unapplied."""

from aiwyn_async.sandbox.declare import Along, Column, Filter, Ids, Kind, Relation, Resource, Seed
from aiwyn_async.sandbox.sql import MICRO, ONCE, clock, money, pick, some_time
from aiwyn_async.sandbox.tags.clients import CLIENTS
from aiwyn_async.sandbox.tags.words import (
    CARD_TYPES,
    CLIENT_ID,
    CLIENT_NAME,
    CREATED_AT,
    CURRENCY,
    ID,
    PAYMENT_METHODS,
    UPDATED_AT,
)

__all__ = ["PAYMENTS"]

_IDS = Ids(60_000_000, step=(3, 1), gap=(3, 3))
"""Of unapplied payments. Divisible by 3, which no id of an invoice's payment is."""
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


# An INSTANT's text is dear, so the payment's date comes with it and is written twice.
_WORDED = f"""
SELECT *, 'CONFIRMED' AS status, at * {MICRO} AS confirmation_date_us, (at - 300) * {MICRO} AS created_at_us,
  at * {MICRO} AS updated_at_us, 'stripe_pi_' || (id * 1000003) AS processor_reference,
  printf('{{{{"id":%d,"amount":%d.%02d,"currency":"USD","paymentMethod":"%s","cardLastFour":%s,"cardType":%s,'
    || '"status":"CONFIRMED","confirmationDate":"%s","processorReference":"stripe_pi_%d","clientId":%d,'
    || '"clientName":%s,"invoiceId":%s,"invoiceNumber":%s,"createdAt":"%sT%sZ","updatedAt":"%s"}}}}',
    id, {money("amount_cents")}, payment_method, json_quote(card_last_four), json_quote(card_type), stamp, id * 1000003,
    client_id, json_quote(client_name), json_quote(invoice_id), json_quote(invoice_number), {clock("(at - 300)")}, stamp)
    AS body
FROM ({{}} {ONCE})"""


def _made(source: str, *, payment: str, cents: str, method: str, at: str, stamp: str, bill: str) -> str:
    """The SELECT of payments, from SQL for what differs."""
    is_card = f"{method} IN ('CREDIT_CARD', 'DEBIT_CARD')"
    return _WORDED.format(f"""
SELECT {payment} AS id, {cents} AS amount_cents, 'USD' AS currency, {method} AS payment_method,
  CASE WHEN {is_card} THEN printf('%04d', ({payment}) * 7919 % 10000) END AS card_last_four,
  CASE WHEN {is_card} THEN {pick(payment, CARD_TYPES)} END AS card_type, client_id, client_name, {bill},
  {at} AS at, {stamp} AS stamp
FROM {source}""")


def _of_invoices(number: int) -> str:
    return _made(
        f"temp.invoices_stage WHERE payments >= {number}",
        payment=f"id * 3 + {number}",
        cents=f"pay{number}",
        method=f"method{number}",
        at=f"at{number}",
        stamp=f"stamp{number}",
        bill="id AS invoice_id, invoice_number",
    )


_UNAPPLIED = _made(
    f"(SELECT rows.*, {pick('s0', PAYMENT_METHODS)} AS method, c.id AS client_id, c.name AS client_name,"
    f" {some_time('s5')} / {MICRO} AS moment FROM rows JOIN clients AS c ON c.id = {CLIENTS.nearest('s1')})",
    payment=_IDS.sql("n"),
    cents="1000 + s2 % 900000",
    method="method",
    at="moment",
    stamp=f"printf('%sT%sZ', {clock('moment')})",
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
        # The documents are cut inside startDate; which date it bounds, and endDate, are our inference.
        Filter("startDate", "createdAt", "_gte"),
        Filter("endDate", "createdAt", "_lte"),
    ),
    # The order is not documented; the newest first, as invoices.
    default_order=(("id", "desc"),),
    indexes=("invoice_id",),
    seed=Seed(
        ids=_IDS,
        size=lambda _: 0,
        steps={"made": _UNAPPLIED},
        words_rows=True,
        along=Along("invoices", f"{_of_invoices(1)} UNION ALL {_of_invoices(2)}", "invoice_id"),
    ),
)
