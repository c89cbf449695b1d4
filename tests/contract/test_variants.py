"""Every row is received in each variant of what the documentation leaves open.

The server pages over rows made from the documented examples; a variant changes how it interprets the request
or the form of its response. Only the prefix is configured in the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, ApiError, Pager
from documented import example_row

COUNT = 700
MONEY = re.compile("amount|subtotal|price|rate|budget|cost|value|revenue|balance", re.IGNORECASE)


class Resource(NamedTuple):
    path: str
    items: str
    operation: str
    """The documented operation whose example is used."""
    key: str | None = "id"


RESOURCES = {
    "clients.list": Resource("/clients", "clients", "POST /gql/v1/clients"),
    "clients.search": Resource("/clients/search", "clients", "POST /gql/v1/clients"),
    "contacts.list": Resource("/contacts", "contacts", "GET /gql/v1/contact/{id}"),
    "staff.list": Resource("/staff", "staff", "POST /gql/v1/staff/search"),
    "staff.search": Resource("/staff/search", "staff", "POST /gql/v1/staff/search"),
    "payments.list": Resource("/payments", "payments", "GET /gql/v1/payment/{id}"),
    "draft_invoices.list": Resource(
        "/draft_invoice_histories", "draftInvoices", "POST /gql/v1/draft_invoice_histories", key=None
    ),
    "draft_invoices.search": Resource(
        "/draft_invoice_histories/search", "draftInvoices", "POST /gql/v1/draft_invoice_histories", key=None
    ),
    "invoices.list": Resource("/invoices", "deid_invoice", "GET /gql/v1/invoice/{id}"),
    "invoices.search": Resource("/invoices/search", "deid_invoice", "GET /gql/v1/invoice/{id}"),
    "projects.list": Resource("/projects", "projects", "GET /gql/v1/project/{id}"),
    "wip.list": Resource("/wip", "wip", "GET /gql/v1/wip/{id}"),
    "wip.search": Resource("/wips/search", "wip", "GET /gql/v1/wip/{id}"),
    "engagements.list": Resource("/engagements", "engagements", "GET /gql/v1/engagement/{id}"),
    "engagements.search": Resource("/engagements/search", "engagements", "POST /gql/v1/engagements/search"),
}


def read_rows(client: AiwynClient, name: str) -> Pager[Any]:
    """Start the read of a name in RESOURCES."""
    pager: Pager[Any] = attrgetter(name)(client)()
    return pager


def everywhere(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """Return a JSON value with a change applied to every leaf, by its name."""
    if isinstance(value, dict):
        return {key: everywhere(item, change, key) for key, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item, change, name) for item in value]
    return change(name, value)


def in_snake_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("([A-Z])", r"_\1", key).lower(): in_snake_case(item) for key, item in value.items()}
    return [in_snake_case(item) for item in value] if isinstance(value, list) else value


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


class Variant(NamedTuple):
    """How a server differs. ``row`` changes a row, ``response`` the whole response."""

    page: str = "number"
    max_page_size: int = 1000
    size_key: str = "pageSize"
    count_in: str = "envelope"
    rows: int = COUNT
    row: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row
    response: Callable[[dict[str, Any]], dict[str, Any]] = lambda response: response
    prefix: str = "/gql/v1"
    same_values: bool = True
    """The rows decode to the same values as those of the plain variant."""


def ids_as(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def apply(name: str, value: Any) -> Any:
        is_id = name.lower().endswith("id") and is_number(value)
        return change(value) if is_id else value

    return lambda row: everywhere(row, apply)


def renamed(old: str, new: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda response: {key.replace(old, new): value for key, value in response.items()}


def money_as_text(name: str, value: Any) -> Any:
    return str(value) if is_number(value) and MONEY.search(name) else value


def number_as_text(_name: str, value: Any) -> Any:
    return str(value) if is_number(value) else value


def enums_unknown(name: str, value: Any) -> Any:
    return "NEVER_SEEN" if name in {"status", "type", "paymentMethod", "paymentStatus"} else value


def null_but_the_key(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value if key in {"id", "invoiceId"} else None for key, value in row.items()}


def naive(_name: str, value: Any) -> Any:
    return re.sub(r"(T[0-9:.]+)(Z|\+00:00)$", r"\1", value) if isinstance(value, str) else value


VARIANTS = {
    "as documented": Variant(),
    "the prose's prefix": Variant(prefix="/v1"),
    "another schema prefix": Variant(response=renamed("deid_", "acme_")),
    "no count": Variant(count_in="absent"),
    "a null count": Variant(count_in="null"),
    "a count as text": Variant(count_in="text"),
    "count in total.aggregate": Variant(count_in="total"),
    "count in <table>_aggregate": Variant(count_in="table"),
    "page skips rows": Variant(page="skip"),
    "page skips rows, no count": Variant(page="skip", count_in="absent"),
    "page size cut to 100": Variant(max_page_size=100),
    "page size cut to 500, no count": Variant(max_page_size=500, count_in="absent"),
    "page size cut and page skips rows": Variant(max_page_size=100, page="skip"),
    "limit instead of pageSize": Variant(size_key="limit", count_in="absent"),
    "numbers as text": Variant(row=lambda r: everywhere(r, number_as_text), same_values=False),
    "money as text": Variant(row=lambda r: everywhere(r, money_as_text)),
    "ids as text": Variant(row=ids_as(lambda value: f"id-{value}"), same_values=False),
    "unknown fields": Variant(row=lambda r: r | {"zzz": 1, "more": {"x": [1, None]}}),
    "unknown enum values": Variant(row=lambda r: everywhere(r, enums_unknown), same_values=False),
    "null everywhere but the key": Variant(row=null_but_the_key, same_values=False),
    "snake_case": Variant(row=in_snake_case),
    "naive dates": Variant(row=lambda r: everywhere(r, naive), same_values=False),
    "data, error and meta around": Variant(
        response=lambda a: {"data": a, "error": None, "meta": {"success": True}}
    ),
    "data as the list itself": Variant(
        count_in="absent",
        response=lambda a: {"data": next(iter(a.values())), "error": None, "meta": {"success": True}},
    ),
    "an empty list": Variant(rows=0),
    "an exact multiple of the page size": Variant(rows=600, max_page_size=100),
    "one row": Variant(rows=1, count_in="absent"),
}


class Server:
    """Pages over numbered rows of one resource, in one variant."""

    def __init__(self, resource: Resource, variant: Variant) -> None:
        self.resource = resource
        self.variant = variant
        self.example = example_row(resource.operation, resource.items)
        self.rows = [self.numbered(number) for number in range(variant.rows)]
        self.requests = 0

    def numbered(self, number: int) -> dict[str, Any]:
        return self.example | {"invoiceId" if self.resource.key is None else "id": 1000 + number}

    async def respond(self, request: web.Request) -> web.Response:
        assert request.path == f"{self.variant.prefix}{self.resource.path}", request.path
        self.requests += 1
        body = await request.json()
        rows, count = self.page(body)
        items = [self.variant.row(row) for row in rows]
        response = self.variant.response({self.resource.items: items} | self.counted(count))
        return web.Response(body=json.dumps(response, default=str).encode(), content_type="application/json")

    def page(self, body: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
        size = min(body.get(self.variant.size_key, 50), self.variant.max_page_size)
        if "orderBy" in body:
            after = body.get("where", {}).get("id", {}).get("_gt", 0)
            rows = [row for row in self.rows if row["id"] > int(str(after).removeprefix("id-"))]
            return rows[:size], len(rows)
        start = body["page"] * size if self.variant.page == "number" else body["page"]
        return self.rows[start : start + size], len(self.rows)

    def counted(self, count: int) -> dict[str, Any]:
        shown: dict[str, Any] = {"null": None, "text": str(count)}
        aggregate = {"aggregate": {"count": shown.get(self.variant.count_in, count)}}
        if self.variant.count_in == "absent":
            return {}
        by_table = self.variant.count_in == "table" or (
            self.variant.count_in != "total" and self.resource.items == "deid_invoice"
        )
        return {f"{self.resource.items}_aggregate" if by_table else "total": aggregate}


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Resource, Variant], Any]]:
    servers: list[TestServer] = []
    clients: list[AiwynClient] = []

    async def start(resource: Resource, variant: Variant) -> AiwynClient:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Server(resource, variant).respond)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        url = str(servers[-1].make_url(""))
        clients.append(
            AiwynClient(base_url=url, token="a-token", warn_undocumented=False, gql_prefix=variant.prefix)
        )
        return clients[-1]

    yield start
    for client in clients:
        await client.aclose()
    for server in servers:
        await server.close()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", RESOURCES)
async def test_every_row_is_received(
    name: str, variant: str, serve: Callable[[Resource, Variant], Any]
) -> None:
    resource, chosen = RESOURCES[name], VARIANTS[variant]
    pager = read_rows(await serve(resource, chosen), name)

    rows = await pager.collect()

    keys = [row.invoice_id if resource.key is None else row.id for row in rows]
    assert [int(str(key).removeprefix("id-")) for key in keys] == [1000 + n for n in range(chosen.rows)]
    assert pager.report.complete, pager.report
    if chosen.same_values and rows:
        plain: Any = msgspec.convert(
            msgspec.json.decode(json.dumps(Server(resource, chosen).numbered(0))),
            pager.row_type,
            strict=False,
        )
        assert rows[0] == plain


@pytest.mark.parametrize("name", RESOURCES)
async def test_error_with_a_success_status_raises_api_error(
    name: str, serve: Callable[[Resource, Variant], Any]
) -> None:
    failing = Variant(response=lambda _: {"errors": [{"message": "database query error"}]})
    pager = read_rows(await serve(RESOURCES[name], failing), name)
    with pytest.raises(ApiError, match="database query error"):
        await pager.collect()
