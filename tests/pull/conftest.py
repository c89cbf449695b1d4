"""A sandbox, and a client with a fake clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from fake_clock import FakeClock


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=3000, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox, clock: FakeClock) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as client:
        yield client
