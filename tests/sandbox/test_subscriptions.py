"""Subscriptions: events delivered, retries, and rejected requests."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from aiwyn_async.sandbox import Drift, Sandbox, Sender, timestamped_hex

SUBSCRIPTIONS = "/api/v1/event-subscriptions"
Call = Callable[..., Awaitable[tuple[int, Any]]]


class Received(NamedTuple):
    headers: Any
    body: bytes


class Receiver:
    """Records requests, and responds with ``statuses`` in turn, then with 204."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[Received] = []
        self.url = ""
        self.hold = asyncio.Event()
        self.hold.set()

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append(Received(request.headers.copy(), await request.read()))
        await self.hold.wait()
        status = self.statuses.pop(0) if self.statuses else 204
        headers = {"Location": self.url} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(received.body) for received in self.received]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


class Waits:
    """A sleep that returns immediately and records its seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def box(waits: Waits) -> AsyncIterator[Sandbox]:
    sender = Sender(sleep=waits, clock=lambda: 1_700_000_000.5)
    async with Sandbox(30, sender=sender) as running:
        yield running


@pytest.fixture
def call(box: Sandbox, http: aiohttp.ClientSession) -> Call:
    async def request(method: str, path: str = "", body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {box.token}"}
        url = f"{box.url}{path if path.startswith('/api') else SUBSCRIPTIONS + path}"
        async with http.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    return request


def new_subscription(
    url: str, *kinds: str, operations: object = ("CREATE", "UPDATE", "DELETE")
) -> dict[str, Any]:
    return {"targetUrl": url, "entityTypes": kinds or ["invoices"], "operations": operations}


async def test_catalog_lists_resources_and_record_types(call: Call) -> None:
    await call("POST", "/api/v1/records/custom", {"name": "rateCard", "fields": []})
    await call("POST", "/api/v1/records", {"records": [{"type": "vendor"}]})
    status, response = await call("GET", "/catalog")
    assert status == 200
    entries = {entry["name"]: entry["operations"] for entry in response["data"]["entityTypes"]}
    assert {"invoices", "clients", "rateCard", "vendor"} <= entries.keys()
    assert entries["invoices"] == ["CREATE", "UPDATE", "DELETE"]


async def test_changes_are_delivered_to_subscribers(box: Sandbox, call: Call, receiver: Receiver) -> None:
    status, response = await call("POST", "", new_subscription(receiver.url, operations=["CREATE", "DELETE"]))
    assert status == 201
    subscription = response["data"]
    assert subscription["operations"] == ["CREATE", "DELETE"]
    (new,) = box.insert("invoices", {"notes": "made"})
    box.update("invoices", new, {"notes": "changed"})
    box.insert("clients")
    box.delete("invoices", new)
    await box.delivered()
    events = sorted(receiver.events, key=lambda event: event["operation"])
    assert [(event["operation"], event["entityType"], event["entityId"]) for event in events] == [
        ("CREATE", "invoices", new),
        ("DELETE", "invoices", new),
    ]
    assert events[0]["data"]["notes"] == "made"
    assert events[1]["data"] is None
    assert events[0]["occurredAt"] == "2023-11-14T22:13:20.500+00:00"
    assert {delivery.state for delivery in box.deliveries} == {"delivered"}
    assert {delivery.subscription_id for delivery in box.deliveries} == {subscription["id"]}


async def test_record_writes_and_drift_are_delivered(
    box: Sandbox, call: Call, receiver: Receiver, post: Any
) -> None:
    await call("POST", "/api/v1/records/custom", {"name": "rateCard", "fields": []})
    await call("POST", "", new_subscription(receiver.url, "rateCard", "invoices"))
    box.fail_records(lambda record: record["systemRef"] == 2)
    body = {"records": [{"type": "rateCard", "systemRef": ref, "attributes": {"n": ref}} for ref in (1, 2)]}
    await call("POST", "/api/v1/records", body)
    await box.delivered()
    (event,) = receiver.events
    assert (event["entityType"], event["operation"], event["data"]["attributes"]) == (
        *("rateCard", "CREATE"),
        {"n": 1},
    )
    box.drift = Drift(insert=1, delete=1)
    await post("/gql/v1/invoices", {})
    await box.delivered()
    assert {event["operation"] for event in receiver.events[1:]} == {"CREATE", "DELETE"}


async def test_delivery_is_retried_with_its_id_until_success(
    box: Sandbox, call: Call, receiver: Receiver, waits: Waits
) -> None:
    await call("POST", "", new_subscription(receiver.url))
    receiver.statuses = [500, 302]
    box.insert("invoices")
    await box.delivered()
    (delivery,) = box.deliveries
    assert delivery.state == "delivered"
    assert [attempt.status for attempt in delivery.attempts] == [500, 302, 204]
    assert waits.seconds == [0.5, 1.0]
    assert {received.headers["webhook-id"] for received in receiver.received} == {delivery.id}
    assert {received.body for received in receiver.received} == {delivery.body}
    assert {received.headers["webhook-timestamp"] for received in receiver.received} == {"1700000000"}


async def test_delivery_fails_after_the_last_attempt(box: Sandbox, call: Call, waits: Waits) -> None:
    await call("POST", "", new_subscription("http://localhost:9/hook"))
    box.insert("invoices")
    await box.delivered()
    (delivery,) = box.deliveries
    assert delivery.state == "failed"
    assert waits.seconds == [0.5, 1.0, 2.0, 4.0]
    assert {attempt.error for attempt in delivery.attempts} == {"ClientConnectorError"}


async def test_sender_uses_another_signing_scheme(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    async with Sandbox(10, sender=Sender(sign=timestamped_hex)) as box:
        headers = {"Authorization": f"Bearer {box.token}"}
        url = f"{box.url}{SUBSCRIPTIONS}"
        async with http.post(url, json=new_subscription(receiver.url), headers=headers) as response:
            assert response.status == 201
        box.insert("invoices")
        await box.delivered()
    assert receiver.received[0].headers["stripe-signature"].startswith("t=")
    assert "webhook-id" not in receiver.received[0].headers


async def test_subscription_is_updated_and_deactivated(box: Sandbox, call: Call, receiver: Receiver) -> None:
    _, response = await call("POST", "", {**new_subscription(receiver.url), "description": "mine"})
    made = response["data"]
    path = f"/{made['id']}"
    _, response = await call("PUT", path, {"operations": ["DELETE", "DELETE"], "entityTypes": ["clients"]})
    assert response["data"] == {**made, "operations": ["DELETE"], "entityTypes": ["clients"]}
    _, response = await call("PUT", path, {"description": None, "targetUrl": f"{receiver.url}?a=1"})
    assert (response["data"]["description"], response["data"]["targetUrl"]) == (None, f"{receiver.url}?a=1")
    box.insert("invoices")
    _, response = await call("DELETE", path)
    assert response["data"]["active"] is False
    await call("PUT", path, {"operations": ["CREATE"]})
    box.insert("clients")
    await box.delivered()
    assert not receiver.received
    await call("PUT", path, {"active": True})
    box.insert("clients")
    await box.delivered()
    assert len(receiver.received) == 1


async def test_subscriptions_have_distinct_secrets(call: Call, receiver: Receiver) -> None:
    secrets: set[str] = set()
    for _ in range(2):
        _, made = await call("POST", "", new_subscription(receiver.url))
        assert "whsec_" not in json.dumps(made)
        status, response = await call("GET", f"/{made['data']['id']}/secret")
        assert status == 200
        secrets.add(response["data"]["secret"])
    assert len(secrets) == 2
    assert all(secret.startswith("whsec_") for secret in secrets)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "http://example.com",
        "http://localhost.evil.example/",
        "http://127.0.0.1.nip.io/",
        "http://127.0.0.2/",
        "http://0.0.0.0/",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://[::1",
        "http://127.0.0.1/a b",
        "http://127.0.0.1\\@evil.example/",
        "127.0.0.1/hook",
        "",
    ],
)
async def test_subscription_rejects_remote_targets(call: Call, receiver: Receiver, url: str) -> None:
    status, response = await call("POST", "", new_subscription(url))
    assert (status, response["error"]["code"]) == (400, "VALIDATION_FAILED")
    _, made = await call("POST", "", new_subscription(receiver.url))
    assert (await call("PUT", f"/{made['data']['id']}", {"targetUrl": url}))[0] == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"entityTypes": []},
        {"entityTypes": ["invoice"]},
        {"operations": []},
        {"operations": ["create"]},
        {"operations": None},
        {"targetUrl": 1},
        {"extra": 1},
    ],
)
async def test_subscription_rejects_bad_fields(call: Call, receiver: Receiver, changes: Any) -> None:
    assert (await call("POST", "", {**new_subscription(receiver.url), **changes}))[0] == 400


@pytest.mark.parametrize(("path", "status"), [("/7", 404), ("/x", 400), ("/0", 400), (f"/{10**19}", 400)])
async def test_subscription_must_exist(call: Call, path: str, status: int) -> None:
    assert (await call("PUT", path, {}))[0] == status
    assert (await call("DELETE", path))[0] == status
    assert (await call("GET", f"{path}/secret"))[0] == status


async def test_stop_cancels_active_deliveries(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    """One delivery waits for its response, another for its retry."""
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    async with Sandbox(10, sender=Sender(sleep=sleep)) as box:
        headers = {"Authorization": f"Bearer {box.token}"}
        for url in (receiver.url, "http://127.0.0.1:9/"):
            async with http.post(
                f"{box.url}{SUBSCRIPTIONS}", json=new_subscription(url), headers=headers
            ) as response:
                assert response.status == 201
        receiver.hold.clear()
        box.insert("invoices")
        await asleep.wait()
    assert {delivery.state for delivery in box.deliveries} == {"pending"}
    receiver.hold.set()
    assert {task for task in asyncio.all_tasks() - before if "Outbox" in repr(task.get_coro())} == set()
