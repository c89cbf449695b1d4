"""The OpenAPI description is current, complete, and matches a running sandbox."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from aiwyn_async.sandbox import Sandbox, serve
from aiwyn_async.sandbox._http.write_routes import DESCRIPTION_FILE
from documented import WITH_PATH

schemathesis: Any = pytest.importorskip("schemathesis")
checks: Any = pytest.importorskip("schemathesis.specs.openapi.checks")

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "5"))
"""Requests per operation and mode; each takes 50 ms to generate."""
ROOT = Path(__file__).parents[2]
DESCRIPTION: dict[str, Any] = json.loads(DESCRIPTION_FILE.read_bytes())
METHODS = {"get", "post", "put", "delete"}
OPERATIONS = [
    (method, path) for path, item in DESCRIPTION["paths"].items() for method in item if method in METHODS
]
SCHEMA: Any = schemathesis.openapi.from_dict(DESCRIPTION)  # keeps what it derives from each type
CASES: list[int] = []


class Served(NamedTuple):
    box: Sandbox
    url: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A sandbox on a separate loop, for a client that blocks."""
    running, announced = threading.Event(), list[str]()
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    box = Sandbox(invoices=60, seed=11)

    def ready(started: Sandbox) -> None:
        announced.append(started.url)
        running.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(box, stop, ready=ready)))
    thread.start()
    assert running.wait(20)
    yield Served(box, announced[0])
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()
    print(f"\n{len(CASES)} cases over {len(OPERATIONS)} operations")  # noqa: T201 - shown by -s


def test_openapi_file_is_current() -> None:
    """``python -m tools.openapi`` writes it."""
    command = [sys.executable, "-m", "tools.openapi", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


async def test_openapi_is_served_without_a_token(box: Sandbox, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{box.url}/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.json() == DESCRIPTION
    async with http.get(f"{box.url}/openapi.json", headers={"Host": "evil.example"}) as response:
        assert response.status == 421


async def test_openapi_describes_every_route(box: Sandbox) -> None:
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in box._app.router.routes()  # pyright: ignore[reportPrivateUsage]
        if route.resource is not None
    }
    control = {route for route in routes if route[1].startswith("/_sandbox/")}
    assert routes - control - {("get", "/openapi.json")} == set(OPERATIONS)


def test_openapi_operations_have_id_tag_and_evidence() -> None:
    operations = [DESCRIPTION["paths"][path][method] for method, path in OPERATIONS]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["tags"]
        assert operation["x-aiwyn-evidence"] in {"confirmed", "inferred"}
        assert {"400", "401", "429"} <= operation["responses"].keys()
    result = {operation["operationId"]: operation["x-aiwyn-evidence"] for operation in operations}
    assert result["upsertRecords"] == result["listInvoices"] == "confirmed"
    assert result["createSubscription"] == result["exchangeToken"] == "inferred"


SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]


def evidence(schema: str, field: str) -> str | None:
    result: str | None = SCHEMAS[schema]["properties"][field].get("x-aiwyn-evidence")
    return result


def test_openapi_has_no_null_type() -> None:
    """openapi-generator fails on it."""
    assert SCHEMAS["FailureResponse"]["properties"]["data"]["type"] == ["object", "null"]

    def types(node: Any) -> Iterator[object]:
        if isinstance(node, dict):
            if "properties" in node:
                for value in node["properties"].values():
                    yield value.get("type")
            for value in node.values():
                yield from types(value)

    assert "null" not in list(types(SCHEMAS))


