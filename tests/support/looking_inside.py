"""What no user needs and a test of leaks does: the ladder and the pool of a client."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
    """The latest exchange of the API key."""
    assert isinstance(session.tokens, ApiKeyExchange)
    assert session.tokens._renewal is not None
    return session.tokens._renewal


def connectors_of(transport: Transport) -> list[aiohttp.BaseConnector]:
    found = [pool.session.connector for pool in transport._pools.values()]
    return [connector for connector in found if connector is not None]


async def assert_nothing_is_held(client: AiwynClient) -> None:
    """No connection is acquired, no slot of the governor taken, nobody queues."""
    session = session_of(client)
    await asyncio.sleep(0)
    assert [connector._acquired for connector in connectors_of(session.transport)] in ([], [set()])
    assert session.limiter.in_flight == 0
    assert not session.limiter._waiting


async def until(is_so: Callable[[], bool]) -> None:
    """Let the others run until something is so; the test's own timeout ends it otherwise."""
    while not is_so():  # noqa: ASYNC110 (a test waits for what tells nobody)
        await asyncio.sleep(0)
