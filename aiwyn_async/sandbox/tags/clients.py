# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""Whom the firm bills."""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox.declare import Column, Ids, Kind, PageMeans, Reader, Relation, Resource, Row, Seed
from aiwyn_async.sandbox.sql import pick, some_time
from aiwyn_async.sandbox.tags.parts import address, amount, instant, telephone
from aiwyn_async.sandbox.tags.staff import partner_id
from aiwyn_async.sandbox.tags.words import ID, SURNAMES, TRADES

__all__ = ["CLIENTS"]

_PARTNER = Column("partnerStaffId", "partner_staff_id", Kind.INTEGER, nullable=True)
_IDS = Ids(2101)

_MADE = f"""
SELECT {_IDS.sql("n")} AS id, CAST(1000 + n * 3 AS TEXT) AS pms_ref, CAST(41000 + n * 7 AS TEXT) AS client_ref,
  {pick("s0", SURNAMES)} || ' ' || {pick("s1", TRADES)} AS name,
  printf('%012d %s', 41000 + n * 7, char(97 + s2 % 26)) AS client_key, s3 % 10 > 0 AS active,
  CASE WHEN s4 % 12 = 0 THEN NULL ELSE {partner_id("s4 / 12")} END AS partner_staff_id,
  {some_time("s5")} AS created_at_us
FROM rows"""


def _summary(reader: Reader, client_id: int) -> Mapping[str, object]:
    sums = (
        "SELECT coalesce(sum(paid_cents), 0), coalesce(sum(outstanding_cents), 0)"
        " FROM invoices WHERE client_id = ?"
    )
    ((revenue, outstanding),) = reader.query(sums, (client_id,))
    return {"totalRevenue": amount(revenue), "outstandingBalance": amount(outstanding)}


def _primary_contact(reader: Reader, client_id: int) -> Mapping[str, object] | None:
    sql = (
        "SELECT id, first_name || ' ' || last_name, title, email, phone FROM contacts"
        " WHERE client_id = ? AND is_primary_contact ORDER BY id LIMIT 1"
    )
    found = reader.query(sql, (client_id,))
    return dict(zip(("id", "name", "title", "email", "phone"), found[0], strict=True)) if found else None


def _engagements(reader: Reader, client_id: int) -> list[Mapping[str, object]]:
    sql = (
        "SELECT id, name, status, type, start_date_us, end_date_us FROM engagements"
        " WHERE client_id = ? ORDER BY id"
    )
    keys = ("id", "name", "status", "type")
    return [
        {**dict(zip(keys, row, strict=True)), "startDate": instant(start), "endDate": instant(end)}
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
        "phone": telephone(row_id),
        "email": f"info+{row_id}@client.example",
        "address": address(row_id),
        "billingAddress": address(row_id, street=1),
        "primaryContact": _primary_contact(reader, row_id),
        "engagements": _engagements(reader, row_id),
        "financialSummary": _summary(reader, row_id),
    }


CLIENTS = Resource(
    name="clients",
    list_path="/gql/v1/clients",
    search_path="/gql/v1/clients/search",
    get_path="/gql/v1/client/{id}",
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
        # The documents' row is cut here; the list sorts by it, so there is such a column.
        Column("createdAt", "created_at_us", Kind.INSTANT, shown=False),
    ),
    relations=(Relation("partnerStaff", "staff", _PARTNER),),
    page_means=PageMeans.SKIP,
    list_page_size=50,
    search_page_size=50,
    default_order=(("name", "asc"), ("created_at_us", "desc")),
    detail=_detail,
    indexes=("name",),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: max(8, min(sizes["invoices"] // 40, 20_000)),
        least=1,
        steps={"made": _MADE},
    ),
)
