"""A web backend on AiwynClient beside the same request by bare aiohttp, in one process.

`python -m benchmarks.web_backend [requests]` starts a sandbox and a Starlette backend under uvicorn, each in
its own process. Bursts of 200 requests alternate between both routes, and 30 % of the callers hang up. It
prints the percentiles of the requests that were completed, as callers measure them. Needs starlette and
uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aiwyn_async import AiwynClient

BURST, HANG_UP, CONCURRENCY = 200, 0.3, 32
ROUTES = ("bare", "aiwyn")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    base_url, api_key = os.environ["AIWYN_BASE_URL"], os.environ["AIWYN_API_KEY"]
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with (
        AiwynClient(max_concurrency=CONCURRENCY) as aiwyn,
        aiohttp.ClientSession(base_url, connector=connector) as http,
    ):
        async with http.post("/v1/auth/token", json={"jwtApiKey": api_key}) as response:
            token = (await response.json())["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield {"aiwyn": aiwyn, "http": http}


async def through_aiwyn(request: Request) -> Response:
    invoice = await request.state.aiwyn.invoices.get(request.path_params["key"])
    return Response(msgspec.json.encode(invoice), media_type="application/json")


async def through_bare_aiohttp(request: Request) -> Response:
    async with request.state.http.get(f"/gql/v1/invoice/{request.path_params['key']}") as response:
        response.raise_for_status()
        invoice = msgspec.json.decode(await response.read())
    return Response(msgspec.json.encode(invoice), media_type="application/json")


app = Starlette(
    routes=[Route("/aiwyn/{key:int}", through_aiwyn), Route("/bare/{key:int}", through_bare_aiohttp)],
    lifespan=lifespan,
)


async def call(http: aiohttp.ClientSession, path: str, patience: float | None) -> float | None:
    """Return the seconds of a request, or None if its caller hung up."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(patience), http.get(path) as response:
            response.raise_for_status()
            await response.read()
    except TimeoutError:
        return None
    return time.perf_counter() - started


async def measure(url: str, keys: list[int], requests: int) -> dict[str, list[float]]:
    chance = random.Random(7)
    seconds: dict[str, list[float]] = {route: [] for route in ROUTES}
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http:
        for number in range(2 * (requests // BURST + 1)):
            route = ROUTES[number % 2]
            times = await asyncio.gather(
                *(
                    call(
                        http,
                        f"/{route}/{chance.choice(keys)}",
                        chance.uniform(0, 0.2) if chance.random() < HANG_UP else None,
                    )
                    for _ in range(BURST)
                )
            )
            if number >= len(ROUTES):  # the first bursts open the connections
                seconds[route] += [each for each in times if each is not None]
            await asyncio.sleep(0.05)  # the requests of callers that hung up end
    return seconds


async def keys_of(base_url: str, api_key: str) -> list[int]:
    async with AiwynClient(base_url=base_url, api_key=api_key) as aiwyn:
        return [invoice.id async for invoice in aiwyn.invoices.list(limit=500) if isinstance(invoice.id, int)]


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with subprocess.Popen(
        [sys.executable, "-m", "aiwyn_async.sandbox", "--invoices", "500", "--latency", "0.02"],
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        assert sandbox.stdout is not None
        box = json.loads(sandbox.stdout.readline())
        environment = {**os.environ, "AIWYN_BASE_URL": box["url"], "AIWYN_API_KEY": box["api_key"]}
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.web_backend", "serve"], env=environment, stdout=subprocess.PIPE
        ) as backend:
            assert backend.stdout is not None
            url = backend.stdout.readline().decode().strip()
            try:
                keys = asyncio.run(keys_of(box["url"], box["api_key"]))
                seconds = asyncio.run(measure(url, keys, requests))
            finally:
                backend.terminate()
                sandbox.terminate()
    report(seconds)


def report(seconds: dict[str, list[float]]) -> None:
    figures: dict[str, tuple[float, float]] = {}
    for route, times in seconds.items():
        cuts = statistics.quantiles(times, n=100)
        figures[route] = cuts[49], cuts[98]
        print(
            f"{route:6} {len(times):5} requests  p50 {cuts[49] * 1e3:6.1f} ms  p99 {cuts[98] * 1e3:6.1f} ms"
        )
    bare, aiwyn = figures["bare"], figures["aiwyn"]
    print(f"ratio: p50 {aiwyn[0] / bare[0]:.2f}, p99 {aiwyn[1] / bare[1]:.2f}")


async def serve() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await serving


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
