# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""Invoices in integer cents that tie out.

Lines sum to the subtotal, with tax to the total, payments to the paid amount.
"""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    DateForm,
    Filter,
    IdSequence,
    Kind,
    Nested,
    Reader,
    Relation,
    Resource,
    Row,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import CLIENT_ID, CLIENT_NAME, CREATED_AT, CURRENCY, ID
from aiwyn_async.sandbox._declarations.resources.projects import PROJECTS
from aiwyn_async.sandbox._declarations.sample_text import PAYMENT_METHODS, SERVICES
from aiwyn_async.sandbox._declarations.sql import AS_OF, EPOCH_2019, MATERIALIZED, clock, money, pick

_IDS = IdSequence(40001, step=(11, 8), gap=(97, 13))
_RATES = ("0.0000", "0.0600", "0.0825", "0.1000")
_BY_ID_STATUS = {"PENDING": "DRAFT", "POSTED": "SENT", "CLOSED": "CANCELLED"}
"""The statuses of by-id objects exclude PENDING, POSTED and CLOSED; those of the list exclude SENT and VIEWED."""

_QUARTERS, _PRICE = "(4 + {0} % 157)", "(90 + {0} * 7 % 32 * 10)"
"""The quarter hours and the dollars per hour of a line; their product times 25 is its amount in cents."""
_LINE_KINDS = 4096
"""Number of distinct lines, whose text is generated once; an invoice has up to three of them."""
_QUOTED_SERVICES = tuple(value.replace("\\", "\\\\").replace('"', '\\"') for value in SERVICES)
_LINES = f"""
WITH RECURSIVE kinds(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM kinds WHERE k + 1 < {_LINE_KINDS}),
  made AS (SELECT k, {_QUARTERS.format("k")} AS q, {_PRICE.format("k")} AS p FROM kinds)
SELECT k, printf('"description":"%s","quantity":%d.%02d,"unitPrice":%d.00,"amount":%d.%02d,"taxRate":',
  {pick("k", _QUOTED_SERVICES)}, q / 4, q % 4 * 25, p, q * p * 25 / 100, q * p * 25 % 100)
FROM made"""


def _amount(stream: str) -> str:
    kind = f"({stream} % {_LINE_KINDS})"
    return f"{_QUARTERS.format(kind)} * {_PRICE.format(kind)} * 25"


def _line(number: int) -> str:
    """Return the SQL of a line's JSON and comma; empty beyond the last line."""
    if number == 1:
        return """'{"id":1,' || l1.text || rate || '}'"""
    return f"""CASE WHEN lines < {number} THEN '' ELSE ',{{"id":{number},' || l{number}.text || rate || '}}' END"""


def _payment(number: int) -> str:
    comma = "" if number == 1 else ","
    text = f"""printf('{comma}{{"id":%d,"amount":%d.%02d,"paymentDate":"%s","paymentMethod":"%s","status":"CONFIRMED"}}',
      id * 3 + {number}, {money(f"pay{number}")}, stamp{number}, method{number})"""
    return f"CASE WHEN payments < {number} THEN '' ELSE {text} END"


# These depend on a row's random numbers alone, which the table holds: its JSON is generated when it is read.
_LINES_OF, _TAX_OF, _DICE = "(1 + s5 % 3)", "(s5 / 3 % 4)", "(s5 / 12 % 100)"
_PAYMENTS_OF = f"CASE WHEN {_DICE} < 64 THEN 1 + s3 % 2 ELSE 0 END"
_PARTS = f"""CASE WHEN payments = 2 THEN paid * 6 / 10 ELSE paid END AS pay1, paid - paid * 6 / 10 AS pay2,
  created + (updated - created) / 2 AS at1, updated AS at2,
  {pick("s4 / 11", PAYMENT_METHODS)} AS method1, {pick("s4 / 22", PAYMENT_METHODS)} AS method2"""

