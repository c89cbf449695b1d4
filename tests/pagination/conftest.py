"""A sandbox on loopback and a client of it."""

from collections.abc import AsyncIterator

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=95, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as client:
        yield client


@pytest.fixture
def aiwyn_offline() -> AiwynClient:
    return AiwynClient(base_url="http://127.0.0.1:9", token="unused")
