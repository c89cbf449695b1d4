"""Events on their way: signed, sent, sent again, and kept for a test to look at.

How Aiwyn signs its deliveries, which headers they bear and how often they are repeated is not documented
where we could see it. The default here is Standard Webhooks 1.0.0; `Sender.sign` takes any other.
"""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import msgspec

from .books import Change
from .subscriptions import Subscriber

__all__ = [
    "Delivery",
    "DeliveryAttempt",
    "Outbox",
    "Sender",
    "Signer",
    "standard_webhooks",
    "timestamped_hex",
]

Signer = Callable[[str, str, int, bytes], Mapping[str, str]]
"""The headers of a delivery, from its subscription's secret, its id, the time in seconds and its body."""

_KEPT = 10_000
_AT_ONCE = 8


def standard_webhooks(secret: str, delivery_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Sign as Standard Webhooks 1.0.0 does, with a secret of the form `whsec_<base64>`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.digest(key, f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def timestamped_hex(secret: str, delivery_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Sign in one header, `t=<seconds>,v1=<hex>`, with the secret's text as the key."""
    del delivery_id
    made = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return {"stripe-signature": f"t={timestamp},v1={made.hex()}"}


@dataclass(frozen=True, slots=True)
class Sender:
    """How deliveries are made.

    Args:
        sign: Makes the headers that vouch for a delivery.
        waits: Seconds before each repetition; a delivery is attempted once more than there are waits.
        timeout: Seconds an attempt may take.
        sleep: Waits, for a test that does not want to.
        clock: Seconds since the epoch, for the signed time and `occurredAt`.
    """

    sign: Signer = standard_webhooks
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    timeout: float = 15.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One time a delivery was sent: the status of the answer, or the kind of failure."""

    status: int | None
    error: str | None
    headers: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Delivery:
    """One event for one subscription.

    Args:
        id: The same at each attempt.
        subscription_id: Whose event.
        url: Where it goes.
        body: What is sent, byte for byte.
        state: `pending` until it was answered with a 2xx or given up.
        attempts: What came of each attempt.
    """

    id: str
    subscription_id: int
    url: str
    body: bytes
    state: Literal["pending", "delivered", "failed"] = "pending"
    attempts: list[DeliveryAttempt] = field(default_factory=list[DeliveryAttempt])


class Outbox:
    """Sends events to those who subscribed.

    Args:
        sender: How.
        subscribers: Says for each change who is to hear of it.
    """

    def __init__(
        self, sender: Sender, subscribers: Callable[[Sequence[Change]], list[list[Subscriber]]]
    ) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)
        self._sender = sender
        self._subscribers = subscribers
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        # Filled by whatever thread changes the firm, emptied by the loop.
        self._waiting: deque[tuple[Delivery, Subscriber]] = deque()

    def __repr__(self) -> str:
        return f"<Outbox {len(self._tasks)} under way, {len(self.deliveries)} kept>"

    def start(self) -> None:
        """Take deliveries from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """End what is under way. Its deliveries stay pending."""
        self._loop = None
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def take(self, changes: Sequence[Change]) -> None:
        """Make deliveries of changes. May be called in any thread."""
        loop = self._loop
        if loop is None:
            return
        for change, subscribers in zip(changes, self._subscribers(changes), strict=True):
            if not subscribers:
                continue
            body = _event(change, self._sender.clock())
            for subscriber in subscribers:
                delivery = Delivery(
                    f"msg_{secrets.token_hex(12)}", subscriber.subscription_id, subscriber.url, body
                )
                self._waiting.append((delivery, subscriber))
        if self._waiting:
            loop.call_soon_threadsafe(self._begin)

    async def settled(self) -> None:
        """Wait until nothing is under way. What a signer or a sleep raised is raised here."""
        self._begin()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _begin(self) -> None:
        if self._loop is None:
            return
        while self._waiting:
            delivery, subscriber = self._waiting.popleft()
            self.deliveries.append(delivery)
            task = self._loop.create_task(self._deliver(delivery, subscriber.secret))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, secret: str) -> None:
        for wait in (0.0, *self._sender.waits):
            if wait:
                await self._sender.sleep(wait)
            async with self._places:
                attempt = await self._attempt(delivery, secret)
            delivery.attempts.append(attempt)
            if attempt.status is not None and 200 <= attempt.status < 300:
                delivery.state = "delivered"
                return
        delivery.state = "failed"

    async def _attempt(self, delivery: Delivery, secret: str) -> DeliveryAttempt:
        """Send once. The time that is signed is that of the attempt, the id that of the delivery."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._sender.timeout)
            # No cookies: a receiver is told, and tells nothing back.
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        signed = self._sender.sign(secret, delivery.id, int(self._sender.clock()), delivery.body)
        headers = {"Content-Type": "application/json", "User-Agent": "aiwyn-sandbox", **signed}
        try:
            async with self._session.post(
                delivery.url, data=delivery.body, headers=headers, allow_redirects=False
            ) as answer:
                return DeliveryAttempt(answer.status, None, headers)
        except (aiohttp.ClientError, OSError) as error:
            return DeliveryAttempt(None, type(error).__name__, headers)


def _event(change: Change, now: float) -> bytes:
    """What a subscriber is sent. Every key is our inference."""
    return msgspec.json.encode(
        {
            "id": f"evt_{secrets.token_hex(12)}",
            "entityType": change.entity_type,
            "entityId": change.entity_id,
            "operation": change.operation,
            "occurredAt": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds"),
            "data": None if change.data is None else msgspec.Raw(change.data),
        }
    )
