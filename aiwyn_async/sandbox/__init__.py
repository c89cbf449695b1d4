"""The Aiwyn API on loopback: a real HTTP server with a seeded firm behind it.

Every example, test and benchmark runs against it, with no account:

    async with Sandbox(invoices=1000, seed=7) as box:
        client = AiwynClient(base_url=box.url, api_key=box.api_key)

It shares no code with the client, so that a mistake in one shows against the other.
"""

from .drift import Drift
from .faults import Action, Fault, Faults
from .server import Sandbox, serve
from .service import RateLimit, ServedRequest

__all__ = ["Action", "Drift", "Fault", "Faults", "RateLimit", "Sandbox", "ServedRequest", "serve"]
