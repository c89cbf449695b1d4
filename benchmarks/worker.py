"""The child's side of a measurement: slices by name, run when a line on stdin asks for one.

A slice pulls what its job says, and returns its tally; time and CPU are taken around it. Clients that it
keeps stay open between its runs, so that connecting and the token belong to the warm-up. What a slice has
to check after the clock has stopped, it returns as a function that gives the tally.

Only the standard library is imported here: rivals have environments of their own.
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
    """What a pull added up to; what a kind of rows does not hold is None."""

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
    """Add up the amounts too, which is not timed."""
    options: dict[str, Any]
    _clients: dict[Any, Any] = field(default_factory=dict)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def pages(self) -> int:
        return -(-self.rows // 1000)

    async def client(
        self, open_it: Callable[[Job], AbstractAsyncContextManager[ClientT]], *more: Any
    ) -> ClientT:
        """The client that this opens, kept between runs with the same address and options."""
        key = (open_it, self.url, *more)
        if key not in self._clients:
            self._clients[key] = await self._open.enter_async_context(open_it(self))
        found: ClientT = self._clients[key]
        return found

    def kept(self, make: Callable[[Job], ClientT]) -> ClientT:
        """The same for what is no context manager."""
        key = (make, self.url)
        if key not in self._clients:
            self._clients[key] = make(self)
        found: ClientT = self._clients[key]
        return found


Outcome = Tally | Callable[[], Tally]
Slice = Callable[[Job], Awaitable[Outcome] | Outcome]


class Adder:
    """Adds rows up by attributes, for the rivals whose rows have them."""

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
    """The tally of rows that have attributes. None is kept: the first run must leave the memory as it was."""
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
    """The tally of rows that are the bytes of their JSON."""
    if job.verify:
        ids = [json.loads(bytes(row))["id"] async for row in rows]
        return Tally(len(ids), sum(ids))
    number = 0
    async for _ in rows:
        number += 1
    return Tally(number)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """Bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


async def _timed(outcome: Awaitable[Outcome] | Outcome) -> tuple[Outcome, float, float]:
    used, began = _cpu(), time.perf_counter()
    found = await outcome if inspect.isawaitable(outcome) else outcome
    return found, time.perf_counter() - began, _cpu() - used


class _Worker:
    def __init__(self, slices: Mapping[str, Slice]) -> None:
        self._slices = slices
        self._clients: dict[Any, Any] = {}
        self._open = AsyncExitStack()

    def answer(self, runner: asyncio.Runner, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["do"] == "freeze":
            gc.collect()
            gc.freeze()
            return {}
        if asked["do"] == "pin":
            if hasattr(os, "sched_setaffinity"):
                available = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(0, available[-asked["cores"] :])
            return {}
        job = Job(**asked["job"], _clients=self._clients, _open=self._open)
        called = self._slices[asked["slice"]]
        if inspect.iscoroutinefunction(called):
            outcome, wall, cpu = runner.run(_timed(called(job)))
        else:
            # Clients that block are run outside of any loop, as their users do.
            used, began = _cpu(), time.perf_counter()
            plain: Any = called(job)
            outcome, wall, cpu = plain, time.perf_counter() - began, _cpu() - used
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
    """Serve the lines of stdin until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a client prints must not stand among the answers
    worker = _Worker(slices)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            try:
                answer = worker.answer(runner, json.loads(line))
            except Exception as fault:  # noqa: BLE001 (told to the parent, whatever it is)
                answer = {"error": f"{type(fault).__name__}: {fault}"[:2000]}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        runner.run(worker.close())
