"""Bulk writes: applied records, failed records, broken connections, and record types."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from aiwyn_async.sandbox import Sandbox

RECORDS, TYPES = "/api/v1/records", "/api/v1/records/custom"
Send = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
def send(box: Sandbox, http: aiohttp.ClientSession) -> Send:
    async def request(method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {box.token}"}
        async with http.request(method, f"{box.url}{path}", json=body, headers=headers) as response:
            return response.status, await response.json()

    return request


def records(*refs: object, kind: str = "vendor", **attributes: object) -> dict[str, Any]:
    return {"records": [{"type": kind, "systemRef": ref, "attributes": attributes} for ref in refs]}


async def test_upsert_creates_then_updates(box: Sandbox, send: Send) -> None:
    status, response = await send("POST", RECORDS, records({"id": 1}, {"id": 2}, name="A", city="X"))
    assert status == 200
    assert list(response) == ["data", "error", "meta"]
    assert response["error"] is None
    assert response["meta"].keys() == {"success", "message", "timestamp", "version"}
    assert response["meta"]["success"] is True
    assert response["data"]["summary"] == {"total": 2, "created": 2, "updated": 0, "failed": 0}
    first, second = response["data"]["records"]
    assert first == {"type": "vendor", "systemRef": {"id": 1}, "status": "CREATED", "id": first["id"]}
    _, response = await send("POST", RECORDS, records({"id": 2}, {"id": 3}, name="B"))
    assert [item["status"] for item in response["data"]["records"]] == ["UPDATED", "CREATED"]
    assert response["data"]["records"][0]["id"] == second["id"]
    rows = box.query("SELECT system_ref, attributes, times_applied FROM records ORDER BY id")
    assert rows == [
        ('{"id":1}', '{"city":"X","name":"A"}', 1),
        ('{"id":2}', '{"city":"X","name":"B"}', 2),
        ('{"id":3}', '{"name":"B"}', 1),
    ]


async def test_system_ref_ignores_the_order_of_keys(box: Sandbox, send: Send) -> None:
    await send("POST", RECORDS, records({"a": 1, "b": {"c": 2, "d": 3}}))
    _, response = await send("POST", RECORDS, records({"b": {"d": 3, "c": 2}, "a": 1}))
    assert response["data"]["summary"]["updated"] == 1
    _, response = await send("POST", RECORDS, records({"a": 1, "b": {"c": 2, "d": 3}}, kind="payee"))
    assert response["data"]["summary"]["created"] == 1
    assert box.scalar("SELECT max(times_applied) FROM records") == 2


async def test_upsert_without_system_ref_always_creates(box: Sandbox, send: Send) -> None:
    for _ in range(2):
        await send("POST", RECORDS, records(None))
    assert box.scalar("SELECT count(*) FROM records") == 2


async def test_update_creates_nothing(box: Sandbox, send: Send) -> None:
    await send("POST", RECORDS, records("a", name="old"))
    status, response = await send("PUT", RECORDS, records("a", "b", None, name="new"))
    assert status == 200
    assert response["meta"]["success"] is True
    assert response["data"]["summary"] == {"total": 3, "created": 0, "updated": 1, "failed": 2}
    updated, missing, unnamed = response["data"]["records"]
    assert updated["status"] == "UPDATED"
    assert (missing["status"], missing["error"]["code"]) == ("FAILED", "RECORD_NOT_FOUND")
    assert missing["error"]["message"]
    assert "id" not in missing
    assert (unnamed["status"], unnamed["error"]["code"]) == ("FAILED", "SYSTEM_REF_REQUIRED")
    assert box.query("SELECT system_ref, attributes FROM records") == [('"a"', '{"name":"new"}')]
    _, response = await send("PUT", RECORDS, {"records": [{"type": "vendor"}]})
    assert response["data"]["summary"]["failed"] == 1


NO_BULK_WRITES: list[Any] = [
    None,
    [],
    {},
    {"records": None},
    {"records": {}},
    {"records": [1]},
    {"records": [{"systemRef": 1}]},
    {"records": [{"type": ""}]},
    {"records": [{"type": "a", "attributes": []}]},
    {"records": [{"type": "a", "ref": 1}]},
    records(*range(101)),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "body",
    NO_BULK_WRITES,
)
async def test_bulk_write_rejects_bad_bodies(box: Sandbox, send: Send, method: str, body: object) -> None:
    status, response = await send(method, RECORDS, body)
    assert status == 400
    assert response["data"] is None
    assert response["error"]["code"] == "VALIDATION_FAILED"
    assert response["meta"]["success"] is False
    assert box.scalar("SELECT count(*) FROM records") == 0


async def test_bulk_write_accepts_a_hundred_records_and_none(send: Send) -> None:
    assert (await send("POST", RECORDS, records(*range(100))))[1]["data"]["summary"]["created"] == 100
    assert (await send("POST", RECORDS, {"records": []}))[1]["data"]["summary"]["total"] == 0


async def test_fail_records_applies_to_matching_records(box: Sandbox, send: Send) -> None:
    rule = box.fail_records(lambda record: record["systemRef"] in {1, 3}, code="LOCKED", message="in use")
    _, response = await send("POST", RECORDS, records(0, 1, 2, 3))
    assert [item["status"] for item in response["data"]["records"]] == ["CREATED", "FAILED"] * 2
    assert response["data"]["records"][1]["error"] == {"code": "LOCKED", "message": "in use"}
    assert rule.hits == 2
    assert box.query("SELECT system_ref FROM records ORDER BY id") == [("0",), ("2",)]
    box.record_failures.clear()
    _, response = await send("POST", RECORDS, records(1))
    assert response["data"]["summary"]["created"] == 1


async def test_fail_records_counts_over_all_requests(box: Sandbox, send: Send) -> None:
    box.fail_records(every=3, times=2)
    statuses: list[str] = []
    for refs in ((1, 2), (3, 4), (5, 6, 7, 8, 9)):
        _, response = await send("POST", RECORDS, records(*refs))
        statuses += [item["status"] for item in response["data"]["records"]]
    assert [number for number, status in enumerate(statuses, 1) if status == "FAILED"] == [3, 6]


@pytest.mark.parametrize("rule", [{}, {"every": 0}, {"every": 1, "times": 0}])
def test_fail_records_rejects_bad_rules(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"needs when or every|at least 1"):
        Sandbox(1).fail_records(**rule)


@pytest.mark.parametrize(("when", "applied"), [("before", 1), ("after", 2)])
async def test_reset_before_or_after_a_write_looks_the_same(
    box: Sandbox, send: Send, when: Any, applied: int
) -> None:
    """The same error at the client, and one application more or less in the books."""
    fault = box.faults.add("records.upsert", action="reset", when=when)
    with pytest.raises(aiohttp.ClientOSError):
        await send("POST", RECORDS, records("a"))
    assert fault.hits == 1
    assert box.requests[-1].status == 0
    assert box.scalar("SELECT count(*) FROM records") == applied - 1
    assert (await send("POST", RECORDS, records("a")))[0] == 200
    assert box.query("SELECT times_applied FROM records") == [(applied,)]


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
async def test_planned_status_is_sent_before_or_after_a_write(
    box: Sandbox, send: Send, when: Any, count: int
) -> None:
    box.faults.add("records.update", status=503, when=when)
    box.faults.add("records.upsert", status=503, when=when)
    assert (await send("POST", RECORDS, records("a")))[0] == 503
    assert box.scalar("SELECT count(*) FROM records") == count


async def test_write_without_token_fails_in_the_envelope(box: Sandbox, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{box.url}{RECORDS}", json=records("a")) as response:
        assert response.status == 401
        body = await response.json()
    assert body["error"]["code"] == "INVALID_JWT"
    assert body["meta"]["success"] is False
    assert box.calls("records.upsert") == 1


async def test_record_type_is_created_updated_and_deactivated(send: Send) -> None:
    fields = [
        {"name": "rate", "type": "NUMBER", "required": True, "nullable": False, "rank": 1},
        {"type": "STRING"},
    ]
    status, response = await send("POST", TYPES, {"name": "rateCard", "fields": fields})
    assert status == 201
    made = response["data"]
    assert list(made) == [
        *("id", "name", "displayName", "description", "isCustom", "active", "fields"),
        *("recordsUrl", "schemaUrl"),
    ]
    assert (made["displayName"], made["description"], made["isCustom"], made["active"]) == (
        *("rateCard", None),
        *(True, True),
    )
    assert [field["name"] for field in made["fields"]] == ["rate", "field2"]
    status, response = await send("PUT", f"{TYPES}/rateCard", {"description": "What an hour costs"})
    assert status == 200
    assert response["data"] == {**made, "description": "What an hour costs"}
    status, response = await send("PUT", f"{TYPES}/rateCard", {"displayName": "Rates", "fields": None})
    assert response["data"] == {**made, "description": "What an hour costs", "displayName": "Rates"}
    status, response = await send("DELETE", f"{TYPES}/rateCard")
    assert (status, response["data"]["active"]) == (200, False)
    status, response = await send("PUT", f"{TYPES}/rateCard", {"active": True, "displayName": None})
    assert (response["data"]["active"], response["data"]["displayName"]) == (True, "rateCard")


async def test_record_type_checks_its_records(send: Send) -> None:
    fields = [{"name": "rate", "type": "NUMBER", "required": True, "nullable": False}]
    await send("POST", TYPES, {"name": "rateCard", "fields": fields})

    async def code(ref: str, attributes: object) -> object:
        body = {"records": [{"type": "rateCard", "systemRef": ref, "attributes": attributes}]}
        _, response = await send("POST", RECORDS, body)
        (item,) = response["data"]["records"]
        return item["error"]["code"] if "error" in item else item["status"]

    assert await code("a", {}) == "FIELD_REQUIRED"
    assert await code("a", {"rate": None}) == "FIELD_NOT_NULLABLE"
    assert await code("a", {"rate": 5}) == "CREATED"
    assert await code("a", {"other": 1}) == "UPDATED"
    await send("DELETE", f"{TYPES}/rateCard")
    assert await code("a", {"rate": 6}) == "RECORD_TYPE_INACTIVE"


@pytest.mark.parametrize(
    ("request_line", "body", "status", "code"),
    [
        (f"POST {TYPES}", {"name": "known", "fields": []}, 400, "RECORD_TYPE_EXISTS"),
        (f"POST {TYPES}", {"name": "1st", "fields": []}, 400, "VALIDATION_FAILED"),
        (f"POST {TYPES}", {"name": "line\n", "fields": []}, 400, "VALIDATION_FAILED"),
        (f"POST {TYPES}", {"name": "other"}, 400, "VALIDATION_FAILED"),
        (f"POST {TYPES}", {"name": "other", "fields": [{"name": "a"}]}, 400, "VALIDATION_FAILED"),
        (f"PUT {TYPES}/unknown", {}, 404, "RECORD_TYPE_NOT_FOUND"),
        (f"PUT {TYPES}/known", {"name": "renamed"}, 400, "VALIDATION_FAILED"),
        (f"DELETE {TYPES}/unknown", None, 404, "RECORD_TYPE_NOT_FOUND"),
    ],
)
async def test_record_type_rejects_bad_changes(
    send: Send, request_line: str, body: object, status: int, code: str
) -> None:
    assert (await send("POST", TYPES, {"name": "known", "fields": []}))[0] == 201
    result, response = await send(*request_line.split(), body)
    assert (result, response["error"]["code"]) == (status, code)


async def test_written_records_are_stored_in_the_file(http: aiohttp.ClientSession, tmp_path: Any) -> None:
    path = tmp_path / "firm.sqlite3"
    async with Sandbox(10, path=path) as box:
        headers = {"Authorization": f"Bearer {box.token}"}
        async with http.post(f"{box.url}{RECORDS}", json=records("a"), headers=headers) as response:
            assert response.status == 200
    async with Sandbox(10, path=path) as box:
        assert box.query("SELECT type, system_ref FROM records") == [("vendor", '"a"')]
