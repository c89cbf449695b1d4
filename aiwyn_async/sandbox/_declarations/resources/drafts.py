# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""Draft invoices and their history; each has an invoice.

It is approved if the invoice is posted.
"""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    DateForm,
    IdSequence,
    Kind,
    PageStyle,
    Reader,
    Relation,
    Resource,
    Row,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import (
    CLIENT_ID,
    CLIENT_NAME,
    CREATED_AT,
    CURRENCY,
    ID,
    UPDATED_AT,
    optional_id,
    pick_fields,
    team_members,
    zulu_text,
)
from aiwyn_async.sandbox._declarations.resources.invoices import INVOICES
from aiwyn_async.sandbox._declarations.sql import DAY, MICRO, row_json_sql

_MAX_DRAFTS = 5_000
"""In a larger firm, only the first invoices have drafts."""
_IDS = IdSequence(56001, gap=(5, 4))
_DETAIL_KEYS = (
    "id draftNumber reference status reviewStatus clientId clientName clientEmail projectId projectName"
    " preparedDate proposedIssueDate proposedDueDate subtotal taxAmount totalAmount currency"
)
_INVOICE = Column("invoiceId", "invoice_id", Kind.INTEGER)
_PROJECT = Column("projectId", "project_id", Kind.INTEGER)
_APPROVER = Column("approverStaffId", "approver_staff_id", Kind.INTEGER)
_SUMMARY = (
    Column("approvedAt", "approved_at_us", Kind.INSTANT, nullable=True, form=DateForm.OFFSET),
    Column("arTranId", "ar_tran_id", Kind.INTEGER),
    _APPROVER,
    Column("approvedByStaffId", "approved_by_staff_id", Kind.INTEGER, nullable=True),
    _INVOICE,
    Column("isActive", "is_active", Kind.BOOLEAN),
    Column("pmsInvoiceNumber", "pms_invoice_number", Kind.TEXT, row_key="pms_invoice_number"),
)
"""The fields of a draft in its history, besides the status; one key is snake_case as documented."""
_STATUS = Column("status", "status", Kind.TEXT)

_JOINED = f"""
SELECT rows.n, i.*, i.id AS invoice_id, p.id AS project, p.name AS project_called, e.partner_staff_id,
  i.created_at_us - i.created_at_us % {DAY * MICRO} AS day_us, i.status NOT IN ('DRAFT', 'PENDING') AS approved
FROM rows JOIN invoices AS i ON i.id = {INVOICES.nearest_id("n")}
  JOIN projects AS p ON p.id = i.job_id JOIN engagements AS e ON e.id = p.engagement_id"""
_MADE = f"""
SELECT {_IDS.sql("n")} AS id, printf('DRAFT-%.4s-%06d', date(created_at_us / {MICRO}, 'unixepoch'), n + 1)
    AS draft_number,
  reference || '-DRAFT' AS reference, CASE WHEN approved THEN 'APPROVED' ELSE 'UNDER_REVIEW' END AS status,
  CASE WHEN approved THEN 'APPROVED' ELSE 'PENDING_APPROVAL' END AS review_status, client_id, client_name, client_email,
  project AS project_id, project_called AS project_name, day_us - {10 * DAY * MICRO} AS prepared_date_us,
  issue_date_us, due_date_us, subtotal_cents, tax_cents, total_cents, currency, invoice_id,
  CASE WHEN approved THEN created_at_us - {3600 * MICRO} END AS approved_at_us, invoice_id AS ar_tran_id,
  partner_staff_id AS approver_staff_id, CASE WHEN approved THEN partner_staff_id END AS approved_by_staff_id,
  status <> 'CANCELLED' AS is_active, invoice_number AS pms_invoice_number,
  day_us - {10 * DAY * MICRO} AS created_at_us, created_at_us AS updated_at_us
FROM joined"""


class _Billed(msgspec.Struct, rename="camel"):
    """The part of an invoice's JSON that its draft shows."""

    line_items: list[Row]


