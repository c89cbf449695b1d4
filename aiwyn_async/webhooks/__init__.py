"""Verify that webhook deliveries are signed, recent and not duplicates.

    verifier = WebhookVerifier(secrets=[new_secret, old_secret], scheme=STANDARD_WEBHOOKS)
    event = verifier.verify(await request.read(), request.headers)
    print(event.id, event.json())

Aiwyn does not document how it signs deliveries, so the scheme is a parameter: pass the preset that matches
what you receive, or describe your own. This package does no I/O.
"""

from aiwyn_async.webhooks._scheme import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme
from aiwyn_async.webhooks._verifier import WebhookEvent, WebhookVerifier

__all__ = ["STANDARD_WEBHOOKS", "STRIPE_LIKE", "Scheme", "WebhookEvent", "WebhookVerifier"]
