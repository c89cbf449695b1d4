"""The backends of examples/web under load, with callers that hang up."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import contextlib
import importlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
import uvicorn

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox, standard_webhooks

EXAMPLES = Path(__file__).parents[2] / "examples" / "web"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REQUESTS, BURST, HANG_UP = 1000, 200, 0.3


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(50, latency=0.005) as running:
        monkeypatch.setenv("AIWYN_BASE_URL", running.url)
        monkeypatch.setenv("AIWYN_API_KEY", running.api_key)
        monkeypatch.setenv("AIWYN_WEBHOOK_SECRET", SECRET)
        yield running


@pytest.fixture(params=["fastapi_app", "starlette_app", "litestar_app"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(str(request.param))


@pytest.fixture
def clients(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[AiwynClient]:
    """The clients that the backend creates."""
    made: list[AiwynClient] = []

    def make(**options: int) -> AiwynClient:
        made.append(AiwynClient(**options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(module, "AiwynClient", make)
    return made


@pytest.fixture
async def url(module: ModuleType, box: Sandbox, clients: list[AiwynClient]) -> AsyncIterator[str]:
    del box, clients  # requested so that they are set up before the backend starts
    server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_level="error", ws="none"))
    # uvicorn would handle the signals of the tests.
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (no event says so)
            await asyncio.sleep(0)


async def call(http: aiohttp.ClientSession, path: str) -> int:
    async with http.get(path) as response:
        await response.read()
        return response.status


async def hang_up(http: aiohttp.ClientSession, path: str, seconds: float) -> int | None:
    """Close the connection after some time, if there is no response before."""
    try:
        async with asyncio.timeout(seconds):
            return await call(http, path)
    except TimeoutError:
        return None


async def test_load_with_callers_that_hang_up_leaves_nothing_open(
    url: str, box: Sandbox, clients: list[AiwynClient]
) -> None:
    chance = random.Random(7)
    keys = [int(str(key)) for (key,) in box.query("SELECT id FROM invoices")]
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http:
        assert await call(http, f"/invoices/{keys[0]}") == 200
        before = asyncio.all_tasks()
        statuses: list[int | None] = []
        for _ in range(REQUESTS // BURST):
            paths = [f"/invoices/{chance.choice(keys)}" for _ in range(BURST)]
            statuses += await asyncio.gather(
                *(
                    hang_up(http, path, chance.uniform(0, 0.2))
                    if chance.random() < HANG_UP
                    else call(http, path)
                    for path in paths
                )
            )
        assert set(statuses) == {200, None}
        assert statuses.count(200) > REQUESTS * (1 - HANG_UP) * 0.9
        (aiwyn,) = clients
        await until(lambda: not aiwyn._session.limiter.in_flight)
        assert await call(http, "/invoices") == 200
        (pool,) = aiwyn._session.transport._pools.values()
        connector = pool.connector
        assert not connector._acquired
        assert sum(map(len, connector._conns.values())) <= 32
    await until(lambda: all(task.done() for task in asyncio.all_tasks() - before))
    assert box.token_exchanges == 1


async def test_missing_invoice_is_a_404_and_a_failure_a_502(url: str, box: Sandbox) -> None:
    async with aiohttp.ClientSession(url) as http:
        assert await call(http, "/invoices/9") == 404
        box.faults.add("invoices.list", status=400)
        assert await call(http, "/invoices") == 502


async def test_webhook_is_verified_and_processed_once(
    url: str, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    del module
    body = b'{"operation":"CREATE"}'
    now = int(time.time())
    headers = dict(standard_webhooks(SECRET, "msg_1", now, body))
    async with aiohttp.ClientSession(url) as http:

        async def deliver(body: bytes) -> int:
            async with http.post("/webhooks", data=body, headers=headers) as response:
                return response.status

        assert [await deliver(body), await deliver(body), await deliver(body + b" ")] == [204, 204, 400]
    assert capsys.readouterr().out == "received msg_1\n"
