"""Partitions with any bounds, of any keys, of a list that changes between plan and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise

from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, KeyRange, Plan, PullReport
from aiwyn_async._pull.key_bounds import make_partition
from aiwyn_async._pull.plan import normalized
from aiwyn_async.testing import FakeClock
from server_model import ServerModel, numbered

KEYS = st.sets(st.integers(-300, 300), max_size=120)
COUNTS = {
    "right": lambda matching, _shown: matching,
    "none": lambda _matching, _shown: None,
    "capped": lambda matching, _shown: min(matching, 20),
}


@asynccontextmanager
async def client_of(model: ServerModel) -> AsyncGenerator[AiwynClient]:
    app = web.Application()
    app.router.add_post("/{path:.*}", model.respond)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with AiwynClient(base_url=url, token="t", clock=FakeClock()) as aiwyn:
            yield aiwyn


async def read_all(aiwyn: AiwynClient, plan: Plan) -> list[int]:
    """Return the keys of all partitions, each of which is in its partition."""
    reports: dict[int, PullReport] = {}
    keys: list[int] = []
    for partition in plan.partitions:
        pull = aiwyn.read(partition).decode_as(dict)
        own = [row["id"] async for row in pull]
        assert all(partition.after is None or key > partition.after for key in own)
        assert all(partition.until is None or key <= partition.until for key in own)
        keys += own
        reports[partition.number] = pull.report
    assert plan.commit(reports).complete
    return keys


@settings(max_examples=60, deadline=None)
@given(
    keys=KEYS,
    inserted=KEYS,
    deleted=KEYS,
    parts=st.integers(1, 12),
    page_size=st.integers(1, 40),
    count=st.sampled_from(sorted(COUNTS)),
)
def test_planned_partitions_have_every_key_once(
    *, keys: set[int], inserted: set[int], deleted: set[int], parts: int, page_size: int, count: str
) -> None:
    async def run() -> None:
        model = ServerModel(numbered(*sorted(keys)))
        model.count = COUNTS[count]
        async with client_of(model) as aiwyn:
            plan = await aiwyn.invoices.plan(parts=parts, page_size=page_size)
            assert len(plan.partitions) <= parts
            edges = [None, *(each.until for each in plan.partitions)]
            assert [each.after for each in plan.partitions] == edges[:-1]
            assert edges[-1] is None
            inner = [int(edge or 0) for edge in edges[1:-1]]
            assert inner == sorted(set(inner))
            now = sorted((keys | inserted) - deleted)
            model.rows = numbered(*now)
            assert sorted(await read_all(aiwyn, plan)) == now

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, bounds=KEYS, page_size=st.integers(1, 40), count=st.sampled_from(sorted(COUNTS)))
def test_partitions_with_any_bounds_have_every_key_once(
    keys: set[int], bounds: set[int], page_size: int, count: str
) -> None:
    async def run() -> None:
        model = ServerModel(numbered(*sorted(keys)))
        model.count = COUNTS[count]
        async with client_of(model) as aiwyn:
            pull = aiwyn.invoices.pull(page_size=page_size)
            query = normalized(pull.query)
            edges = [None, *sorted(bounds), None]
            plan = Plan(
                partitions=tuple(
                    make_partition(number, query, KeyRange(*ends), dict, pull.options)
                    for number, ends in enumerate(pairwise(edges))
                )
            )
            assert sorted(await read_all(aiwyn, plan)) == sorted(keys)

    asyncio.run(run())
