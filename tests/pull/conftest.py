"""A sandbox, and a client with a fake clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from server_model import ServerModel


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=3000, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox, clock: FakeClock) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as client:
        yield client


@pytest.fixture
async def serve(clock: FakeClock) -> AsyncIterator[Callable[[ServerModel], Any]]:
    """Start a server and return a client of it."""
    async with AsyncExitStack() as stack:

        async def start(model: ServerModel) -> AiwynClient:
            app = web.Application()
            app.router.add_post("/{path:.*}", model.respond)
            server = TestServer(app)
            await stack.enter_async_context(server)
            client = AiwynClient(base_url=str(server.make_url("")).rstrip("/"), token="t", clock=clock)
            return await stack.enter_async_context(client)

        yield start
