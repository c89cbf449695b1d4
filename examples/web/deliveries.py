"""Webhook deliveries: verified, and each processed once."""

from collections import OrderedDict
from collections.abc import Mapping

from aiwyn_async.webhooks import STANDARD_WEBHOOKS, WebhookEvent, WebhookVerifier


class Deliveries:
    """Verifies deliveries and remembers their ids.

    The ids are in the memory of one process. With several processes, insert them into a table with a unique
    key, in the transaction that processes the event.
    """

    def __init__(self, secret: str, max_ids: int = 10_000) -> None:
        self._verifier = WebhookVerifier(secret, STANDARD_WEBHOOKS)
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._max_ids = max_ids

    def accept(self, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """Return the event of a delivery, or None if it was received before.

        Raises:
            WebhookVerificationError: The delivery cannot be trusted; respond with 400.
        """
        event = self._verifier.verify(body, headers)
        if event.id in self._ids:
            return None
        self._ids[event.id] = None
        if len(self._ids) > self._max_ids:
            self._ids.popitem(last=False)
        return event
