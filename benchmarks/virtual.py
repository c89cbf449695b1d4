"""Clients in virtual time: an event loop whose clock leaps, and the servers of firms in the same process.

All code above `Transport.send()` is the real one: pagination, concurrency limiter, retries, tokens. The loop
leaps to the next timer instead of waiting, and `spend()` advances its clock as a computation does that blocks
the process.
"""

from __future__ import annotations

import asyncio
import functools
import math
import random
import selectors
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import msgspec

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Outcome, Request, Response
from aiwyn_async._http.timeouts import TimeLimit
from aiwyn_async._http.transport import Transport
from aiwyn_async.config import Config, Secret
from aiwyn_async.sandbox import RateLimit
from aiwyn_async.sandbox._http.rate_limit import TokenBucket

from .server import Asked

_decode = msgspec.json.Decoder(Asked).decode


class _Row(msgspec.Struct):
    id: int


class Loop(asyncio.SelectorEventLoop):
    """An event loop of virtual time, which is a `Clock` too."""

    def __init__(self) -> None:
        self._leaps = _Leaps()
        super().__init__(self._leaps)

    def time(self) -> float:
        return self._leaps.now

    monotonic = time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spend(self, seconds: float) -> None:
        self._leaps.now += seconds


class _Leaps(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return []


@dataclass
class Firm:
    """A firm: its keys, its server, and what the server saw. Seconds, and requests per second."""

    keys: Sequence[int]
    latency: float
    limit: RateLimit | None = None
    admitted: list[float] = field(default_factory=list)
    throttled: int = 0


class _Body(bytes):
    """The body of a response, counted as long as it is in memory."""

    def enter(self, process: Process) -> None:
        self._process = process
        process.held += 1
        process.max_held = max(process.max_held, process.held)

    def __del__(self) -> None:
        self._process.held -= 1


class Server(Transport):
    """Responds as the sandbox: after the latency, with a page, or with 429 and a wait in whole seconds."""

    def __init__(self, config: Config, *, firm: Firm, process: Process) -> None:
        super().__init__(config)
        self._firm, self._process = firm, process
        self._bucket = None if firm.limit is None else TokenBucket(firm.limit, config.clock.monotonic)

    async def send(
        self,
        request: Request,
        bearer: Secret | None,  # noqa: ARG002 (the signature of Transport)
        config: Config,  # noqa: ARG002
        limit: TimeLimit,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> Outcome:
        firm = self._firm
        await asyncio.sleep(firm.latency)
        if self._bucket is not None and (wait := self._bucket.take()):
            firm.throttled += 1
            return Response(429, {"Retry-After": str(math.ceil(wait))}, b"{}", firm.latency)
        firm.admitted.append(limit.loop.time())
        if not request.authorised:
            return Response(200, {}, b'{"token":"virtual"}', firm.latency)
        body = _Body(self._page(_decode(request.body or b"{}")))
        body.enter(self._process)
        return Response(200, {}, body, firm.latency)

    def _page(self, asked: Asked) -> bytes:
        keys = self._firm.keys
        bounds = asked.where.bounds(keys[0], keys[-1] + 1)
        first, last = (bisect_left(keys, bound) for bound in bounds)
        chosen = keys[first:last][:: -1 if asked.is_descending else 1][: asked.page_size]
        # Faster than JSON of a list of rows, of which there are a hundred million.
        rows = str(list(chosen)).replace("[", '[{"id":').replace(", ", '},{"id":').replace("]", "}]")
        count = b'"deid_invoice_aggregate":{"aggregate":{"count":%d}}' % (last - first)
        return b'{"deid_invoice":%s,%s}' % (rows.encode() if chosen else b"[]", count)


@dataclass
class Process:
    """A process that pulls firms, at most `at_once` at a time, with one client each.

    `row_seconds` is the CPU time of a row; `options` are those of the clients.
    """

    firms: Sequence[Firm]
    row_seconds: float = 0.0
    at_once: int = 64
    page_size: int = 1000
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    held: int = 0
    max_held: int = 0
    """Bodies in memory at the same time."""
    reports: list[Any] = field(default_factory=list)

    def run(self) -> Process:
        random.seed(7)  # the jitter of retries
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Loop)
            runner.run(self._pull_all(loop))
            self.seconds = loop.time()
        return self

    async def _pull_all(self, loop: Loop) -> None:
        slots = asyncio.Semaphore(self.at_once)

        async def pull(firm: Firm) -> None:
            async with slots:
                await self._pull(firm, loop)

        async with asyncio.TaskGroup() as tasks:
            for firm in self.firms:
                tasks.create_task(pull(firm))

    async def _pull(self, firm: Firm, loop: Loop) -> None:
        server = functools.partial(Server, firm=firm, process=self)
        with mock.patch("aiwyn_async._http.session.Transport", server):
            client = AiwynClient(base_url="http://127.0.0.1", api_key="any", clock=loop, **self.options)
        async with client:
            pull = client.invoices.pull(page_size=self.page_size, strict=True).decode_as(_Row)
            async for page in pull.pages():
                loop.spend(self.row_seconds * len(page.items))
        assert pull.report.rows_yielded == len(firm.keys), pull.report
        self.reports.append(pull.report)