def test_openapi_fields_have_documented_examples_enums_and_formats() -> None:
    detail, request = SCHEMAS["InvoiceDetail"]["properties"], SCHEMAS["InvoiceListRequest"]["properties"]
    assert detail["paymentStatus"]["enum"] == ["UNPAID", "PARTIALLY_PAID", "PAID", "OVERDUE"]
    assert detail["totalAmount"] == {"type": "number", "format": "decimal", "examples": [22000]}
    assert detail["dueDate"]["format"] == detail["updatedAt"]["format"] == "date-time"
    assert detail["id"] == {"type": "integer", "format": "int64", "examples": [45678]}
    assert SCHEMAS["EngagementSearchRow"]["properties"]["start_dt"]["format"] == "date"
    assert request["sortOrder"]["default"] == "desc"
    assert (request["pageSize"]["default"], request["pageSize"]["examples"]) == (25, [25])
    assert SCHEMAS["Client"]["properties"]["pmsRef"]["description"]
    (parameter,) = DESCRIPTION["paths"]["/gql/v1/invoice/{id}"]["get"]["parameters"]
    assert parameter["example"] == 45678


def test_openapi_bounds_and_defaults_agree_with_documented_ones() -> None:
    names = {"default": "default", "min": "minimum", "max": "maximum"}
    shown: dict[tuple[str, str, str], Any] = {}
    for operation in WITH_PATH.values():
        body = DESCRIPTION["paths"][operation["path"]][operation["method"].lower()].get("requestBody")
        if body is not None:
            schema = SCHEMAS[body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]
            for field in operation["request_fields"]:
                for fact in names.keys() & field.keys():
                    described = schema["properties"][field["name"]][names[fact]]
                    shown[operation["path"], field["name"], fact] = (described, field[fact])
    assert {key: pair for key, pair in shown.items() if pair[0] != pair[1]} == {}
    assert len(shown) > 15


def test_openapi_marks_undocumented_errors_as_inferred() -> None:
    for method, path, documented in (
        ("post", "/api/v1/records", {"400", "401", "403", "500"}),
        ("put", "/api/v1/records", {"400", "401", "403", "404", "500"}),
        ("put", "/api/v1/records/custom/{name}", {"400", "401", "403", "404", "500"}),
        ("post", "/gql/v1/wips/search", {"400", "401", "500"}),
        ("post", "/gql/v1/invoices", set[str]()),
    ):
        responses = DESCRIPTION["paths"][path][method]["responses"]
        own = {code for code, response in responses.items() if "x-aiwyn-evidence" not in response}
        assert own == {*documented, "200"}


def test_openapi_evidence_marks_fields_that_differ() -> None:
    assert evidence("InvoiceDetail", "invoiceNumber") is None
    assert evidence("InvoiceDetailLineItem", "amount") == "example"
    assert evidence("InvoicePage", "deid_invoice") is None
    assert evidence("Invoice", "totalAmount") == "inferred"
    assert evidence("ClientPage", "clients") is None
    assert evidence("ClientPage", "total") == "inferred"
    assert evidence("PaymentDetail", "cardType") == "example"
    assert evidence("ProjectDetail", "name") == "example"
    assert evidence("RecordSummary", "failed") == "prose"
    assert evidence("RecordSummary", "created") == "inferred"
    assert evidence("WipListRequest", "type") == "inferred"
    assert evidence("InvoiceSearchRequest", "page") == "inferred"
    assert evidence("TextComparison", "_iregex") == "inferred"


def test_openapi_references_resolve() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in cast("dict[str, Any]", node).items():
                if key == "$ref":
                    yield value
                else:
                    yield from references(value)
        elif isinstance(node, list):
            for value in cast("list[object]", node):
                yield from references(value)

    missing = {ref for ref in references(DESCRIPTION) if ref.rpartition("/")[2] not in SCHEMAS}
    assert not missing


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_sandbox_responds_as_described(served: Served, method: str, path: str, mode: str) -> None:
    """Send requests that the description allows, and requests that it does not."""
    operation = SCHEMA[path][method.upper()]
    expected_checks = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
    ]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def check(case: Any) -> None:
        CASES.append(1)
        headers = {"Authorization": f"Bearer {served.box.token}"}
        response = case.call(base_url=served.url, headers=headers)
        case.validate_response(response, checks=expected_checks)

    check()
