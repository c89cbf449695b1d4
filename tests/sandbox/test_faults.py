"""Each fault as a client sees it, on a real socket."""

import asyncio
from http import HTTPStatus
from typing import Any

import aiohttp
import numpy as np
import pytest

from aiwyn_async.sandbox import Sandbox

LIST = "/gql/v1/invoices"


async def test_fault_nth_and_times_select_requests(box: Sandbox, post: Any) -> None:
    fault = box.faults.add("invoices.list", nth=3, times=2, status=503, headers={"Retry-After": "7"})
    assert [(await post(LIST, {}))[0] for _ in range(6)] == [200, 200, 503, 503, 200, 200]
    assert fault.hits == 2
    assert [request.status for request in box.requests] == [200, 200, 503, 503, 200, 200]


async def test_fault_every_applies_until_cleared(box: Sandbox, post: Any) -> None:
    box.faults.add("*", every=2, status=500)
    assert [(await post(LIST, {}))[0] for _ in range(4)] == [200, 500, 200, 500]
    box.faults.clear()
    assert [(await post(LIST, {}))[0] for _ in range(2)] == [200, 200]


async def test_fault_match_selects_bodies(box: Sandbox, post: Any) -> None:
    fault = box.faults.add("invoices.list", every=1, status=413, match=lambda body: body["pageSize"] > 10)  # type: ignore[index]
    assert [(await post(LIST, {"pageSize": size}))[0] for size in (20, 10, 11, 5)] == [413, 200, 413, 200]
    assert fault.hits == 2


async def test_fault_sets_status_headers_and_body(box: Sandbox, http: aiohttp.ClientSession) -> None:
    box.faults.add(
        "invoices.list", status=429, headers={"Retry-After": "3", "Content-Type": "text/html"}, body=b"<p>no"
    )
    async with http.post(f"{box.url}{LIST}", json={}) as response:
        assert (response.status, response.headers["Retry-After"], await response.read()) == (
            429,
            "3",
            b"<p>no",
        )
        assert response.content_type == "text/html"


