"""Every documented operation has a method, and its example decodes completely.

``documented`` contains the documentation: paths, request fields and examples.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient
from documented import WITH_PATH, example_body


async def first_row(pager: Any) -> Any:
    rows = await pager.collect()
    return rows[0] if rows else None


# The call of each documented operation; it returns the object that the example decodes to, or None.
CALLS: dict[str, Callable[[AiwynClient], Awaitable[Any]]] = {
    "POST /gql/v1/draft_invoice_histories": lambda a: first_row(a.draft_invoices.list(limit=1)),
    "POST /gql/v1/draft_invoice_histories/search": lambda a: first_row(a.draft_invoices.search(limit=1)),
    "GET /gql/v1/draft_invoice/{id}": lambda a: a.draft_invoices.get(56789),
    "POST /gql/v1/clients": lambda a: first_row(a.clients.list(limit=1)),
    "POST /gql/v1/clients/search": lambda a: first_row(a.clients.search(limit=1)),
    "GET /gql/v1/client/{id}": lambda a: a.clients.get(789),
    "POST /gql/v1/contacts": lambda a: first_row(a.contacts.list(limit=1)),
    "GET /gql/v1/contact/{id}": lambda a: a.contacts.get(23456),
    "POST /gql/v1/engagements": lambda a: first_row(a.engagements.list(limit=1)),
    "POST /gql/v1/engagements/search": lambda a: first_row(a.engagements.search(limit=1)),
    "GET /gql/v1/engagement/{id}": lambda a: a.engagements.get(34567),
    "GET /api/v1/event-subscriptions/catalog": lambda a: a.event_subscriptions.catalog(),
    "POST /gql/v1/invoices": lambda a: first_row(
        a.invoices.list(
            client_id=7720,
            status="POSTED",
            start_date="1990-01-01T00:00:00",
            end_date=datetime(2024, 12, 31, 23, 59, 59),  # noqa: DTZ001 (naive, as in the documentation)
            sort_order="desc",
            limit=1,
        )
    ),
    "POST /gql/v1/invoices/search": lambda a: first_row(a.invoices.search(limit=1)),
    "GET /gql/v1/invoice/{id}": lambda a: a.invoices.get(45678),
    "POST /gql/v1/payments": lambda a: first_row(
        a.payments.list(client_id=789, payment_method="ACH", start_date="2024-01-01", limit=1)
    ),
    "GET /gql/v1/payment/{id}": lambda a: a.payments.get(12345),
    "POST /gql/v1/projects": lambda a: first_row(a.projects.list(limit=1)),
    "GET /gql/v1/project/{id}": lambda a: a.projects.get(67890),
    "POST /api/v1/records": lambda a: a.records.upsert([{"type": "X", "systemRef": 1, "attributes": {}}]),
    "PUT /api/v1/records": lambda a: a.records.update([{"type": "X", "systemRef": 1, "attributes": {}}]),
    "POST /api/v1/records/custom": lambda a: a.record_types.create("X", [{"name": "a", "type": "string"}]),
    "PUT /api/v1/records/custom/{name}": lambda a: a.record_types.update("X", active=True),
    "POST /gql/v1/staff": lambda a: first_row(a.staff.list(limit=1)),
    "POST /gql/v1/staff/search": lambda a: first_row(a.staff.search(limit=1)),
    "POST /gql/v1/wip": lambda a: first_row(a.wip.list(client_id=1, limit=1)),
    "POST /gql/v1/wips/search": lambda a: first_row(a.time.search(limit=1)),
    "GET /gql/v1/wip/{id}": lambda a: a.wip.get(89012),
}
# Not a method of a resource: every other call starts with it.
TOKEN = "POST /v1/auth/token"


def assert_equal(decoded: Any, wire: Any, at: str) -> None:
    """Assert that the decoded object has exactly the values of the example."""
    if isinstance(wire, dict):
        if isinstance(decoded, dict):
            assert decoded == wire, at
            return
        by_wire_name = {field.encode_name: field.name for field in msgspec.structs.fields(decoded)}
        for key, value in wire.items():
            assert key in by_wire_name, f"{at}.{key} has no field"
            assert_equal(getattr(decoded, by_wire_name[key]), value, f"{at}.{key}")
    elif isinstance(wire, list):
        assert len(decoded) == len(wire), at
        for index, value in enumerate(wire):
            assert_equal(decoded[index], value, f"{at}[{index}]")
    elif isinstance(decoded, Decimal):
        assert decoded == Decimal(str(wire)), at
    elif isinstance(decoded, datetime):
        assert decoded == datetime.fromisoformat(wire), at
    elif isinstance(decoded, date):
        assert decoded.isoformat() == wire, at
    else:
        assert decoded == wire, at


class Recorder:
    """A server that returns the example of each operation, and records the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []

    def operation(self, method: str, path: str) -> dict[str, Any]:
        for name, operation in WITH_PATH.items():
            verb, _, pattern = name.partition(" ")
            prefix = pattern.partition("{")[0]
            if verb == method and (path == pattern or (prefix != pattern and path.startswith(prefix))):
                self.name = name
                return operation
        raise AssertionError(f"{method} {path} is not a documented operation")

    async def respond(self, request: web.Request) -> web.Response:
        operation = self.operation(request.method, request.path)
        body = json.loads(await request.read() or b"null")
        self.requests.append((self.name, body))
        if self.name == TOKEN:
            return web.json_response({"token": "t"})
        example: dict[str, Any] = example_body(operation)
        if not example and "/{id}" not in operation["path"]:
            example = {"rows": []}
        if "/records" in operation["path"] and "custom" not in operation["path"]:
            example["data"] = {"summary": {"failed": 0}, "records": [{"status": "UPDATED"}]}
            example["error"] = None
        return web.json_response(example)


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[Recorder, AiwynClient]]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.respond)
    async with (
        TestServer(app) as server,
        AiwynClient(base_url=str(server.make_url("")), api_key="k", warn_undocumented=False) as aiwyn,
    ):
        yield recorder, aiwyn


