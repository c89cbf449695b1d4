"""What no user needs and a test of leaks does: the ladder and the pool of a client."""

from __future__ import annotations

import asyncio

import aiohttp

from aiwyn_async import AiwynClient
from aiwyn_async.session.protocol import Request, RetryClass
from aiwyn_async.session.session import Session
from aiwyn_async.session.transport import Transport

LIST = Request(method="POST", path="/gql/v1/invoices", body=b'{"page":0}')
GET = Request(method="GET", path="/gql/v1/invoices/1")
WRITE = Request(method="POST", path="/api/v1/records", body=b"{}", retry_class=RetryClass.WRITE)
PUT = Request(method="PUT", path="/api/v1/records", body=b"{}", retry_class=RetryClass.WRITE)


def session_of(client: AiwynClient) -> Session:
    return client._session


def connectors_of(transport: Transport) -> list[aiohttp.BaseConnector]:
    found = [pool.session.connector for pool in transport._pools.values()]
    return [connector for connector in found if connector is not None]


async def assert_nothing_is_held(client: AiwynClient) -> None:
    """No connection is acquired, no slot of the governor taken, nobody queues."""
    session = session_of(client)
    await asyncio.sleep(0)
    assert [connector._acquired for connector in connectors_of(session.transport)] in ([], [set()])
    assert session.governor.in_flight == 0
    assert not session.governor._waiting
