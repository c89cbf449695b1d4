"""The Aiwyn API on loopback: a real HTTP server with a seeded firm behind it.

Every example, test and benchmark runs against it, with no account:

    async with Sandbox(invoices=1000, seed=7) as box:
        client = AiwynClient(base_url=box.url, api_key=box.api_key)

A test without a loop of its own uses `with Sandbox() as box:`; one in another process or language starts
`python -m aiwyn_async.sandbox` or `aiwyn sandbox` and controls it over HTTP, see `control`.

It shares no code with the client, so that a mistake in one shows against the other.
"""

from .control import FaultSpec, parse_fault
from .deliveries import Delivery, DeliveryAttempt, Sender, Signer, standard_webhooks, timestamped_hex
from .drift import Drift
from .faults import Action, Fault, Faults
from .firm_options import FirmOptions
from .records import RecordFailure
from .server import Sandbox
from .service import RateLimit, ServedRequest
from .serving import serve
from .variants import Variant

__all__ = [
    "Action",
    "Delivery",
    "DeliveryAttempt",
    "Drift",
    "Fault",
    "FaultSpec",
    "Faults",
    "FirmOptions",
    "RateLimit",
    "RecordFailure",
    "Sandbox",
    "Sender",
    "ServedRequest",
    "Signer",
    "Variant",
    "parse_fault",
    "serve",
    "standard_webhooks",
    "timestamped_hex",
]
