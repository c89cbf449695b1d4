"""The API over HTTP: envelopes, pages, errors, limits and the record of requests."""

import asyncio
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aiwyn_async.sandbox import RateLimit, Sandbox
from sandbox_requests import LIST, SEARCH, bearer


async def test_pages_are_numbered_from_zero_and_cover_every_row_once(box: Sandbox, post: Any) -> None:
    ids: list[int] = []
    total = Decimal(0)
    for page in range(math.ceil(300 / 41) + 1):
        status, response = await post(LIST, {"pageSize": 41, "page": page})
        assert status == 200
        assert list(response) == ["deid_invoice", "deid_invoice_aggregate"]
        assert response["deid_invoice_aggregate"] == {"aggregate": {"count": 300}}
        ids += [row["id"] for row in response["deid_invoice"]]
        total += sum(Decimal(str(row["totalAmount"])) for row in response["deid_invoice"])
    assert len(ids) == len(set(ids)) == 300
    assert int(total * 100) == box.scalar("SELECT sum(total_cents) FROM invoices")


async def test_clients_page_is_an_offset(post: Any) -> None:
    _, full = await post("/gql/v1/clients", {})
    assert list(full) == ["clients", "total"]
    assert full["total"] == {"aggregate": {"count": 8}}
    assert list(full["clients"][0]) == [
        "id",
        "pmsRef",
        "clientRef",
        "name",
        "clientKey",
        "active",
        "partnerStaffId",
    ]
    _, part = await post("/gql/v1/clients", {"pageSize": 3, "page": 2})
    assert part["clients"] == full["clients"][2:5]
    names = [row["name"] for row in full["clients"]]
    assert names == sorted(names)
    _, result = await post("/gql/v1/clients/search", {"where": {"name": {"_eq": names[0]}}})
    assert {row["name"] for row in result["clients"]} == {names[0]}


@pytest.mark.parametrize(("path", "size"), [(LIST, 25), (SEARCH, 1)])
async def test_page_size_has_the_documented_default(post: Any, path: str, size: int) -> None:
    _, response = await post(path)
    assert len(response["deid_invoice"]) == size


async def test_list_filters_and_sorts(box: Sandbox, post: Any) -> None:
    client = int(str(box.scalar("SELECT client_id FROM invoices LIMIT 1")))
    body = {
        "clientId": client,
        "status": "PAID",
        "startDate": "2020-01-01T00:00:00",
        "endDate": "2023-12-31T23:59:59",
        "sortOrder": "asc",
        "pageSize": 1000,
    }
    _, response = await post(LIST, body)
    rows = response["deid_invoice"]
    assert rows
    assert all(row["clientId"] == client and row["status"] == "PAID" for row in rows)
    created = [row["createdAt"] for row in rows]
    assert created == sorted(created)
    assert created[0] >= "2020"
    assert created[-1] < "2024"
    _, newest = await post(LIST, {})
    assert newest["deid_invoice"][0]["createdAt"] == max(row["createdAt"] for row in newest["deid_invoice"])


async def test_search_accepts_the_documented_request(post: Any) -> None:
    where = {
        "_and": [
            {"_or": [{"invoiceNumber": {"_ilike": "%inv-2024%"}}, {"description": {"_ilike": "%SERVICE%"}}]},
            {"status": {"_in": ["POSTED", "CLOSED"]}},
            {"createdAt": {"_gte": "2024-01-01T00:00:00Z"}},
            {"dueDate": {"_gte": "2024-01-01"}},
            {"client": {"active": {"_eq": True}}},
            {"lineItems": {"amount": {"_gt": 100}}},
        ]
    }
    order = [{"invoiceNumber": "asc"}, {"createdAt": "desc"}]
    status, response = await post(SEARCH, {"pageSize": 500, "where": where, "orderBy": order})
    numbers = [row["invoiceNumber"] for row in response["deid_invoice"]]
    assert status == 200
    assert numbers
    assert numbers == sorted(numbers)
    assert {row["status"] for row in response["deid_invoice"]} <= {"POSTED", "CLOSED"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LIST, {"pageSize": 0}),
        (LIST, {"pageSize": 1001}),
        (LIST, {"pageSize": "25"}),
        (LIST, {"pageSize": True}),
        (LIST, {"page": -1}),
        (LIST, {"sortOrder": "up"}),
        (LIST, {"status": "CLOSED"}),
        (LIST, {"status": ["PAID"]}),
        (LIST, {"clientId": "7720"}),
        (LIST, {"startDate": "soon"}),
        (LIST, {"where": {}}),
        (LIST, []),
        (SEARCH, {"where": {"nope": {"_eq": 1}}}),
        (SEARCH, {"where": {"id": {"_almost": 1}}}),
        (SEARCH, {"orderBy": [{"id": "up"}]}),
        (SEARCH, {"limit": 5}),
    ],
)
async def test_bad_request_returns_the_reason(post: Any, path: str, body: Any) -> None:
    status, response = await post(path, body)
    assert status == 400
    assert response["errors"][0]["message"]
    assert response["errors"][0]["extensions"] == {"code": "validation-failed"}


