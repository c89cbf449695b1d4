# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""The clients of the firm."""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    IdSequence,
    Kind,
    PageStyle,
    Reader,
    Relation,
    Resource,
    Row,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import ID, address, money_json, phone_number, zulu_text
from aiwyn_async.sandbox._declarations.resources.staff import partner_id
from aiwyn_async.sandbox._declarations.sample_text import SURNAMES, TRADES
from aiwyn_async.sandbox._declarations.sql import RANDOM_INSTANT, pick

_PARTNER = Column("partnerStaffId", "partner_staff_id", Kind.INTEGER, nullable=True)
_IDS = IdSequence(2101)

_MADE = f"""
SELECT {_IDS.sql("n")} AS id, CAST(1000 + n * 3 AS TEXT) AS pms_ref, CAST(41000 + n * 7 AS TEXT) AS client_ref,
  {pick("s0", SURNAMES)} || ' ' || {pick("s1", TRADES)} AS name,
  printf('%012d %s', 41000 + n * 7, char(97 + s2 % 26)) AS client_key, s3 % 10 > 0 AS active,
  CASE WHEN s4 % 12 = 0 THEN NULL ELSE {partner_id("s4 / 12")} END AS partner_staff_id,
  {RANDOM_INSTANT} AS created_at_us
FROM rows"""


def _summary(reader: Reader, client_id: int) -> Mapping[str, object]:
    sums = (
        "SELECT coalesce(sum(paid_cents), 0), coalesce(sum(outstanding_cents), 0)"
        " FROM invoices WHERE client_id = ?"
    )
    ((revenue, outstanding),) = reader.query(sums, (client_id,))
    return {"totalRevenue": money_json(revenue), "outstandingBalance": money_json(outstanding)}


def _primary_contact(reader: Reader, client_id: int) -> Mapping[str, object] | None:
    sql = (
        "SELECT id, first_name || ' ' || last_name, title, email, phone FROM contacts"
        " WHERE client_id = ? AND is_primary_contact ORDER BY id LIMIT 1"
    )
    rows = reader.query(sql, (client_id,))
    return dict(zip(("id", "name", "title", "email", "phone"), rows[0], strict=True)) if rows else None


def _engagements(reader: Reader, client_id: int) -> list[Mapping[str, object]]:
    sql = (
        "SELECT id, name, status, type, start_date_us, end_date_us FROM engagements"
        " WHERE client_id = ? ORDER BY id"
    )
    keys = ("id", "name", "status", "type")
    return [
        {**dict(zip(keys, row, strict=True)), "startDate": zulu_text(start), "endDate": zulu_text(end)}
        for *row, start, end in reader.query(sql, (client_id,))
    ]


def _detail(reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    name = msgspec.json.decode(row["name"], type=str)
    return {
        "id": row["id"],
        "name": row["name"],
        "legalName": f"{name}, Inc.",
        "status": "ACTIVE" if msgspec.json.decode(row["active"], type=bool) else "INACTIVE",
        "type": "CORPORATE",
        "industry": ("MANUFACTURING", "RETAIL", "HEALTHCARE")[row_id % 3],
        "size": ("SMALL", "MEDIUM", "LARGE")[row_id // 3 % 3],
        "website": f"https://client{row_id}.example",
        "taxId": f"{row_id % 90 + 10}-{row_id * 7919 % 10_000_000:07d}",
        "phone": phone_number(row_id),
        "email": f"info+{row_id}@client.example",
        "address": address(row_id),
        "billingAddress": address(row_id, street=1),
        "primaryContact": _primary_contact(reader, row_id),
        "engagements": _engagements(reader, row_id),
        "financialSummary": _summary(reader, row_id),
    }


CLIENTS = Resource(
    name="clients",
    paths={"list": "/gql/v1/clients", "search": "/gql/v1/clients/search", "get": "/gql/v1/client/{id}"},
    confirmed=frozenset({"list"}),
    items_key="clients",
    columns=(
        ID,
        Column("pmsRef", "pms_ref", Kind.TEXT),
        Column("clientRef", "client_ref", Kind.TEXT),
        Column("name", "name", Kind.TEXT),
        Column("clientKey", "client_key", Kind.TEXT),
        Column("active", "active", Kind.BOOLEAN),
        _PARTNER,
        # The documented row ends above; the list sorts by this column, so it exists.
        Column("createdAt", "created_at_us", Kind.INSTANT, shown=False),
    ),
    relations=(Relation("partnerStaff", "staff", _PARTNER),),
    page_style=PageStyle.OFFSET,
    list_page_size=50,
    search_page_size=50,
    default_order=(("name", "asc"), ("created_at_us", "desc")),
    detail=_detail,
    indexes=("name",),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: max(8, min(sizes["invoices"] // 40, 20_000)),
        min_rows=1,
        steps={"made": _MADE},
    ),
)
