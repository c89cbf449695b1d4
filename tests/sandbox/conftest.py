"""A running sandbox and an aiohttp session, without the client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from aiwyn_async.sandbox import Sandbox

Post = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=300, seed=7) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def post(box: Sandbox, http: aiohttp.ClientSession) -> Post:
    """Send a POST with a new token; returns the status and the decoded response."""

    async def send(path: str, body: object = None, **keywords: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {box.token}", **keywords.pop("headers", {})}
        async with http.post(f"{box.url}{path}", json=body, headers=headers, **keywords) as response:
            return response.status, await response.json()

    return send


@pytest.fixture
def get(box: Sandbox, http: aiohttp.ClientSession) -> Post:
    """Send a GET with a new token; returns the status and the decoded response."""

    async def send(path: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {box.token}"}
        async with http.get(f"{box.url}{path}", headers=headers) as response:
            return response.status, await response.json()

    return send
