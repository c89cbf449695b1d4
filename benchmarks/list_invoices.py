"""How fast `invoices.list()` is beside a hand-written client, and how its memory grows.

Both sides read the same pages of one server, in turns, in one run, four requests in flight, into the same
Struct. Only the ratio counts: the machine is shared, so the rates of one run mean nothing in another.

    python benchmarks/list_invoices.py [--rows 100000] [--rounds 7] [--memory-rows 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import aiohttp
import msgspec

from aiwyn_async import AiwynClient, Invoice

IN_FLIGHT = 4
PAGE_SIZE = 1000


class Server(NamedTuple):
    url: str
    api_key: str


@contextmanager
def sandbox(rows: int) -> Iterator[Server]:
    """The sandbox in a process of its own, so that it does not share the client's interpreter."""
    command = [sys.executable, "-m", "aiwyn_async.sandbox", "--invoices", str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Server(told["url"], told["api_key"])
        finally:
            process.terminate()


class Count(msgspec.Struct):
    count: int


class Aggregate(msgspec.Struct):
    aggregate: Count


class Envelope(msgspec.Struct):
    deid_invoice: list[Invoice]
    deid_invoice_aggregate: Aggregate


async def hand_written(server: Server) -> AsyncGenerator[Invoice, None]:
    """What a careful user writes: ordered pages, four in flight, one decoder; no retries, no checks."""
    decoder = msgspec.json.Decoder(Envelope)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.post(f"{server.url}/v1/auth/token", json={"jwtApiKey": server.api_key}) as answer:
            token = (await answer.json())["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

        async def page(number: int) -> bytes:
            body = b'{"pageSize":%d,"page":%d}' % (PAGE_SIZE, number)
            async with session.post(f"{server.url}/gql/v1/invoices", data=body, headers=headers) as answer:
                return await answer.read()

        first = decoder.decode(await page(0))
        pages = -(-first.deid_invoice_aggregate.aggregate.count // PAGE_SIZE)
        for invoice in first.deid_invoice:
            yield invoice
        del first
        numbers = iter(range(1, pages))
        window = deque(asyncio.ensure_future(page(number)) for number in islice(numbers, IN_FLIGHT))
        while window:
            body = await window.popleft()
            window += [asyncio.ensure_future(page(number)) for number in islice(numbers, 1)]
            rows = decoder.decode(body).deid_invoice
            del body
            for invoice in rows:
                yield invoice
            del rows


async def by_hand(server: Server) -> int:
    rows = 0
    async for _ in hand_written(server):
        rows += 1
    return rows


async def by_list(server: Server) -> int:
    async with AiwynClient(base_url=server.url, api_key=server.api_key) as aiwyn:
        walk = aiwyn.invoices.list()
        rows = 0
        async for _ in walk:
            rows += 1
        assert walk.report.complete, walk.report
        return rows


def timed(pull: Callable[[Server], Awaitable[int]], server: Server, rows: int) -> float:
    async def run() -> int:
        return await pull(server)

    started = time.perf_counter()
    assert asyncio.run(run()) == rows
    return time.perf_counter() - started


def compare(rows: int, rounds: int) -> None:
    with sandbox(rows) as server:
        timed(by_hand, server, rows)
        timed(by_list, server, rows)
        pairs: list[tuple[float, float]] = []
        same: list[float] = []
        for turn in range(rounds):
            if turn % 2:
                ours, theirs = timed(by_list, server, rows), timed(by_hand, server, rows)
            else:
                theirs, ours = timed(by_hand, server, rows), timed(by_list, server, rows)
            pairs.append((ours, theirs))
            same.append(theirs / timed(by_hand, server, rows))
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    print(f"{rows} rows, {rounds} rounds in turns, {IN_FLIGHT} in flight, typed rows with exact decimals")
    for name, seconds in (("list()", [o for o, _ in pairs]), ("hand-written", [t for _, t in pairs])):
        print(f"  {name:13} {rows / statistics.median(seconds) / 1000:7.1f} thousand rows/s (median)")
    print(
        f"  ratio         {statistics.median(ratios):7.3f} [{ratios[0]:.3f} {ratios[-1]:.3f}] of hand-written"
    )
    print(f"  the same code on both sides: {statistics.median(same):.3f} [{min(same):.3f} {max(same):.3f}]")


def peak_memory(rows: int) -> int:
    """Peak resident bytes of a fresh process that walks that many rows."""
    with sandbox(rows) as server:
        command = [sys.executable, __file__, "--walk", server.url, server.api_key, str(rows)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--walk", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.walk:
        url, api_key, rows = given.walk
        timed(by_list, Server(url, api_key), int(rows))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    compare(given.rows, given.rounds)
    if given.memory_rows:
        few, many = peak_memory(given.rows), peak_memory(given.memory_rows)
        print(f"  peak memory: {few / 1e6:.1f} MB for {given.rows} rows, ", end="")
        print(f"{many / 1e6:.1f} MB for {given.memory_rows}")


if __name__ == "__main__":
    main()
