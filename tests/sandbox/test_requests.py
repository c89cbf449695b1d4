"""Bad requests, and paths that the documentation shows without their prefix."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sandbox._declarations.schema import RESOURCES

PROSE_PATHS = [
    ("POST", "/v1/draft_invoice_histories", "/gql/v1/draft_invoice_histories"),
    ("POST", "/v1/draft_invoice_histories/search", "/gql/v1/draft_invoice_histories/search"),
    ("GET", "/v1/draft_invoice/56789", "/gql/v1/draft_invoice/{id}"),
    ("POST", "/v1/clients", "/gql/v1/clients"),
    ("GET", "/v1/client/789", "/gql/v1/client/{id}"),
    ("POST", "/v1/contacts", "/gql/v1/contacts"),
    ("GET", "/v1/contact/23456", "/gql/v1/contact/{id}"),
    ("POST", "/v1/engagements/search", "/gql/v1/engagements/search"),
    ("GET", "/v1/engagement/34567", "/gql/v1/engagement/{id}"),
    ("POST", "/v1/invoices", "/gql/v1/invoices"),
    ("POST", "/v1/invoices/search", "/gql/v1/invoices/search"),
    ("GET", "/v1/invoice/45678", "/gql/v1/invoice/{id}"),
    ("POST", "/v1/payments", "/gql/v1/payments"),
    ("GET", "/v1/payment/12345", "/gql/v1/payment/{id}"),
    ("POST", "/v1/projects", "/gql/v1/projects"),
    ("GET", "/v1/project/67890", "/gql/v1/project/{id}"),
    ("POST", "/v1/staff/search", "/gql/v1/staff/search"),
    ("POST", "/v1/wip", "/gql/v1/wip"),
    ("POST", "/v1/wips/search", "/gql/v1/wips/search"),
    ("GET", "/v1/wip/89012", "/gql/v1/wip/{id}"),
]


@pytest.mark.parametrize(("method", "prose", "real"), PROSE_PATHS)
async def test_path_without_prefix_suggests_the_real_one(
    box: Sandbox, http: Any, method: str, prose: str, real: str
) -> None:
    headers = {"Authorization": f"Bearer {box.token}"}
    async with http.request(method, f"{box.url}{prose}", headers=headers) as response:
        assert response.status == 404
        assert f"{method} {real}" in (await response.json())["errors"][0]["message"]


async def test_number_beyond_all_decimals_is_a_bad_request(box: Sandbox, http: Any) -> None:
    headers = {"Authorization": f"Bearer {box.token}", "Content-Type": "application/json"}
    for path in ("/gql/v1/invoices", "/gql/v1/invoices/search"):
        body = b'{"page":1E+99999999999999999999}'
        async with http.post(f"{box.url}{path}", data=body, headers=headers) as response:
            assert response.status == 400


async def test_unknown_path_is_not_found(post: Any) -> None:
    for path in ("/v1/nothing", "/v2/invoices", "/invoices", "/v1/"):
        status, response = await post(path, {})
        assert (status, response["errors"][0]["message"]) == (404, "Not Found")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("invoices", {"startDate": "yesterday"}, "startDate: 'yesterday' is not an ISO date-time"),
        ("invoices", {"endDate": 5}, "endDate: expected an ISO date-time as a string"),
        ("invoices", {"startDate": "2024-02-30"}, "startDate: '2024-02-30' is out of range"),
        ("invoices", {"startDate": None}, "startDate: must not be null"),
        ("invoices", {"clientId": "7720"}, "clientId: expected integer"),
        ("payments", {"startDate": ""}, "startDate: '' is not an ISO date-time"),
        ("wip", {"jobId": 1.5}, "jobId: expected integer"),
        ("staff", {"active": "yes"}, "active: expected boolean"),
        ("staff", {"lastName": 5}, "lastName: expected text"),
    ],
)
async def test_bad_filter_is_named_in_the_error(post: Any, path: str, body: Any, message: str) -> None:
    status, response = await post(f"/gql/v1/{path}", body)
    assert (status, response["errors"][0]["message"]) == (400, message)


async def test_filter_accepts_a_whole_number_with_a_fraction(box: Sandbox, post: Any) -> None:
    client = int(str(box.scalar("SELECT client_id FROM invoices LIMIT 1")))
    _, response = await post("/gql/v1/invoices", {"clientId": float(client)})
    assert {row["clientId"] for row in response["deid_invoice"]} == {client}


MALFORMED = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: x\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd",
    b"GET /\xff HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", MALFORMED, ids=range(len(MALFORMED)))
async def test_malformed_request_gets_a_response_and_no_log(
    box: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """aiohttp logs a traceback of each, which is printed to stderr if logging is not configured."""
    host = box.url.removeprefix("http://")
    sent = request_bytes.replace(b"{path}", b"/gql/v1/invoices").replace(b"{host}", host.encode())
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(sent)
    status = (await reader.readline()).split()[1]
    writer.close()
    assert status in {b"400", b"401"}
    async with asyncio.timeout(5):
        await box.stop()
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


async def test_handler_error_is_logged(caplog: pytest.LogCaptureFixture, post: Any, box: Sandbox) -> None:
    def failing(_body: bytes) -> bytes:
        raise ZeroDivisionError

    box.faults.add("invoices.list", mutate=failing)
    with pytest.raises(Exception, match="500"):
        await post("/gql/v1/invoices", {})
    assert "ZeroDivisionError" in caplog.text


def changed_at(box: Sandbox, resource: str) -> dict[int, int]:
    rows = box.query(f"SELECT id, updated_at_us FROM {resource}")
    return {int(str(row_id)): int(str(instant)) for row_id, instant in rows}


@pytest.mark.parametrize(
    "resource",
    [name for name, resource in RESOURCES.items() if "updatedAt" in resource.by_wire],
)
async def test_inserted_rows_are_newer_than_all_others(box: Sandbox, resource: str) -> None:
    latest = max(changed_at(box, resource).values())
    ids = box.insert(resource, count=3)
    stamps = [changed_at(box, resource)[row_id] for row_id in ids]
    assert latest < stamps[0] < stamps[1] < stamps[2]
    box.update(resource, ids[0], {"id": ids[0]})
    assert changed_at(box, resource)[ids[0]] > stamps[2]
    (later,) = box.insert(resource)
    assert changed_at(box, resource)[later] == max(changed_at(box, resource).values())


async def test_child_rows_of_inserted_rows_are_newer_than_all_others(box: Sandbox) -> None:
    before = changed_at(box, "payments")
    box.insert("invoices", count=10)
    after = changed_at(box, "payments")
    fresh = [stamp for row_id, stamp in after.items() if row_id not in before]
    assert fresh
    assert min(fresh) > max(before.values())
    assert len(set(fresh)) == len(fresh)


async def test_incremental_read_returns_every_inserted_row(box: Sandbox, post: Any) -> None:
    (newest,) = box.query("SELECT max(updated_at_us) FROM invoices")[0]
    after = dt.datetime.fromtimestamp(int(str(newest)) / 1e6, dt.UTC).isoformat()
    ids = box.insert("invoices", {"notes": "new"}, count=13)
    where = {"updatedAt": {"_gt": after}}
    _, response = await post("/gql/v1/invoices/search", {"pageSize": 50, "where": where})
    assert [row["id"] for row in response["deid_invoice"]] == ids


async def test_explicit_update_time_is_preserved(box: Sandbox, post: Any) -> None:
    (row_id,) = box.insert("invoices", {"updatedAt": "2001-01-01T00:00:00Z"})
    _, response = await post("/gql/v1/invoices/search", {"where": {"id": {"_eq": row_id}}})
    assert response["deid_invoice"][0]["updatedAt"] == "2001-01-01T00:00:00Z"


async def test_calls_counts_a_route_a_verb_and_all(box: Sandbox, post: Any) -> None:
    await post("/gql/v1/invoices", {})
    await post("/gql/v1/payments", {})
    await post("/gql/v1/invoices/search", {})
    assert (box.calls("invoices.list"), box.calls("list"), box.calls("search"), box.calls()) == (1, 2, 1, 3)
    with pytest.raises(ValueError, match=r"unknown route 'invoice.list'; use one of .*, invoices.list,"):
        box.calls("invoice.list")


async def test_calls_counts_requests_to_other_paths(box: Sandbox, post: Any) -> None:
    assert box.calls("unknown") == 0
    await post("/gql/v1/bills", {})
    assert [box.calls(each.route) for each in box.requests] == [1]


@pytest.mark.parametrize("change", ["insert", "update", "delete", "refresh"])
def test_unknown_resource_is_named_with_the_known_ones(change: str) -> None:
    with Sandbox(invoices=1) as box:
        changes: dict[str, Callable[[], object]] = {
            "insert": lambda: box.insert("bills"),
            "update": lambda: box.update("bills", 1, {}),
            "delete": lambda: box.delete("bills", 1),
            "refresh": lambda: box.refresh("bills"),
        }
        with pytest.raises(ValueError, match=r"unknown resource 'bills'; use one of .*invoices"):
            changes[change]()
