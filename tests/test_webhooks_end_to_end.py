"""The sandbox delivers over real HTTP, and a receiver of a few lines verifies."""

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
    """A user's handler: 500 for the first few, then what the verifier says."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.verifier: WebhookVerifier | None = None
        self.events: list[WebhookEvent] = []
        self.refusals: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        assert self.verifier is not None
        try:
            event = self.verifier.verify(await request.read(), request.headers)
        except WebhookVerificationError as error:
            self.refusals.append(str(error))
            return web.Response(status=400)
        if self.failures:
            self.failures -= 1
            return web.Response(status=500)
        self.events.append(event)
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taken = Receiver(failures=2)
    app = web.Application()
    app.router.add_post("/", taken.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taken.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield taken
    await runner.cleanup()


async def no_wait(_: float) -> None:
    """Repetitions come at once."""


async def subscribe(box: Sandbox, url: str) -> str:
    """Subscribe to new invoices, and give the signing secret."""
    headers = {"Authorization": f"Bearer {box.token}"}
    path = f"{box.url}/api/v1/event-subscriptions"
    wish = {"targetUrl": url, "entityTypes": ["invoices"], "operations": ["CREATE"]}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(path, json=wish) as answer:
            made = (await answer.json())["data"]
        async with http.get(f"{path}/{made['id']}/secret") as answer:
            return str((await answer.json())["data"]["secret"])


@pytest.mark.parametrize(
    ("scheme", "sign"), [(STANDARD_WEBHOOKS, standard_webhooks), (STRIPE_LIKE, timestamped_hex)]
)
async def test_the_sandbox_delivers_what_the_verifier_takes(
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
    assert not receiver.refusals


async def test_a_receiver_with_another_secret_refuses_all(receiver: Receiver) -> None:
    async with Sandbox(10, sender=Sender(sleep=no_wait, waits=(1.0,))) as box:
        await subscribe(box, receiver.url)
        receiver.verifier = WebhookVerifier(SECRET, STANDARD_WEBHOOKS)
        box.insert("invoices")
        await box.delivered()
        assert [attempt.status for attempt in box.deliveries[0].attempts] == [400, 400]
    assert not receiver.events
    assert len(receiver.refusals) == 2