async def test_body_must_be_json(box: Sandbox, http: aiohttp.ClientSession) -> None:
    for data in (b"{", b"\xff\xfe", b"[" * 100_000):
        async with http.post(f"{box.url}{LIST}", data=data, headers=bearer(box.token)) as response:
            assert response.status == 400
            assert (await response.json())["errors"][0]["extensions"]["code"] == "parse-failed"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/gql/v1/invoice/1", 404),
        ("GET", "/gql/v1/invoice/abc", 400),
        ("GET", "/gql/v1/invoice/0", 400),
        ("GET", "/gql/v1/invoice/99999999999999999999", 400),
        ("GET", LIST, 405),
        ("POST", "/nothing/here", 404),
        ("GET", "/", 404),
    ],
)
async def test_errors_have_an_error_body(
    box: Sandbox, http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with http.request(method, f"{box.url}{path}", headers=bearer(box.token)) as response:
        assert response.status == status
        assert (await response.json())["errors"][0]["message"]
        assert response.headers["X-Request-Id"]
        assert response.headers["Date"]
        assert box.requests[-1].request_id == response.headers["X-Request-Id"]


async def test_detail_differs_from_the_row(box: Sandbox, http: aiohttp.ClientSession, post: Any) -> None:
    _, response = await post(SEARCH, {"pageSize": 300})
    seen: set[str] = set()
    for row in response["deid_invoice"][:60]:
        async with http.get(f"{box.url}/gql/v1/invoice/{row['id']}", headers=bearer(box.token)) as result:
            text = await result.text()
        one = json.loads(text)
        assert one.keys() == row.keys() - {"description"}
        seen.add(one["status"])
        assert f'"totalAmount":{row["totalAmount"]:.2f},' in text
        assert {k: v for k, v in row.items() if k not in {"description", "status"}} == {
            k: v for k, v in one.items() if k != "status"
        }
    assert seen <= {"DRAFT", "SENT", "VIEWED", "PAID", "OVERDUE", "CANCELLED"}
    assert {"SENT", "VIEWED"} <= seen


async def test_client_detail_sums_its_invoices(box: Sandbox, http: aiohttp.ClientSession) -> None:
    client = int(str(box.scalar("SELECT client_id FROM invoices LIMIT 1")))
    async with http.get(f"{box.url}/gql/v1/client/{client}", headers=bearer(box.token)) as response:
        result = json.loads(await response.text(), parse_float=Decimal)
    owed = box.scalar("SELECT sum(outstanding_cents) FROM invoices WHERE client_id = ?", (client,))
    assert result["financialSummary"]["outstandingBalance"] * 100 == owed
    assert result["legalName"] == f"{result['name']}, Inc."


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1:1", 421),
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("LOCALHOST:{port}", 200),
        ("127.0.0.1:{port}", 200),
        ("[::1]", 200),
        ("[::1]:{port}", 200),
        ("[::2]:{port}", 421),
        ("127.0.0.1.evil", 421),
        ("evil.com", 421),
        ("evil.com:{port}", 421),
        ("localhost.evil.com", 421),
        ("localhost.", 421),
    ],
)
async def test_host_header_must_name_the_server(post: Any, box: Sandbox, host: str, status: int) -> None:
    host = host.replace("{port}", box.url.rpartition(":")[2])
    assert (await post(LIST, {}, headers={"Host": host}))[0] == status
    if status == 421:
        assert (await post("/nothing", {}, headers={"Host": host}))[0] == 421


