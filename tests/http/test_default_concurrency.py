"""Without max_concurrency, all reads of a client share one limit that adapts to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.limits import INITIAL_LIMIT, MAX_LIMIT
from aiwyn_async.sandbox import Sandbox
from looking_inside import session_of
from unreadable_rows import bounds

Connect = Callable[..., AiwynClient]
ROWS = 3000


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=ROWS, seed=5) as sandbox:
        yield sandbox


@pytest.fixture
def aiwyn(box: Sandbox, connect: Connect) -> AiwynClient:
    return connect(box.url, token=box.token)


def is_large_page(body: Any) -> bool:
    return body["pageSize"] > 15 and bounds(body)[0] is not None


async def keys_of(aiwyn: AiwynClient, read: str) -> list[Any]:
    if read == "get_many":
        known = [row.id async for row in aiwyn.invoices.list(limit=100)]
        return [result.key async for result in aiwyn.invoices.get_many(known)]
    if read == "list":
        return [row.id async for row in aiwyn.invoices.list(page_size=40)]
    return [row.id async for row in aiwyn.invoices.pull(page_size=40, ordered=read == "ordered pull")]


@pytest.mark.parametrize("read", ["list", "pull", "ordered pull", "get_many"])
async def test_limit_grows_if_the_server_is_far_away(box: Sandbox, aiwyn: AiwynClient, read: str) -> None:
    box.latency = 0.2
    keys = await keys_of(aiwyn, read)
    assert len(set(keys)) == len(keys) >= 100
    assert INITIAL_LIMIT < session_of(aiwyn).limiter.peak_in_flight <= MAX_LIMIT


@pytest.mark.parametrize("read", ["list", "pull", "ordered pull", "get_many"])
async def test_max_concurrency_is_a_fixed_limit(box: Sandbox, connect: Connect, read: str) -> None:
    aiwyn = connect(box.url, token=box.token, max_concurrency=5)
    box.latency = 0.002
    await keys_of(aiwyn, read)
    limiter = session_of(aiwyn).limiter
    assert (limiter.limit, limiter.peak_in_flight) == (5, 5)


async def test_views_and_concurrent_reads_share_the_limit(box: Sandbox, aiwyn: AiwynClient) -> None:
    box.latency = 0.005
    other = aiwyn.with_options(deadline=200)
    await asyncio.gather(*(keys_of(client, "list") for client in (aiwyn, other, aiwyn, other)))
    assert session_of(other).limiter is session_of(aiwyn).limiter
    assert session_of(aiwyn).limiter.peak_in_flight <= MAX_LIMIT


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("read", ["list", "pull", "ordered pull"])
async def test_rejections_lower_the_limit_during_a_read(
    box: Sandbox, aiwyn: AiwynClient, read: str, status: int
) -> None:
    box.faults.add("*", every=25, status=status)
    keys = await keys_of(aiwyn, read)
    assert len(set(keys)) == len(keys) == ROWS
    assert session_of(aiwyn).limiter.limit < INITIAL_LIMIT


async def test_ordered_pull_keeps_the_order_if_the_limit_falls(box: Sandbox, aiwyn: AiwynClient) -> None:
    limiter = session_of(aiwyn).limiter
    # A page that fails is requested again in halves, of which the second one is requested later.
    box.faults.add("invoices.search", status=413, times=1000, match=is_large_page)
    box.faults.add("invoices.search", every=9, status=429)
    keys: list[Any] = []
    async with aclosing(aiwyn.invoices.pull(page_size=40, ordered=True).pages()) as pages:
        async for page in pages:
            keys += [row.id for row in page.items]
    assert limiter.limit < INITIAL_LIMIT
    assert keys == sorted(keys)
    assert len(keys) == ROWS
