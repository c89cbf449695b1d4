# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""Work in progress: three entries per draft, one per billed line.

The other entries are not yet billed.
"""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    Filter,
    IdSequence,
    Kind,
    Reader,
    Relation,
    Resource,
    Row,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import (
    CLIENT_ID,
    CLIENT_NAME,
    CURRENCY,
    ID,
    pick_fields,
    team_members,
    zulu_text,
)
from aiwyn_async.sandbox._declarations.resources.drafts import DRAFT_INVOICES
from aiwyn_async.sandbox._declarations.resources.staff import IDS as STAFF_IDS
from aiwyn_async.sandbox._declarations.resources.staff import staff_name
from aiwyn_async.sandbox._declarations.sample_text import SERVICES
from aiwyn_async.sandbox._declarations.sql import DAY, MICRO, pick

_IDS = IdSequence(89001, gap=(10, 7))
_JOB = Column("jobId", "job_id", Kind.INTEGER)
_STAFF = Column("staffId", "staff_id", Kind.INTEGER)
_INVOICE = Column("invoiceId", "invoice_id", Kind.INTEGER, nullable=True, shown=False)
_DRAFT = Column("draftInvoiceId", "draft_invoice_id", Kind.INTEGER, nullable=True, shown=False)
_PROJECT = Column("projectId", "project_id", Kind.INTEGER)

_JOINED = f"""
SELECT rows.*, d.id AS draft, d.invoice_id AS bill, d.client_id, d.client_name, d.project_id, d.project_name,
  d.status = 'APPROVED' AS is_approved, d.created_at_us - (s0 % 14 + 1) * {DAY * MICRO} AS day_us,
  CASE WHEN n < :wip AND d.id = {DRAFT_INVOICES.seed.ids.sql("n / 3")}
    THEN json_extract(b.body, '$.lineItems[' || (n % 3) || ']') END AS line
FROM rows JOIN draft_invoices AS d ON d.id = {DRAFT_INVOICES.nearest_id("n / 3")}
  LEFT JOIN invoices_body AS b ON b.id = d.invoice_id"""
_PRICED = f"""
SELECT *, line IS NOT NULL AS billed_line,
  CASE WHEN line IS NOT NULL THEN CAST(round(json_extract(line, '$.quantity') * 100) AS INTEGER)
    ELSE (1 + s1 % 32) * 25 END AS hours,
  CASE WHEN line IS NOT NULL THEN CAST(round(json_extract(line, '$.unitPrice') * 100) AS INTEGER)
    ELSE (90 + s2 % 32 * 10) * 100 END AS rate,
  CASE WHEN line IS NOT NULL THEN json_extract(line, '$.description') ELSE {pick("s3", SERVICES)} END AS task,
  CASE WHEN line IS NULL AND s4 % 10 = 0 THEN 'EXPENSE' WHEN line IS NULL AND s4 % 10 = 1 THEN 'FIXED_FEE'
    ELSE 'TIME' END AS type,
  line IS NULL AND s4 % 10 = 2 AS is_free, {STAFF_IDS.sql("s5 % :staff")} AS staff_id
FROM joined"""
_VALUED = f"""
SELECT *, CASE type WHEN 'TIME' THEN hours ELSE 0 END AS worked, CASE WHEN is_free THEN 0 ELSE hours * rate / 100 END
    AS cents, coalesce({staff_name("staff_id")}, '') AS staff_name
FROM priced"""
_MADE = f"""
SELECT {_IDS.sql("n")} AS id, printf('%s, entry %d', task, n + 1) AS description,
  CASE WHEN billed_line AND is_approved OR NOT billed_line AND s3 % 3 = 0 THEN 'APPROVED' ELSE 'PENDING_APPROVAL' END
    AS status,
  type, staff_id, staff_name, client_id, client_name, project_id, project_name, 400 + s3 % 12 AS task_id,
  task AS task_name, day_us AS date_us, day_us + {9 * 3600 * MICRO} AS start_time_us,
  day_us + {9 * 3600 * MICRO} + worked * {36 * MICRO} AS end_time_us, worked AS duration,
  CASE WHEN is_free THEN 0 ELSE worked END AS billable_hours, CASE WHEN is_free THEN worked ELSE 0 END AS free_hours,
  CASE type WHEN 'TIME' THEN rate ELSE 0 END AS rate_cents, cents AS billable_cents, 'USD' AS currency,
  CASE WHEN s2 % 4 = 0 THEN NULL ELSE printf('Worked on %s.', task) END AS notes,
  project_id AS job_id, day_us AS logged_us,
  billed_line AND is_approved OR NOT billed_line AND s3 % 3 = 0 AS approved, cents AS value_cents,
  CASE WHEN billed_line AND is_approved THEN cents ELSE 0 END AS billed_cents,
  CASE WHEN NOT billed_line AND s4 % 10 = 3 THEN cents ELSE 0 END AS write_off_cents,
  CASE WHEN billed_line AND is_approved OR NOT billed_line AND s4 % 10 = 3 THEN 0 ELSE cents END AS outstanding_cents,
  CASE WHEN billed_line THEN bill END AS invoice_id, CASE WHEN billed_line THEN draft END AS draft_invoice_id
