"""By-id objects, which do not look like list rows."""

from collections.abc import Callable

import msgspec

from .schema import Resource
from .store import Store

__all__ = ["detail"]

_INVOICE_STATUS = {"PENDING": "DRAFT", "POSTED": "SENT", "CLOSED": "CANCELLED"}
"""The by-id status set has no PENDING, POSTED or CLOSED, and the list's has no SENT or VIEWED."""


def _invoice(store: Store, row_id: int, body: bytes) -> bytes:
    """The list row without `description`, with the status of the by-id set."""
    del store
    # Raw values keep each number's text, so that 20000.00 stays 20000.00.
    row = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    row.pop("description", None)
    listed = msgspec.json.decode(row["status"], type=str)
    shown = "VIEWED" if listed == "POSTED" and row_id % 2 else _INVOICE_STATUS.get(listed, listed)
    row["status"] = msgspec.Raw(msgspec.json.encode(shown))
    return msgspec.json.encode(row)


def _client(store: Store, row_id: int, body: bytes) -> bytes:
    row = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    name = msgspec.json.decode(row["name"], type=str)
    sums = (
        "SELECT coalesce(sum(paid_cents), 0), coalesce(sum(outstanding_cents), 0)"
        " FROM invoices WHERE client_id = ?"
    )
    revenue, outstanding = store.query(sums, (row_id,))[0]
    street = {"city": "New York", "state": "NY", "zipCode": f"1{row_id % 10_000:04d}", "country": "USA"}
    return msgspec.json.encode(
        {
            "id": row["id"],
            "name": row["name"],
            "legalName": f"{name}, Inc.",
            "status": "ACTIVE" if msgspec.json.decode(row["active"], type=bool) else "INACTIVE",
            "type": "CORPORATE",
            "industry": ("MANUFACTURING", "RETAIL", "HEALTHCARE")[row_id % 3],
            "size": ("SMALL", "MEDIUM", "LARGE")[row_id // 3 % 3],
            "website": f"https://client{row_id}.example",
            "taxId": f"{row_id % 90 + 10}-{row_id * 7919 % 10_000_000:07d}",
            "phone": f"+1-555-{row_id % 10_000:04d}",
            "email": f"info+{row_id}@client.example",
            "address": {"street": f"{row_id} Business Ave", **street},
            "billingAddress": {"street": f"{row_id} Finance Blvd", **street},
            "primaryContact": {
                "id": 20_000 + row_id,
                "name": "Alex Doe",
                "title": "Chief Financial Officer",
                "email": f"alex+{row_id}@client.example",
                "phone": f"+1-555-{(row_id + 1) % 10_000:04d}",
            },
            "engagements": [
                {
                    "id": 30_000 + row_id,
                    "name": "Annual Audit Engagement 2024",
                    "status": "ACTIVE",
                    "type": "AUDIT",
                    "startDate": "2024-01-01T00:00:00Z",
                    "endDate": "2024-12-31T23:59:59Z",
                },
            ],
            "financialSummary": {"totalRevenue": _money(revenue), "outstandingBalance": _money(outstanding)},
        },
    )


def _money(cents: object) -> msgspec.Raw:
    whole = int(str(cents))
    return msgspec.Raw(f"{whole // 100}.{whole % 100:02d}".encode())


_DETAILS: dict[str, Callable[[Store, int, bytes], bytes]] = {"invoices": _invoice, "clients": _client}


def detail(store: Store, resource: Resource, row_id: int) -> bytes | None:
    """The by-id object as JSON, or None when there is no such row.

    A tag without a form of its own shows its row.
    """
    body = store.body(resource, row_id)
    if body is None:
        return None
    shape = _DETAILS.get(resource.name)
    return body if shape is None else shape(store, row_id, body)
