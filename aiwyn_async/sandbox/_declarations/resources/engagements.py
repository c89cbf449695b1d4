# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""The engagements of the clients, by default two each."""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    DateForm,
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
    CREATED_AT,
    CURRENCY,
    ID,
    UPDATED_AT,
    money_json,
    optional_id,
    pick_fields,
    team_members,
)
from aiwyn_async.sandbox._declarations.resources.clients import CLIENTS
from aiwyn_async.sandbox._declarations.resources.staff import manager_id, partner_id
from aiwyn_async.sandbox._declarations.sql import DAY, MICRO, pick

_IDS = IdSequence(30001, gap=(7, 3))
_KINDS = ("Annual Review and Tax", "Annual Audit Engagement", "Advisory Retainer")
_TYPES = ("TAX", "AUDIT", "ADVISORY")
_STATUS = Column("status", "status", Kind.TEXT)
_NAME = Column("name", "name", Kind.TEXT)
_PARTNER = Column("partnerStaffId", "partner_staff_id", Kind.INTEGER)
_MANAGER = Column("managerStaffId", "manager_staff_id", Kind.INTEGER)

_SIZED = f"""
SELECT *, {_IDS.sql("n")} AS id, 2019 + s1 % 6 AS year, n / max(:clients, 1) + s2 % 2 AS kind,
  {CLIENTS.nearest_id("n")} AS client_id
FROM rows"""
_DATED = f"""
SELECT sized.*, CAST(strftime('%s', year || '-01-01') AS INTEGER) AS first_day,
  CAST(strftime('%s', (year + 1) || '-01-01') AS INTEGER) - 1 AS last_second, {pick("kind", _KINDS)} AS called,
  c.name AS client_name, c.client_ref, c.partner_staff_id AS own_partner
FROM sized JOIN clients AS c ON c.id = sized.client_id"""
_MADE = f"""
SELECT id, year || ' ' || called || ' ' || client_ref AS name,
  printf('%s for %s, %d', called, client_name, year) AS description,
  {pick("s3", ("ACTIVE", "EXECUTED", "COMPLETED", "ON_HOLD"))} AS status, {pick("kind", _TYPES)} AS type,
  client_id, client_name, printf('finance+%d@client.example', client_id) AS client_email,
  printf('+1-555-%04d', client_id % 10000) AS client_phone,
  first_day * {MICRO} AS start_date_us, last_second * {MICRO} AS end_date_us,
  (20 + s4 % 180) * 50000 AS estimated_cents, 'USD' AS currency,
  '{{{{year}}}} ' || called || ' {{{{clientRef}}}}' AS name_template,
  coalesce(own_partner, {partner_id("s5")}) AS partner_staff_id, {manager_id("s5 / 7")} AS manager_staff_id,
  (first_day - s4 % 30 * {DAY} - s5 % {DAY}) * {MICRO} AS created_at_us,
  (first_day + s4 % 300 * {DAY}) * {MICRO} AS updated_at_us
FROM dated"""


def _detail(reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    sql = "SELECT id, name, status, budget_cents FROM projects WHERE engagement_id = ? ORDER BY id"
    projects = [
        {"id": project, "name": name, "status": status, "budget": money_json(budget)}
        for project, name, status, budget in reader.query(sql, (row_id,))
    ]
    roles = (
        (optional_id(row, "partnerStaffId"), "ENGAGEMENT_PARTNER", "0.3"),
        (optional_id(row, "managerStaffId"), "SENIOR_MANAGER", "0.5"),
    )
    return {
        **pick_fields(row, "id name description status type clientId clientName clientEmail clientPhone"),
        **pick_fields(row, "startDate endDate estimatedValue currency"),
        "projects": projects,
        "teamMembers": team_members(reader, roles),
        # The documentation ends within a key that starts with `bil`.
        "billingType": msgspec.Raw(b'"TIME_AND_MATERIALS"'),
    }


ENGAGEMENTS = Resource(
    name="engagements",
    paths={
        "list": "/gql/v1/engagements",
        "search": "/gql/v1/engagements/search",
        "get": "/gql/v1/engagement/{id}",
    },
    confirmed=frozenset({"search"}),
    items_key="engagements",
    columns=(
        ID,
        _NAME,
        Column("description", "description", Kind.TEXT),
        _STATUS,
        Column("type", "type", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        Column("clientEmail", "client_email", Kind.TEXT),
        Column("clientPhone", "client_phone", Kind.TEXT),
        Column("startDate", "start_date_us", Kind.INSTANT),
        Column("endDate", "end_date_us", Kind.INSTANT),
        Column("estimatedValue", "estimated_cents", Kind.DECIMAL),
        CURRENCY,
        Column("engagementNameTemplate", "name_template", Kind.TEXT),
        _PARTNER,
        _MANAGER,
        CREATED_AT,
        UPDATED_AT,
    ),
    # Search rows are snake_case and have dates without times; `where` is camelCase.
    search_row=(
        ID,
        _NAME,
        Column("startDate", "start_date_us", Kind.INSTANT, row_key="start_dt", form=DateForm.DATE),
        Column("endDate", "end_date_us", Kind.INSTANT, row_key="end_dt", form=DateForm.DATE),
        _STATUS,
        Column("clientId", "client_id", Kind.INTEGER, row_key="client_id"),
        Column("partnerStaffId", "partner_staff_id", Kind.INTEGER, row_key="partner_staff_id"),
    ),
    relations=(
        Relation("client", "clients", CLIENT_ID),
        Relation("partnerStaff", "staff", _PARTNER),
        Relation("managerStaff", "staff", _MANAGER),
    ),
    # The documentation mentions a client, a status and a range of dates; the names are inferred.
    filters=(
        Filter("clientId", "clientId"),
        Filter("status", "status", allowed=frozenset({"ACTIVE", "COMPLETED", "ON_HOLD", "EXECUTED"})),
        Filter("startDate", "startDate", "_gte"),
        Filter("endDate", "endDate", "_lte"),
    ),
    page_size_keys=("limit", "pageSize"),
    default_order=(("name", "asc"),),
    detail=_detail,
    indexes=("client_id",),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: max(sizes["clients"], min(2 * sizes["clients"], 5000)),
        min_rows=1,
        steps={"sized": _SIZED, "dated": _DATED, "made": _MADE},
    ),
)