FROM valued"""


def _detail(reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    """Return the by-id object, whose ``type`` states whether the hours are billable."""
    sql = (
        "SELECT w.date_us, w.status, p.manager_staff_id FROM wip AS w"
        " LEFT JOIN projects AS p ON p.id = w.project_id WHERE w.id = ?"
    )
    ((date, status, manager),) = reader.query(sql, (row_id,))
    history = [
        {
            "id": 1,
            "approverId": member["staffId"],
            "approverName": member["name"],
            "approvalDate": zulu_text(date + (DAY + 37_800) * MICRO),
            "status": "APPROVED" if status == "APPROVED" else "PENDING",
        }
        for member in team_members(reader, ((manager, "", "1"),))
    ]
    free = msgspec.json.decode(row["nonBillableHours"], type=float) > 0
    return {
        **pick_fields(row, "id description status"),
        "type": "NON_BILLABLE" if free else "BILLABLE",
        **pick_fields(row, "staffId staffName clientId clientName projectId projectName taskId taskName"),
        **pick_fields(row, "date startTime endTime duration billableHours nonBillableHours hourlyRate"),
        **pick_fields(row, "billableAmount currency notes"),
        "approvalHistory": history,
    }


WIP = Resource(
    name="wip",
    paths={"list": "/gql/v1/wip", "search": "/gql/v1/wips/search", "get": "/gql/v1/wip/{id}"},
    confirmed=frozenset({"list", "search"}),
    items_key="wip",
    columns=(
        ID,
        Column("description", "description", Kind.TEXT),
        Column("status", "status", Kind.TEXT),
        Column("type", "type", Kind.TEXT),
        _STAFF,
        Column("staffName", "staff_name", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        _PROJECT,
        Column("projectName", "project_name", Kind.TEXT),
        Column("taskId", "task_id", Kind.INTEGER),
        Column("taskName", "task_name", Kind.TEXT),
        Column("date", "date_us", Kind.INSTANT),
        Column("startTime", "start_time_us", Kind.INSTANT),
        Column("endTime", "end_time_us", Kind.INSTANT),
        Column("duration", "duration", Kind.DECIMAL),
        Column("billableHours", "billable_hours", Kind.DECIMAL),
        Column("nonBillableHours", "free_hours", Kind.DECIMAL),
        Column("hourlyRate", "rate_cents", Kind.DECIMAL),
        Column("billableAmount", "billable_cents", Kind.DECIMAL),
        CURRENCY,
        Column("notes", "notes", Kind.TEXT, nullable=True),
        # Documented for the `where` and `orderBy` of the search, or in prose; by-id objects lack them.
        _JOB,
        Column("loggedDate", "logged_us", Kind.INSTANT),
        Column("approved", "approved", Kind.BOOLEAN),
        Column("value", "value_cents", Kind.DECIMAL),
        Column("billed", "billed_cents", Kind.DECIMAL),
        Column("writeOff", "write_off_cents", Kind.DECIMAL),
        Column("outstanding", "outstanding_cents", Kind.DECIMAL),
        _INVOICE,
        _DRAFT,
    ),
    relations=(
        Relation("client", "clients", CLIENT_ID),
        Relation("staff", "staff", _STAFF),
        Relation("project", "projects", _PROJECT),
        Relation("invoice", "invoices", _INVOICE),
        Relation("draftInvoice", "draft_invoices", _DRAFT),
    ),
    # The documented listing ends after clientId; the names of the others are inferred.
    filters=(
        Filter("clientId", "clientId"),
        Filter("jobId", "jobId"),
        Filter("type", "type", allowed=frozenset({"TIME", "EXPENSE", "FIXED_FEE"})),
        Filter("startDate", "loggedDate", "_gte"),
        Filter("endDate", "loggedDate", "_lte"),
    ),
    default_order=(("logged_us", "desc"),),
    detail=_detail,
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: 3 * sizes["draft_invoices"],
        steps={"joined": _JOINED, "priced": _PRICED, "valued": _VALUED, "made": _MADE},
        reads={"invoices": "SELECT invoice_id FROM draft_invoices"},
    ),
)