_PRICED = f"""
SELECT rows.*, {_DICE} AS dice, {_amount("s1")} + CASE WHEN {_LINES_OF} > 1 THEN {_amount("s2")} ELSE 0 END
    + CASE WHEN {_LINES_OF} > 2 THEN {_amount("s3")} ELSE 0 END AS subtotal,
  CASE {_TAX_OF} WHEN 0 THEN 0 WHEN 1 THEN 600 WHEN 2 THEN 825 ELSE 1000 END AS rate_bp,
  -- Three invoices at a time share one instant, so that an order by createdAt has ties. Those inserted after the
  -- six years of the seed are a minute apart at most: in a small firm they would be dated in the future.
  {EPOCH_2019} + min(n, :invoices) / 3 * 3 * :step_us / 1000000
    + max(n - :invoices, 0) / 3 * 3 * min(:step_us / 1000000, 60) AS created
FROM rows"""
_TAX, _DUE = "(subtotal * rate_bp + 5000) / 10000", "created - created % 86400 + 31 * 86400 - 1"
_PAID = f"""
SELECT *, {_TAX} AS tax_cents, date(created, 'unixepoch') AS day,
  CASE WHEN dice < 52 THEN subtotal + {_TAX}
    WHEN dice < 64 THEN (subtotal + {_TAX}) * (s4 / 3 % 80 + 10) / 100 ELSE 0 END AS paid,
  CASE WHEN dice < 52 THEN 'PAID' WHEN dice < 55 THEN 'CLOSED' WHEN dice < 59 THEN 'POSTED'
       WHEN dice < 64 THEN CASE WHEN {_DUE} < {AS_OF} THEN 'OVERDUE' ELSE 'POSTED' END
       WHEN dice < 69 THEN 'DRAFT' WHEN dice < 73 THEN 'CANCELLED' WHEN dice < 79 THEN 'PENDING'
       WHEN dice < 81 THEN 'CLOSED' WHEN dice < 93 THEN 'POSTED'
       ELSE CASE WHEN {_DUE} < {AS_OF} THEN 'OVERDUE' ELSE 'POSTED' END END AS status
FROM priced"""
# Texts are made in the last step: each step copies the columns of the one before.
_MADE = f"""
SELECT {_IDS.sql("n")} AS id, printf('INV-%.4s-%06d', day, n + 1) AS invoice_number,
  CASE WHEN s1 % 9 = 0 THEN NULL ELSE printf('Q%d-%s-%d', 1 + s1 % 4, {pick("s2 / 5", ("AUDIT", "TAX", "ADVISORY"))},
    s2 % 9000 + 1000) END AS reference,
  {pick("s1 / 7", (f"Professional services rendered: {service}, work through " for service in SERVICES))}
    || day AS description, status,
  CASE WHEN status = 'PAID' THEN 'PAID' WHEN status = 'OVERDUE' THEN 'OVERDUE'
       WHEN paid > 0 THEN 'PARTIALLY_PAID' ELSE 'UNPAID' END AS payment_status, client_id, client_name, client_email,
  CASE WHEN s3 % 8 = 0 THEN NULL ELSE job_id END AS project_id,
  CASE WHEN s3 % 8 = 0 THEN NULL ELSE job_name END AS project_name,
  (created - created % 86400) * 1000000 AS issue_date_us, ({_DUE}) * 1000000 AS due_date_us,
  subtotal AS subtotal_cents, tax_cents,
  subtotal + tax_cents AS total_cents, 'USD' AS currency, paid AS paid_cents,
  subtotal + tax_cents - paid AS outstanding_cents,
  CASE WHEN s2 % 3 = 0 THEN NULL
    ELSE 'Payable within 30 days. Please quote ' || (n + 1) || ' with your remittance.' END AS notes,
  created * 1000000 AS created_at_us, (created + 60 + s4 % 3888000) * 1000000 + s3 % 1000000 AS updated_at_us,
  job_id, s1, s2, s3, s4, s5
FROM paid CROSS JOIN temp.invoice_jobs AS j ON j.rowid = s0 % max(:projects, 1) + 1"""
_JOBS = f"""
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :projects)
SELECT p.id AS job_id, p.name AS job_name, p.client_id, coalesce(c.name, p.client_name) AS client_name,
  CASE WHEN p.client_id % 11 = 0 THEN NULL ELSE 'billing+' || p.client_id || '@client.example' END AS client_email
FROM numbers CROSS JOIN projects AS p ON p.id = {PROJECTS.nearest_id("n")} LEFT JOIN clients AS c ON c.id = p.client_id
ORDER BY n"""

