"""Private state of a client, for tests of leaks: its session and connection pools."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp

from aiwyn_async import AiwynClient
from aiwyn_async._http.auth import ApiKeyExchange
from aiwyn_async._http.messages import Request, RetryClass
from aiwyn_async._http.session import Session
from aiwyn_async._http.transport import Transport
from aiwyn_async.config import Secret
from aiwyn_async.errors import AiwynError

LIST = Request(method="POST", path="/gql/v1/invoices", body=b'{"page":0}')
GET = Request(method="GET", path="/gql/v1/invoices/1")
WRITE = Request(method="POST", path="/api/v1/records", body=b"{}", retry_class=RetryClass.WRITE)
PUT = Request(method="PUT", path="/api/v1/records", body=b"{}", retry_class=RetryClass.WRITE)


def session_of(client: AiwynClient) -> Session:
    return client._session


def renewal_of(session: Session) -> asyncio.Task[Secret | AiwynError]:
    """Return the latest exchange of the API key."""
    assert isinstance(session.tokens, ApiKeyExchange)
    assert session.tokens._renewal is not None
    return session.tokens._renewal


def connectors_of(transport: Transport) -> list[aiohttp.BaseConnector]:
    connectors = [pool.session.connector for pool in transport._pools.values()]
    return [connector for connector in connectors if connector is not None]


async def assert_nothing_is_held(client: AiwynClient) -> None:
    """Assert that no connection or slot is acquired and no caller is queued."""
    session = session_of(client)
    await asyncio.sleep(0)
    assert [connector._acquired for connector in connectors_of(session.transport)] in ([], [set()])
    assert session.limiter.in_flight == 0
    assert not session.limiter._waiting


def open_files() -> int:
    """Return the number of open file descriptors of this process, or 0 if they cannot be counted."""
    directory = Path("/proc/self/fd")
    return len(list(directory.iterdir())) if directory.exists() else 0


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until a condition is true; else the test's timeout ends it."""
    while not condition():  # noqa: ASYNC110 (no event signals the condition)
        await asyncio.sleep(0)
