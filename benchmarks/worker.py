"""The measured process: runs slices by name, as lines on stdin request.

A slice pulls the rows of its job and returns a tally; time and CPU are measured around it. Clients stay open
between runs, so that connecting and the token exchange belong to the warm-up. A slice that checks rows after
the measurement returns a function that returns the tally.

Only the standard library is imported here, since rivals have their own environments.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

ClientT = TypeVar("ClientT")


class Tally(NamedTuple):
    """The sums of a pull; None for what its rows do not contain."""

    rows: int
    ids: int | None = None
    total: Decimal | float | None = None
    notes: dict[str, Any] | None = None


@dataclass
class Job:
    """What to pull, and from where."""

    url: str
    api_key: str
    authority: str | None
    rows: int
    first_id: int
    verify: bool
    """Add up the amounts too; this run is not measured."""
    options: dict[str, Any]
    _clients: dict[Any, Any] = field(default_factory=dict)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def pages(self) -> int:
        return -(-self.rows // 1000)

    async def client(
        self, open_it: Callable[[Job], AbstractAsyncContextManager[ClientT]], *more: Any
    ) -> ClientT:
        """Return an open client, shared by runs with the same address and options."""
        key = (open_it, self.url, *more)
        if key not in self._clients:
            self._clients[key] = await self._open.enter_async_context(open_it(self))
        client: ClientT = self._clients[key]
        return client

    def shared(self, make: Callable[[Job], ClientT]) -> ClientT:
        """Return a shared object that is not a context manager."""
        key = (make, self.url)
        if key not in self._clients:
            self._clients[key] = make(self)
        client: ClientT = self._clients[key]
        return client


Outcome = Tally | Callable[[], Tally]
Slice = Callable[[Job], Awaitable[Outcome] | Outcome]


class Adder:
    """Adds up rows, for the rivals."""

    def __init__(self, job: Job) -> None:
        self.rows = self.ids = 0
        self._verify = job.verify
        self._amounts: list[Any] = []

    def add_objects(self, rows: list[Any]) -> None:
        if self._verify:
            self._amounts += [row.total_amount for row in rows]
        for row in rows:
            self.ids += row.id
        self.rows += len(rows)

    def add(self, row: dict[str, Any]) -> None:
        if self._verify:
            self._amounts.append(row["totalAmount"])
        self.ids += row["id"]
        self.rows += 1

    @property
    def tally(self) -> Tally:
        return Tally(self.rows, self.ids, sum(self._amounts) if self._verify else None)


async def added_up(rows: AsyncIterable[Any], job: Job) -> Tally:
    """Return the tally of rows with attributes. Stores no row, so that memory does not grow."""
    number = ids = 0
    if not job.verify:
        async for row in rows:
            number += 1
            ids += row.id
        return Tally(number, ids)
    total = Decimal()
    async for row in rows:
        number += 1
        ids += row.id
        total += row.total_amount
    return Tally(number, ids, total)


async def counted(rows: AsyncIterable[Any], job: Job) -> Tally:
    """Return the tally of rows that are JSON bytes."""
    if job.verify:
        ids = [json.loads(bytes(row))["id"] async for row in rows]
        return Tally(len(ids), sum(ids))
    number = 0
    async for _ in rows:
        number += 1
    return Tally(number)


async def at_once(get: Callable[[int], Awaitable[None]], job: Job) -> Tally:
    """Get objects by their keys, in `max_concurrency` tasks."""
    keys = iter(range(job.first_id, job.first_id + job.options["calls"]))

    async def caller() -> int:
        done = 0
        for key in keys:
            await get(key)
            done += 1
        return done

    return Tally(sum(await asyncio.gather(*(caller() for _ in range(job.options["max_concurrency"])))))


def seconds_of_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """Return the peak memory in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


async def _timed(outcome: Awaitable[Outcome]) -> tuple[Outcome, float, float]:
    used, began = seconds_of_cpu(), time.perf_counter()
    result = await outcome
    return result, time.perf_counter() - began, seconds_of_cpu() - used


class _Worker:
    def __init__(self, slices: Mapping[str, Slice]) -> None:
        self._slices = slices
        self._clients: dict[Any, Any] = {}
        self._open = AsyncExitStack()

    def process(self, runner: asyncio.Runner, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "freeze":
            gc.collect()
            gc.freeze()
            return {}
        if request["do"] == "pin":
            if hasattr(os, "sched_setaffinity"):
                available = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(0, available[-request["cores"] :])
            return {}
        job = Job(**request["job"], _clients=self._clients, _open=self._open)
        called = self._slices[request["slice"]]
        if inspect.iscoroutinefunction(called):
            outcome, wall, cpu = runner.run(_timed(called(job)))
        else:
            # Blocking clients run without an event loop, as in their users' programs.
            used, began = seconds_of_cpu(), time.perf_counter()
            plain: Any = called(job)
            outcome, wall, cpu = plain, time.perf_counter() - began, seconds_of_cpu() - used
        tally = outcome() if callable(outcome) else outcome
        total = None if tally.total is None else str(tally.total)
        return {
            "rows": tally.rows,
            "ids": tally.ids,
            "total": total,
            "notes": tally.notes or {},
            "wall": wall,
            "cpu": cpu,
            "peak": peak_memory(),
        }

    async def close(self) -> None:
        await self._open.aclose()


def main(slices: Mapping[str, Slice]) -> None:
    """Process the lines of stdin until it ends."""
    responses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of a client must not be mixed with the responses
    worker = _Worker(slices)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            try:
                response = worker.process(runner, json.loads(line))
            except Exception as error:  # noqa: BLE001 (reported to the parent)
                response = {"error": f"{type(error).__name__}: {error}"[:2000]}
            responses.write(json.dumps(response) + "\n")
            responses.flush()
        runner.run(worker.close())