@pytest.mark.parametrize(
    "head", ["GET http://localhost/openapi.json HTTP/1.1\r\nHost: evil.com", "GET /openapi.json HTTP/1.0"]
)
async def test_host_of_the_target_or_no_host_is_not_enough(box: Sandbox, head: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(box.url.rpartition(":")[2]))
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert b" 421 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


async def test_server_listens_on_loopback_only(box: Sandbox) -> None:
    port = int(box.url.rpartition(":")[2])
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in _lines(Path("/proc/net", name))[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


async def test_rate_limit_returns_retry_after(http: aiohttp.ClientSession) -> None:
    now = 100.0
    async with Sandbox(10, rate_limit=RateLimit(per_second=0.5, burst=2), monotonic=lambda: now) as box:

        async def status() -> tuple[int, str | None]:
            async with http.post(f"{box.url}{LIST}", json={}, headers=bearer(box.token)) as response:
                return response.status, response.headers.get("Retry-After")

        assert [await status() for _ in range(3)] == [(200, None), (200, None), (429, "2")]
        now += 2
        assert await status() == (200, None)
        assert await status() == (429, "2")


async def test_page_limits_clamp_default_and_cap(http: aiohttp.ClientSession) -> None:
    async def page(box: Sandbox, body: Any) -> tuple[int, int, int]:
        async with http.post(f"{box.url}{LIST}", json=body, headers=bearer(box.token)) as response:
            result = await response.json()
            if response.status != 200:
                return response.status, 0, 0
            return (
                response.status,
                len(result["deid_invoice"]),
                result["deid_invoice_aggregate"]["aggregate"]["count"],
            )

    async with Sandbox(50, clamp_page_size=10, count_cap=20) as box:
        assert await page(box, {"pageSize": 1000}) == (200, 10, 20)
    async with Sandbox(50, max_page_size=30, default_page_size=7) as box:
        assert await page(box, {"pageSize": 31}) == (400, 0, 0)
        assert await page(box, {}) == (200, 7, 50)
    async with Sandbox(50, max_page_size=10) as box:
        assert await page(box, {}) == (200, 10, 50)


async def test_ties_are_fixed_or_shifting(http: aiohttp.ClientSession) -> None:
    async def orders(box: Sandbox) -> set[tuple[int, ...]]:
        result: set[tuple[int, ...]] = set()
        for _ in range(5):
            async with http.post(
                f"{box.url}{LIST}", json={"pageSize": 90}, headers=bearer(box.token)
            ) as response:
                result.add(tuple(row["id"] for row in (await response.json())["deid_invoice"]))
        return result

    async with Sandbox(90) as box:
        (fixed,) = await orders(box)
        assert list(fixed) != sorted(fixed, reverse=True)
    async with Sandbox(90, ties="shifting") as box:
        assert len(await orders(box)) > 1


async def test_requests_are_recorded_without_secrets(
    box: Sandbox, post: Any, http: aiohttp.ClientSession
) -> None:
    await post(LIST, {"pageSize": 3})
    async with http.post(f"{box.url}/v1/auth/token", json={"jwtApiKey": box.api_key}):
        pass
    listed, exchanged = box.requests
    assert (listed.route, listed.method, listed.path, listed.status) == ("invoices.list", "POST", LIST, 200)
    assert listed.body == {"pageSize": 3}
    assert listed.authorization
    assert not exchanged.authorization
    assert exchanged.at >= listed.at
    assert box.api_key not in repr(box.requests)
    assert (box.calls("invoices.list"), box.calls("invoices.get"), box.calls()) == (1, 0, 2)


async def test_concurrent_requests_are_served(post: Any) -> None:
    responses = await asyncio.gather(
        *(post(SEARCH, {"where": {"id": {"_gt": 40001 + n}}}) for n in range(40))
    )
    assert {status for status, _ in responses} == {200}
