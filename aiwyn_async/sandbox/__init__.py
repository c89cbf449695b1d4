"""The Aiwyn API on loopback: a real HTTP server with the data of a seeded firm.

Examples, tests and benchmarks run against it without an account:

    async with Sandbox(invoices=1000, seed=7) as box:
        client = AiwynClient(base_url=box.url, api_key=box.api_key)

A test without an event loop uses ``with Sandbox() as box:``. A test in another process or language starts
``python -m aiwyn_async.sandbox`` or ``aiwyn sandbox`` and controls it over HTTP under ``/_sandbox/``.

The sandbox shares no code with the client, so that no shared mistake can hide.
"""

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.drift import Drift
from aiwyn_async.sandbox._data.firm_options import FirmOptions
from aiwyn_async.sandbox._data.records import RecordFailure
from aiwyn_async.sandbox._declarations.declarations import PageStyle, SqlValue
from aiwyn_async.sandbox._events.deliveries import (
    Delivery,
    DeliveryAttempt,
    Sender,
    Signer,
    standard_webhooks,
    timestamped_hex,
)
from aiwyn_async.sandbox._http.control import FaultSpec, parse_fault
from aiwyn_async.sandbox._http.faults import Action, Fault, Faults
from aiwyn_async.sandbox._http.rate_limit import RateLimit
from aiwyn_async.sandbox._http.requests import ServedRequest
from aiwyn_async.sandbox._http.variants import Variant
from aiwyn_async.sandbox._sandbox import Sandbox
from aiwyn_async.sandbox._serving import serve

__all__ = [
    "Action",
    "Collation",
    "Delivery",
    "DeliveryAttempt",
    "Drift",
    "Fault",
    "FaultSpec",
    "Faults",
    "FirmOptions",
    "PageStyle",
    "RateLimit",
    "RecordFailure",
    "Sandbox",
    "Sender",
    "ServedRequest",
    "Signer",
    "SqlValue",
    "Variant",
    "parse_fault",
    "serve",
    "standard_webhooks",
    "timestamped_hex",
]
