"""Deliveries of events: signed, sent, retried and recorded.

The signature, the headers and the retries of Aiwyn's deliveries are not documented. The default is Standard
Webhooks 1.0.0; ``Sender.sign`` accepts any other scheme.
"""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import aiohttp
import msgspec

from aiwyn_async.sandbox._checks import check_fields
from aiwyn_async.sandbox._data.changes import Change
from aiwyn_async.sandbox._events.subscriptions import Subscriber

T = TypeVar("T")
Signer = Callable[[str, str, int, bytes], Mapping[str, str]]
"""Returns the headers of a delivery from the secret, the id, the time in seconds and the body."""

_MAX_DELIVERIES_RECORDED = 10_000
_MAX_CONCURRENCY = 8


class ThreadSafeDeque(deque[T]):
    """Iteration is over a copy, so another thread may append at the same time."""

    def __iter__(self) -> Iterator[T]:
        # The copy is one step of the interpreter; a Python loop is not.
        return iter([*super().__iter__()])


def standard_webhooks(secret: str, delivery_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Sign with Standard Webhooks 1.0.0 and a secret of the form ``whsec_<base64>``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def timestamped_hex(secret: str, delivery_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Sign in one header, ``t=<seconds>,v1=<hex>``; the key is the secret's text."""
    del delivery_id
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return {"stripe-signature": f"t={timestamp},v1={digest.hex()}"}


@dataclass(frozen=True, slots=True)
class Sender:
    """How deliveries are signed, retried and timed.

    Args:
        sign: Returns the headers that sign a delivery.
        waits: Seconds before each retry; there is one more attempt than waits.
        timeout: Maximum seconds of an attempt.
        sleep: Replaces the wait before a retry, so that a test need not wait.
        clock: Seconds since the epoch, for the signed time and ``occurredAt``.
    """

    sign: Signer = standard_webhooks
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    timeout: float = 15.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt of a delivery: the status of the response, or the type of the error."""

    status: int | None
    error: str | None
    headers: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Delivery:
    """An event for one subscription.

    Args:
        id: The id, the same for every attempt.
        subscription_id: The id of the subscription.
        url: The target.
        body: The bytes of the body.
        state: ``pending`` until a response with status 2xx or the last attempt.
        attempts: The attempts so far.
    """

    id: str
    subscription_id: int
    url: str
    body: bytes
    state: Literal["pending", "delivered", "failed"] = "pending"
    attempts: list[DeliveryAttempt] = field(default_factory=list[DeliveryAttempt])


class Outbox:
    def __init__(
        self, sender: Sender, subscribers: Callable[[Sequence[Change]], list[list[Subscriber]]]
    ) -> None:
        self.deliveries: deque[Delivery] = ThreadSafeDeque(maxlen=_MAX_DELIVERIES_RECORDED)
        self._sender = sender
        self._subscribers = subscribers
        self._slots = asyncio.Semaphore(_MAX_CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        # Appended to by any thread, drained by the loop.
        self._waiting: deque[tuple[Delivery, Subscriber]] = deque()

    def __repr__(self) -> str:
        return f"<Outbox {len(self._tasks)} active, {len(self.deliveries)} recorded>"

    def start(self) -> None:
        """Accept changes and deliver them on the running loop."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Cancel active deliveries, which remain pending."""
        self._loop = None
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def reset(self) -> None:
        """Cancel active deliveries and forget all."""
        self._cancel()
        self.deliveries.clear()

    def _cancel(self) -> None:
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    def add(self, changes: Sequence[Change]) -> None:
        """Deliver changes. May be called from any thread."""
        loop = self._loop
        if loop is None:
            return
        for change, subscribers in zip(changes, self._subscribers(changes), strict=True):
            if not subscribers:
                continue
            body = _encode_event(change, self._sender.clock())
            for subscriber in subscribers:
                delivery = Delivery(
                    f"msg_{secrets.token_hex(12)}", subscriber.subscription_id, subscriber.url, body
                )
                self._waiting.append((delivery, subscriber))
        if self._waiting:
            loop.call_soon_threadsafe(self._start_waiting)

    async def join(self) -> None:
        """Wait until no delivery is active; raise errors of ``sign`` and ``sleep``."""
        self._start_waiting()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start_waiting(self) -> None:
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
            async with self._slots:
                attempt = await self._attempt(delivery, secret)
            delivery.attempts.append(attempt)
            if attempt.status is not None and 200 <= attempt.status < 300:
                delivery.state = "delivered"
                return
        delivery.state = "failed"

    async def _attempt(self, delivery: Delivery, secret: str) -> DeliveryAttempt:
        """Send once; the signed time is that of the attempt."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._sender.timeout)
            # Cookies of a receiver must not affect later deliveries.
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        signed = self._sender.sign(secret, delivery.id, int(self._sender.clock()), delivery.body)
        headers = {"Content-Type": "application/json", "User-Agent": "aiwyn-sandbox", **signed}
        try:
            async with self._session.post(
                delivery.url, data=delivery.body, headers=headers, allow_redirects=False
            ) as response:
                return DeliveryAttempt(response.status, None, headers)
        except (aiohttp.ClientError, OSError) as error:
            return DeliveryAttempt(None, type(error).__name__, headers)


def _encode_event(change: Change, now: float) -> bytes:
    """Encode the body of a delivery. Every key is inferred."""
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