_PAYING = f"""
SELECT id, client_id, client_name, invoice_number, s4, {_PAYMENTS_OF} AS payments, paid_cents AS paid,
  created_at_us / 1000000 AS created, updated_at_us / 1000000 AS updated
FROM parents WHERE {_DICE} < 64"""
PAYMENTS_OF_INVOICES = f"""
SELECT id * 3 + number AS payment, client_id, client_name, id AS invoice_id, invoice_number,
  CASE number WHEN 1 THEN pay1 ELSE pay2 END AS cents, CASE number WHEN 1 THEN method1 ELSE method2 END AS method,
  CASE number WHEN 1 THEN at1 ELSE at2 END AS at
FROM (SELECT *, {_PARTS} FROM ({_PAYING} {MATERIALIZED}) {MATERIALIZED})
  CROSS JOIN (SELECT 1 AS number UNION ALL SELECT 2) WHERE number <= payments"""
"""A SELECT of the payments nested in the rows of ``parents``."""

_READ = f"""
SELECT *, {_LINES_OF} AS lines, {pick(_TAX_OF, _RATES)} AS rate, {_PAYMENTS_OF} AS payments, paid_cents AS paid,
  created_at_us / 1000000 AS created, updated_at_us / 1000000 AS updated
FROM wanted"""
_WORDED = f"""
SELECT *, {_PARTS}, date(created, 'unixepoch') AS day, printf('%sT%s', {clock("updated")}) AS changed FROM read"""
_STAMPED = f"""
SELECT *, CASE WHEN payments > 0 THEN printf('%sT%sZ', {clock("at1")}) END AS stamp1, changed || 'Z' AS stamp2
FROM worded"""
_BODIES = f"""
, read AS ({_READ} {MATERIALIZED}), worded AS ({_WORDED} {MATERIALIZED}), stamped AS ({_STAMPED} {MATERIALIZED})
SELECT id, printf('{{"id":%d,"invoiceNumber":"%s","reference":%s,"description":"%s","status":"%s","paymentStatus":"%s",'
    || '"clientId":%d,"clientName":%s,"clientEmail":%s,"projectId":%s,"projectName":%s,"issueDate":"%sT00:00:00","dueDate":"%sT23:59:59+00:00",'
    || '"subtotal":%d.%02d,"taxAmount":%d.%02d,"totalAmount":%d.%02d,"currency":"USD","paidAmount":%d.%02d,'
    || '"outstandingAmount":%d.%02d,"lineItems":[%s%s%s],"payments":[%s%s],"notes":%s,"createdAt":"%sT%sZ","updatedAt":"%s.%06d+00:00"}}',
    id, invoice_number, json_quote(reference), description, status, payment_status,
    client_id, json_quote(client_name), json_quote(client_email), coalesce(project_id, 'null'), json_quote(project_name),
    day, date(due_date_us / 1000000, 'unixepoch'), {money("subtotal_cents")}, {money("tax_cents")},
    {money("total_cents")}, {money("paid")}, {money("outstanding_cents")},
    {_line(1)}, {_line(2)}, {_line(3)}, {_payment(1)}, {_payment(2)},
    json_quote(notes), day, time(created, 'unixepoch'), changed, updated_at_us % 1000000) AS body
FROM stamped CROSS JOIN temp.invoice_lines AS l1 ON l1.k = s1 % {_LINE_KINDS}
  CROSS JOIN temp.invoice_lines AS l2 ON l2.k = s2 % {_LINE_KINDS}
  CROSS JOIN temp.invoice_lines AS l3 ON l3.k = s3 % {_LINE_KINDS}"""


