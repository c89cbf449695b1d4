"""Every documented read is served, with every documented field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sandbox._declarations.schema import RESOURCES

DOCUMENTED: dict[str, Any] = json.loads(
    Path(__file__).with_name("data").joinpath("documented.json").read_text()
)
UNDOCUMENTED_RESOURCES = [
    "last_miles",
    "client_business_entities",
    "contact_clients",
    "contact_infos",
    "departments",
    "industries",
    "jobs",
    "job_templates",
    "offices",
    "service_lines",
]


def served_paths() -> Iterator[tuple[str, str, bool]]:
    for resource in RESOURCES.values():
        for verb, path in resource.paths.items():
            yield "GET" if verb == "get" else "POST", path, verb in resource.confirmed


def keys_at(node: Any, path: list[str]) -> set[str]:
    """The dotted paths of every key within."""
    if isinstance(node, list):
        return {key for item in cast("list[object]", node) for key in keys_at(item, path)}
    if not isinstance(node, dict):
        return set()
    result: set[str] = set()
    for key, value in cast("dict[str, Any]", node).items():
        here = [*path, key]
        result |= {".".join(here)} | keys_at(value, here)
    return result


def test_reads_are_served_with_documented_evidence() -> None:
    served = {(method, path): confirmed for method, path, confirmed in served_paths()}
    expected = {(method, path): confirmed for method, path, confirmed in DOCUMENTED["operations"]}
    assert {key: served[key] for key in expected} == expected
    unseen = {path for (_, path), confirmed in served.items() if confirmed} - {path for _, path in expected}
    assert not unseen, "no other read is confirmed"


@pytest.mark.parametrize("name", UNDOCUMENTED_RESOURCES)
async def test_undocumented_resource_has_list_and_get_only(post: Any, get: Any, name: str) -> None:
    status, response = await post(f"/gql/v1/{name}", {"pageSize": 2})
    assert status == 200
    (first, *_) = response[name]
    assert {"id", "name", "active", "createdAt", "updatedAt"} <= first.keys()
    assert response["total"]["aggregate"]["count"] >= 2
    path = RESOURCES[name].paths["get"]
    assert (await get(path.replace("{id}", str(first["id"]))))[0] == 200
    assert (await post(f"/gql/v1/{name}/search", {}))[0] == 404


@pytest.mark.parametrize("name", ["contacts", "payments", "projects"])
async def test_search_is_served_only_if_documented(post: Any, name: str) -> None:
    assert (await post(f"/gql/v1/{name}/search", {}))[0] == 404


@pytest.mark.parametrize("operation", DOCUMENTED["responses"], ids=lambda item: item["path"])
async def test_responses_have_every_documented_field(
    box: Sandbox, post: Any, get: Any, operation: Any
) -> None:
    path, result = operation["path"], set[str]()
    if operation["method"] == "POST":
        status, response = await post(path, {"pageSize": 50})
        assert status == 200
        result = keys_at(response, [])
    else:
        resource = next(item for item in RESOURCES.values() if item.paths.get("get") == path)
        for (row_id,) in box.query(f"SELECT id FROM {resource.name} LIMIT 40"):
            status, response = await get(path.replace("{id}", str(row_id)))
            assert status == 200
            result |= keys_at(response, [])
    assert set(operation["fields"]) <= result


async def test_staff_and_engagements_accept_limit_and_page_size(post: Any) -> None:
    for path, key in (("/gql/v1/staff/search", "staff"), ("/gql/v1/engagements/search", "engagements")):
        for body in ({"limit": 3}, {"pageSize": 3}):
            assert len((await post(path, body))[1][key]) == 3
    where = {"_and": [{"lastName": {"_ilike": "%a%"}}, {"office": {"active": {"_eq": True}}}]}
    _, response = await post(
        "/gql/v1/staff/search", {"limit": 9, "where": where, "orderBy": [{"lastName": "asc"}]}
    )
    assert response["staff"]
    assert all("a" in row["lastName"].lower() for row in response["staff"])


async def test_engagements_use_camel_case_in_lists_and_snake_case_in_searches(post: Any) -> None:
    where = {"partnerStaffId": {"_gt": 0}, "startDate": {"_gte": "2019-01-01"}}
    _, result = await post("/gql/v1/engagements/search", {"limit": 1, "where": where})
    assert set(result["engagements"][0]) == {
        *("id", "name", "start_dt", "end_dt", "status", "client_id", "partner_staff_id")
    }
    assert len(result["engagements"][0]["start_dt"]) == len("2024-03-15")
    _, listed = await post("/gql/v1/engagements", {"status": "ACTIVE"})
    assert {row["status"] for row in listed["engagements"]} == {"ACTIVE"}
    assert "startDate" in listed["engagements"][0]


async def test_history_rows_have_documented_fields_only(post: Any) -> None:
    _, response = await post("/gql/v1/draft_invoice_histories", {"pageSize": 4, "page": 3})
    assert set(response["draftInvoices"][0]) == {"clientId", "invoiceId", "jobId", "client", "draftInvoice"}
    _, full = await post("/gql/v1/draft_invoice_histories", {})
    assert full["draftInvoices"][3:7] == response["draftInvoices"]
    where = {
        "activityType": {"_in": ["DRAFT_INVOICE_RECONCILED"]},
        "draftInvoice": {"approvedAt": {"_gte": "2020-01-01T00:00:00Z"}},
        "active": {"_eq": True},
    }
    body = {"where": where, "orderBy": [{"clientId": "asc"}, {"createdAt": "desc"}]}
    _, result = await post("/gql/v1/draft_invoice_histories/search", body)
    assert result["draftInvoices"]
    assert all(row["draftInvoice"]["approvedAt"] >= "2020" for row in result["draftInvoices"])


async def test_payments_and_wip_filter_as_documented(box: Sandbox, post: Any) -> None:
    client = int(str(box.scalar("SELECT client_id FROM payments LIMIT 1")))
    body = {"clientId": client, "paymentMethod": "ACH", "startDate": "2020-01-01", "endDate": "2024-12-31"}
    _, response = await post("/gql/v1/payments", body)
    assert all((row["clientId"], row["paymentMethod"]) == (client, "ACH") for row in response["payments"])
    assert (await post("/gql/v1/payments", {"paymentMethod": "BEADS"}))[0] == 400
    _, response = await post("/gql/v1/wip", {"type": "EXPENSE", "pageSize": 5})
    assert {row["type"] for row in response["wip"]} == {"EXPENSE"}
    where = {
        "_or": [{"type": {"_in": ["TIME"]}}, {"notes": {"_ilike": "%audit%"}}],
        "approved": {"_eq": True},
    }
    order = [{"loggedDate": "desc"}, {"value": "asc"}]
    _, result = await post("/gql/v1/wips/search", {"pageSize": 5, "where": where, "orderBy": order})
    assert len(result["wip"]) == 5


async def test_staff_names_match_in_part(post: Any) -> None:
    _, everyone = await post("/gql/v1/staff", {})
    some = everyone["staff"][0]["lastName"]
    _, result = await post("/gql/v1/staff", {"lastName": some[1:4].upper()})
    assert some in {row["lastName"] for row in result["staff"]}
    assert (await post("/gql/v1/staff", {"lastName": "%"}))[1]["staff"] == []
