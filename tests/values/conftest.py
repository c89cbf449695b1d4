"""A server that returns any JSON text as its invoices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox

Serve = Callable[..., AiwynClient]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that serves rows of JSON text as the only page of invoices; a surrogate is a byte."""
    async with (
        Sandbox(invoices=1, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as aiwyn,
    ):

        def begin(*rows: str, with_count: bool = True) -> AiwynClient:
            text = f'{{"deid_invoice":[{",".join(rows)}]'
            count = f',"deid_invoice_aggregate":{{"aggregate":{{"count":{len(rows)}}}}}' if with_count else ""
            body = (text + count + "}").encode(errors="surrogateescape")
            for route in ("invoices.list", "invoices.search"):
                box.faults.add(route, every=1, mutate=lambda _: body)
            return aiwyn

        yield begin
