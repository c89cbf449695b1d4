"""A delivery to verify: its body, key and time, and a verifier for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from aiwyn_async.webhooks import STANDARD_WEBHOOKS, Scheme, WebhookVerifier

KEY = b"a key of thirty-two bytes, as is"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NOW = 1_700_000_000
BODY = b'{"id": "evt_1", "operation": "CREATE"}'


def never_seen(_: str) -> bool:
    return False


def make_verifier(
    *secrets: str | bytes, scheme: Scheme = STANDARD_WEBHOOKS, seen: Callable[[str], bool] | None = None
) -> WebhookVerifier:
    return WebhookVerifier(secrets or SECRET, scheme, seen=seen, clock=lambda: float(NOW))


def stripe(body: bytes = BODY, *, at: object = NOW, key: bytes = b"top") -> str:
    digest = hmac.new(key, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
