"""The SDK, as users call it."""

from __future__ import annotations

import functools
import gc
import operator
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from aiwyn_async import AiwynClient, F, Pager, Pull
from aiwyn_async.tuning import inflate_with_isal, prime_allocator
from benchmarks.worker import Job, Tally, added_up, at_once, counted, peak_memory


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[AiwynClient]:
    context = ssl.create_default_context(cafile=job.authority) if job.authority else None
    options = {name: value for name, value in job.options.items() if name == "max_concurrency"}
    async with AiwynClient(base_url=job.url, api_key=job.api_key, ssl_context=context, **options) as aiwyn:
        yield aiwyn


async def client_of(job: Job) -> AiwynClient:
    return await job.client(opened, job.options.get("max_concurrency"))


async def typed(job: Job) -> Tally:
    """`async for` over exact, typed rows."""
    aiwyn = await client_of(job)
    return await _complete(aiwyn.invoices.list(), job)


async def _complete(read: Pager[Any] | Pull[Any], job: Job) -> Tally:
    tally = await added_up(read, job)
    assert read.report.complete, read.report
    return tally


async def typed_primed(job: Job) -> Tally:
    """The same with `prime_allocator()`."""
    prime_allocator()
    return await typed(job)


async def typed_with_isal(job: Job) -> Tally:
    """The same with `inflate_with_isal()`."""
    inflate_with_isal()
    try:
        return await typed(job)
    finally:
        aiohttp.set_zlib_backend(zlib)  # type: ignore[arg-type]


async def kept(job: Job) -> Tally:
    """`collect()`."""
    aiwyn = await client_of(job)
    rows = await aiwyn.invoices.list().collect()
    return Tally(len(rows), sum(row.id for row in rows))  # type: ignore[misc]


async def kept_without_gc(job: Job) -> Tally:
    """The same with garbage collection off."""
    gc.disable()
    try:
        return await kept(job)
    finally:
        gc.enable()


async def raw(job: Job) -> Tally:
    """Rows as their bytes, not decoded."""
    aiwyn = await client_of(job)
    return await counted(aiwyn.invoices.list().decode_as(msgspec.Raw), job)


async def many_at_once(job: Job) -> Tally:
    """`get()` in `max_concurrency` tasks."""
    aiwyn = await client_of(job)

    async def get(key: int) -> None:
        invoice = await aiwyn.invoices.get(key)
        assert invoice.id == key

    return await at_once(get, job)


async def by_ranges(job: Job) -> Tally:
    """`pull()` with several key ranges."""
    aiwyn: Any = await client_of(job)
    rows = ids = 0
    amounts: list[Decimal] = []
    pull = aiwyn.invoices.pull(ranges=job.options["ranges"])
    async for batch in pull.pages():
        for row in batch.items:
            rows += 1
            ids += row.id
        if job.verify:
            amounts += [row.total_amount for row in batch.items]
    assert pull.report.complete, pull.report
    return Tally(rows, ids, sum(amounts, Decimal()) if job.verify else None)


async def pulled(job: Job) -> Tally:
    """`pull()` with default options."""
    aiwyn = await client_of(job)
    return await _complete(aiwyn.invoices.pull(), job)


async def searched(job: Job) -> Tally:
    """Keyset pagination of one search, page after page."""
    aiwyn = await client_of(job)
    rows = ids = 0
    async for row in aiwyn.invoices.search(order_by=[F.id.asc()]):
        rows += 1
        ids += row.id  # type: ignore[operator]
    return Tally(rows, ids)


async def small_searches(job: Job) -> Tally:
    """Searches of few rows."""
    aiwyn = await client_of(job)
    calls, rows = job.options["calls"], job.options["rows"]
    first = job.first_id
    for _ in range(calls):
        found = await aiwyn.invoices.search(where=(F.id >= first) & (F.id < first + rows)).collect()
        assert len(found) == rows
    return Tally(calls)


async def condition_of_many_clauses(job: Job) -> Tally:
    """Build a search with many clauses, without sending it."""
    aiwyn = await client_of(job)
    calls, clauses = job.options["calls"], job.options["clauses"]
    for _ in range(calls):
        conditions = (F.client_id == number for number in range(clauses))
        aiwyn.invoices.search(where=functools.reduce(operator.or_, conditions))
    return Tally(calls)


async def tree_of_many_clauses(job: Job) -> Tally:
    """The same as a plain dict."""
    aiwyn = await client_of(job)
    calls, clauses = job.options["calls"], job.options["clauses"]
    for _ in range(calls):
        aiwyn.invoices.search(where={"_or": [{"clientId": {"_eq": number}} for number in range(clauses)]})
    return Tally(calls)


async def growth(job: Job) -> Tally:
    """The first pull of a process, and the growth of its peak memory."""
    aiwyn = await client_of(job)
    await aiwyn.invoices.get(job.first_id)
    before, began, used = peak_memory(), time.perf_counter(), time.process_time()
    rows = ids = 0
    repeats = job.options["repeats"]
    for _ in range(repeats):
        found = await typed(job)
        rows += found.rows
        ids += found.ids or 0
    notes = {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - used,
        "before": before,
        "growth": peak_memory() - before,
    }
    return Tally(rows // repeats, ids // repeats, notes=notes)