async def test_fault_changes_the_served_body(box: Sandbox, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {box.token}"}
    box.faults.add("invoices.list", mutate=lambda body: body.replace(b"deid_invoice", b"tenant_invoice"))
    async with http.post(f"{box.url}{LIST}", json={}, headers=headers) as response:
        assert (await response.json()).keys() == {"tenant_invoice", "tenant_invoice_aggregate"}
    box.faults.add("invoices.list", body=b"{}")
    async with http.post(f"{box.url}{LIST}", json={}, headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"{}")


@pytest.mark.parametrize(
    ("action", "error"), [("close", aiohttp.ServerDisconnectedError), ("reset", aiohttp.ClientOSError)]
)
async def test_fault_closes_the_connection_without_a_response(
    box: Sandbox, http: aiohttp.ClientSession, post: Any, action: Any, error: type[Exception]
) -> None:
    box.faults.add("invoices.list", action=action)
    with pytest.raises(error):
        await http.post(f"{box.url}{LIST}", json={})
    assert box.requests[-1].status == 0
    assert (await post(LIST, {}))[0] == 200


@pytest.mark.parametrize(("action", "reset"), [("close", False), ("reset", True)])
async def test_fault_close_sends_fin_and_reset_sends_rst(box: Sandbox, action: Any, reset: bool) -> None:
    box.faults.add("invoices.list", action=action)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(box.url.rpartition(":")[2]))
    writer.write(b"POST /gql/v1/invoices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    if reset:
        with pytest.raises(ConnectionResetError):
            await reader.read()
    else:
        assert await reader.read() == b""
    writer.close()
    if not reset:
        await writer.wait_closed()


async def test_fault_truncate_sends_half_the_body(box: Sandbox, http: aiohttp.ClientSession) -> None:
    box.faults.add("invoices.list", action="truncate")
    async with http.post(
        f"{box.url}{LIST}", json={}, headers={"Authorization": f"Bearer {box.token}"}
    ) as response:
        assert response.status == 200
        half = int(response.headers["Content-Length"]) // 2
        assert (await response.content.readexactly(half)).startswith(b'{"deid_invoice"')
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read(1)


async def test_fault_drip_sends_single_bytes(box: Sandbox, http: aiohttp.ClientSession) -> None:
    box.faults.add("invoices.list", action="drip", interval=0.0, body=b"slowly")
    async with http.post(
        f"{box.url}{LIST}", json={}, headers={"Authorization": f"Bearer {box.token}"}
    ) as response:
        assert await response.content.readany() == b"s"
        assert await response.read() == b"lowly"


async def test_fault_raw_sends_the_bytes_unchanged(box: Sandbox, http: aiohttp.ClientSession) -> None:
    box.faults.add("invoices.list", action="raw", body=b"HTTP/1.1 two hundred\r\n\r\n")
    with pytest.raises(aiohttp.ClientResponseError):
        await http.post(f"{box.url}{LIST}", json={})


async def test_fault_stall_lasts_until_the_client_disconnects(
    box: Sandbox, http: aiohttp.ClientSession, post: Any
) -> None:
    fault = box.faults.add("invoices.list", action="stall")
    with pytest.raises(TimeoutError):
        await http.post(f"{box.url}{LIST}", json={}, timeout=aiohttp.ClientTimeout(total=0.03))
    assert fault.hits == 1
    assert (await post(LIST, {}))[0] == 200


@pytest.mark.parametrize(
    "plan", [{"action": "stall"}, {"delay": 60}, {"action": "drip", "status": 500, "interval": 60}]
)
async def test_stop_ends_stalled_requests(http: aiohttp.ClientSession, plan: Any) -> None:
    reached = asyncio.Event()

    def arrived(_: object) -> bool:
        reached.set()
        return True

    async with Sandbox(10) as box:
        box.faults.add("invoices.list", match=arrived, **plan)

        async def read() -> None:
            async with http.post(f"{box.url}{LIST}", json={}) as response:
                await response.read()
                assert response.status == 503

        waiting = asyncio.create_task(read())
        await reached.wait()
    if plan.get("delay"):
        await waiting
    else:
        with pytest.raises(aiohttp.ClientError):
            await waiting


@pytest.mark.parametrize(
    "plan",
    [
        {"nth": 0},
        {"every": 0},
        {"times": 0},
        {"nth": 1, "every": 1},
        {"action": "raw"},
        {"headers": {"X": "a\r\nY: b"}},
        {"route": "invoice.list"},
        {"action": "explode"},
    ],
)
def test_faults_add_rejects_bad_arguments(plan: Any) -> None:
    with pytest.raises(ValueError, match=r">= 1|exclude|body|one line|route|action: Invalid"):
        Sandbox(1).faults.add(plan.get("route", "*"), **{k: v for k, v in plan.items() if k != "route"})


@pytest.mark.parametrize(
    "plan",
    [
        {"status": "503"},
        {"status": 99},
        {"headers": 5},
        {"headers": {"Retry-After": 1}},
        {"body": "text"},
        {"delay": "1"},
        {"delay": -1},
        {"mutate": b""},
        {"interval": None, "action": "drip"},
        {"match": {"page": 1}, "status": 503},
        {"when": "later", "status": 503},
        {"times": 1.5, "status": 503},
        {"nth": True, "status": 503},
        {"times": 2},
    ],
)
def test_fault_that_would_do_nothing_is_refused(plan: Any) -> None:
    faults = Sandbox(1).faults
    with pytest.raises(ValueError, match=f"^{next(iter(plan))}: |a fault needs a status"):
        faults.add("invoices.list", **plan)
    assert len(faults) == 0


def test_fault_accepts_a_status_of_the_standard_library_and_numbers_of_numpy() -> None:
    plan: Any = {"status": HTTPStatus.SERVICE_UNAVAILABLE, "nth": np.int64(2), "delay": np.float32(0.5)}
    fault = Sandbox(1).faults.add("*", **plan)
    assert (fault.status, fault.nth, fault.delay) == (503, 2, 0.5)


async def test_latency_and_delay_postpone_the_response(box: Sandbox, post: Any) -> None:
    """A client with a shorter timeout receives nothing."""
    box.latency = 30
    with pytest.raises(TimeoutError):
        await post(LIST, {}, timeout=aiohttp.ClientTimeout(total=0.02))
    box.latency = 0
    box.faults.add("invoices.list", delay=30)
    with pytest.raises(TimeoutError):
        await post(LIST, {}, timeout=aiohttp.ClientTimeout(total=0.02))
    assert (await post(LIST, {}))[0] == 200