def test_every_documented_operation_has_a_call() -> None:
    assert CALLS.keys() == WITH_PATH.keys() - {TOKEN}


@pytest.mark.parametrize("name", CALLS)
async def test_method_sends_its_path_and_documented_fields(
    name: str, recorder: tuple[Recorder, AiwynClient]
) -> None:
    server, aiwyn = recorder
    await CALLS[name](aiwyn)
    assert server.requests[0] == (TOKEN, {"jwtApiKey": "k"})
    assert {operation for operation, _ in server.requests[1:]} == {name}
    body = server.requests[1][1]
    documented = {field["name"].partition(".")[0] for field in WITH_PATH[name]["request_fields"]}
    if isinstance(body, dict) and documented:
        # Staff and engagement search list `limit` while their own examples send `pageSize`.
        inferred = {"pageSize", "page", "orderBy"}
        assert body.keys() <= documented | inferred, body


@pytest.mark.parametrize("name", [name for name in CALLS if WITH_PATH[name]["response_fields"]])
async def test_documented_example_decodes_with_every_field(
    name: str, recorder: tuple[Recorder, AiwynClient]
) -> None:
    _, aiwyn = recorder
    decoded = await CALLS[name](aiwyn)
    example = example_body(WITH_PATH[name])
    envelope = WITH_PATH[name]["envelope"]
    if isinstance(envelope, list) and envelope[0] == "data":
        if "custom" in name:
            assert_equal(decoded, {k: v for k, v in example["data"].items() if k != "fields"}, name)
        else:
            assert decoded.ok
    elif isinstance(envelope, list) and envelope[0] != "deid_invoice":
        assert_equal(decoded, example[envelope[0]][0], name)
    elif not isinstance(envelope, list):
        assert_equal(decoded, example, name)


async def test_invoice_list_sends_the_documented_example_exactly(
    recorder: tuple[Recorder, AiwynClient],
) -> None:
    server, aiwyn = recorder
    await CALLS["POST /gql/v1/invoices"](aiwyn)
    assert server.requests[1][1] == {
        "clientId": 7720,
        "status": "POSTED",
        "startDate": "1990-01-01T00:00:00",
        "endDate": "2024-12-31T23:59:59",
        "sortOrder": "desc",
        "pageSize": 1,
        "page": 0,
    }