def _detail(_reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    """Return the row without ``description``, with a status of by-id objects."""
    listed = msgspec.json.decode(row["status"], type=str)
    shown = "VIEWED" if listed == "POSTED" and row_id % 2 else _BY_ID_STATUS.get(listed, listed)
    return {**{key: value for key, value in row.items() if key != "description"}, "status": shown}


INVOICES = Resource(
    name="invoices",
    paths={"list": "/gql/v1/invoices", "search": "/gql/v1/invoices/search", "get": "/gql/v1/invoice/{id}"},
    confirmed=frozenset({"list", "search", "get"}),
    items_key="deid_invoice",
    count_path=("deid_invoice_aggregate", "aggregate", "count"),
    columns=(
        ID,
        Column("invoiceNumber", "invoice_number", Kind.TEXT),
        Column("reference", "reference", Kind.TEXT, nullable=True),
        Column("description", "description", Kind.TEXT),
        Column("status", "status", Kind.TEXT),
        Column("paymentStatus", "payment_status", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        Column("clientEmail", "client_email", Kind.TEXT, nullable=True),
        Column("projectId", "project_id", Kind.INTEGER, nullable=True),
        Column("projectName", "project_name", Kind.TEXT, nullable=True),
        Column("issueDate", "issue_date_us", Kind.INSTANT, form=DateForm.NAIVE),
        Column("dueDate", "due_date_us", Kind.INSTANT, form=DateForm.OFFSET),
        Column("subtotal", "subtotal_cents", Kind.DECIMAL),
        Column("taxAmount", "tax_cents", Kind.DECIMAL),
        Column("totalAmount", "total_cents", Kind.DECIMAL),
        CURRENCY,
        Column("paidAmount", "paid_cents", Kind.DECIMAL),
        Column("outstandingAmount", "outstanding_cents", Kind.DECIMAL),
        Column("notes", "notes", Kind.TEXT, nullable=True),
        CREATED_AT,
        Column("updatedAt", "updated_at_us", Kind.INSTANT, form=DateForm.OFFSET),
        # The project of the invoice, which one row in eight does not show.
        Column("jobId", "job_id", Kind.INTEGER, shown=False),
    ),
    relations=(Relation("client", "clients", CLIENT_ID),),
    nested=(
        Nested(
            "lineItems",
            (
                ID,
                Column("description", "description", Kind.TEXT),
                Column("quantity", "quantity", Kind.DECIMAL),
                Column("unitPrice", "unitPrice", Kind.DECIMAL),
                Column("amount", "amount", Kind.DECIMAL),
                Column("taxRate", "taxRate", Kind.DECIMAL, scale=4),
            ),
        ),
        Nested(
            "payments",
            (
                ID,
                Column("amount", "amount", Kind.DECIMAL),
                Column("paymentDate", "paymentDate", Kind.INSTANT),
                Column("paymentMethod", "paymentMethod", Kind.TEXT),
                Column("status", "status", Kind.TEXT),
            ),
        ),
    ),
    filters=(
        Filter("clientId", "clientId"),
        Filter(
            "status",
            "status",
            allowed=frozenset({"PENDING", "POSTED", "PAID", "OVERDUE", "CANCELLED", "DRAFT"}),
        ),
        # The documentation does not say which date these bound; the list sorts by createdAt.
        Filter("startDate", "createdAt", "_gte"),
        Filter("endDate", "createdAt", "_lte"),
    ),
    search_page_size=1,
    default_order=(("created_at_us", "desc"),),
    sort_order_key="sortOrder",
    detail=_detail,
    indexes=("created_at_us", "updated_at_us"),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: sizes["invoices"],
        steps={"priced": _PRICED, "paid": _PAID, "made": _MADE},
        bodies=_BODIES,
        stored=("s1", "s2", "s3", "s4", "s5"),
        lookups={"invoice_lines": _LINES},
        joins={"invoice_jobs": _JOBS},
    ),
)