def _detail(reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    invoice_id = optional_id(row, "invoiceId")
    body = None if invoice_id is None else reader.row_json(INVOICES, invoice_id)
    lines = [] if body is None else msgspec.json.decode(body, type=_Billed).line_items
    ((prepared, approver),) = reader.query(
        "SELECT prepared_date_us, approver_staff_id FROM draft_invoices WHERE id = ?", (row_id,)
    )
    reviews = [
        {
            "id": 1,
            "reviewerId": member["staffId"],
            "reviewerName": member["name"],
            "reviewDate": zulu_text(prepared + 4 * DAY * MICRO),
            "status": row["reviewStatus"],
            "comments": "Hours checked against the engagement letter.",
        }
        for member in team_members(reader, ((approver, "", "1"),))
    ]
    return {
        **pick_fields(row, _DETAIL_KEYS),
        "lineItems": [{**line, "notes": f"Work in progress of line {n}."} for n, line in enumerate(lines, 1)],
        "reviewHistory": reviews,
    }


DRAFT_INVOICES = Resource(
    name="draft_invoices",
    paths={"get": "/gql/v1/draft_invoice/{id}"},
    items_key="draftInvoices",
    columns=(
        ID,
        Column("draftNumber", "draft_number", Kind.TEXT),
        Column("reference", "reference", Kind.TEXT, nullable=True),
        _STATUS,
        Column("reviewStatus", "review_status", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        Column("clientEmail", "client_email", Kind.TEXT, nullable=True),
        _PROJECT,
        Column("projectName", "project_name", Kind.TEXT),
        Column("preparedDate", "prepared_date_us", Kind.INSTANT),
        Column("proposedIssueDate", "issue_date_us", Kind.INSTANT),
        Column("proposedDueDate", "due_date_us", Kind.INSTANT),
        Column("subtotal", "subtotal_cents", Kind.DECIMAL),
        Column("taxAmount", "tax_cents", Kind.DECIMAL),
        Column("totalAmount", "total_cents", Kind.DECIMAL),
        CURRENCY,
        *_SUMMARY,
        CREATED_AT,
        UPDATED_AT,
    ),
    relations=(
        Relation("client", "clients", CLIENT_ID),
        Relation("project", "projects", _PROJECT),
        Relation("invoice", "invoices", _INVOICE),
        Relation("approverStaff", "staff", _APPROVER),
    ),
    detail=_detail,
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: min(sizes["invoices"], _MAX_DRAFTS),
        steps={"joined": _JOINED, "made": _MADE},
    ),
)

_DRAFT = Column("draftInvoiceId", "draft_invoice_id", Kind.INTEGER, shown=False)
_HISTORY = f"""
SELECT {IdSequence(91001).sql("n")} AS id, d.client_id, d.invoice_id, d.project_id AS job_id, d.id AS draft_invoice_id,
  d.is_active AS active, CASE d.status WHEN 'APPROVED' THEN 'DRAFT_INVOICE_RECONCILED' ELSE 'DRAFT_INVOICE_CREATED' END
    AS activity_type,
  coalesce(d.approved_at_us, d.created_at_us) AS created_at_us
FROM rows JOIN draft_invoices AS d ON d.id = {DRAFT_INVOICES.nearest_id("n")}"""
_CLIENT_SUMMARY = (
    Column("active", "active", Kind.BOOLEAN),
    Column("clientRef", "client_ref", Kind.TEXT),
    Column("name", "name", Kind.TEXT),
    Column("pmsRef", "pms_ref", Kind.TEXT),
)

# The documentation shows a complete history row: it has no id.
DRAFT_HISTORIES = Resource(
    name="draft_invoice_histories",
    paths={"list": "/gql/v1/draft_invoice_histories", "search": "/gql/v1/draft_invoice_histories/search"},
    confirmed=frozenset({"list", "search"}),
    items_key="draftInvoices",
    columns=(
        Column("id", "id", Kind.INTEGER, shown=False),
        CLIENT_ID,
        _INVOICE,
        Column("jobId", "job_id", Kind.INTEGER),
        _DRAFT,
        Column("active", "active", Kind.BOOLEAN, shown=False),
        Column("activityType", "activity_type", Kind.TEXT, shown=False),
        Column("createdAt", "created_at_us", Kind.INSTANT, shown=False),
    ),
    relations=(Relation("client", "clients", CLIENT_ID), Relation("draftInvoice", "draft_invoices", _DRAFT)),
    page_style=PageStyle.OFFSET,
    list_page_size=50,
    search_page_size=50,
    seed=Seed(
        ids=IdSequence(91001),
        size=lambda sizes: sizes["draft_invoices"],
        steps={"made": _HISTORY},
        objects={
            "client": f"(SELECT {row_json_sql(_CLIENT_SUMMARY)} FROM clients AS c WHERE c.id = client_id)",
            "draftInvoice": f"(SELECT {row_json_sql((*_SUMMARY, _STATUS), alias='d.')}"
            " FROM draft_invoices AS d WHERE d.id = draft_invoice_id)",
        },
    ),
)
