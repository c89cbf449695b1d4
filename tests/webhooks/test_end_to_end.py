"""The sandbox sends deliveries over HTTP, and a short handler verifies them."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aiwyn_async.errors import WebhookVerificationError
from aiwyn_async.sandbox import Sandbox, Sender, standard_webhooks, timestamped_hex
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme, WebhookEvent, WebhookVerifier

SECRET = f"whsec_{base64.b64encode(b'another key').decode()}"


class Receiver:
    """A handler that responds 400 to invalid deliveries and 500 to the first valid ones."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.verifier: WebhookVerifier | None = None
        self.events: list[WebhookEvent] = []
        self.errors: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        assert self.verifier is not None
        try:
            event = self.verifier.verify(await request.read(), request.headers)
        except WebhookVerificationError as error:
            self.errors.append(str(error))
            return web.Response(status=400)
        if self.failures:
            self.failures -= 1
            return web.Response(status=500)
        self.events.append(event)
        return web.Response(status=204)


@pytest.fixture(name="receiver")
async def running_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver(failures=2)
    app = web.Application()
    app.router.add_post("/", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    await runner.cleanup()


async def no_wait(_: float) -> None:
    """Retry at once."""


async def subscribe(box: Sandbox, url: str) -> str:
    """Subscribe to new invoices, and return the signing secret."""
    headers = {"Authorization": f"Bearer {box.token}"}
    path = f"{box.url}/api/v1/event-subscriptions"
    subscription = {"targetUrl": url, "entityTypes": ["invoices"], "operations": ["CREATE"]}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(path, json=subscription) as response:
            created = (await response.json())["data"]
        async with http.get(f"{path}/{created['id']}/secret") as response:
            return str((await response.json())["data"]["secret"])


@pytest.mark.parametrize(
    ("scheme", "sign"), [(STANDARD_WEBHOOKS, standard_webhooks), (STRIPE_LIKE, timestamped_hex)]
)
async def test_verifier_accepts_deliveries_of_the_sandbox(
    receiver: Receiver, scheme: Scheme, sign: Any
) -> None:
    async with Sandbox(10, sender=Sender(sign=sign, sleep=no_wait)) as box:
        secret = await subscribe(box, receiver.url)
        receiver.verifier = WebhookVerifier(secret, scheme)
        (new,) = box.insert("invoices")
        await box.delivered()
        (delivery,) = box.deliveries
    assert [attempt.status for attempt in delivery.attempts] == [500, 500, 204]
    (event,) = receiver.events
    assert event.json()["entityId"] == new
    assert event.payload == delivery.body
    assert event.id == (delivery.id if scheme is STANDARD_WEBHOOKS else event.json()["id"])
    assert not receiver.errors


async def test_verifier_with_another_secret_rejects_all(receiver: Receiver) -> None:
    async with Sandbox(10, sender=Sender(sleep=no_wait, waits=(1.0,))) as box:
        await subscribe(box, receiver.url)
        receiver.verifier = WebhookVerifier(SECRET, STANDARD_WEBHOOKS)
        box.insert("invoices")
        await box.delivered()
        assert [attempt.status for attempt in box.deliveries[0].attempts] == [400, 400]
    assert not receiver.events
    assert len(receiver.errors) == 2
