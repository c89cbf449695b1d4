"""Fixtures of all tests, and the check that no test leaves tasks or errors behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from command_line import INHERITED
from fork_server import ForkServer
from secrecy import CANARY

# Jobs in the background of a shell ignore Ctrl-C, and those of nohup SIGHUP; their processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# An example takes longer on a machine that runs other jobs too, which is not a failure.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TURNS_TO_END = 10
"""Turns of the event loop that closing callbacks get before a task counts as left over."""


def pytest_addoption(parser: pytest.Parser) -> None:
    # Slow tests run few examples by default; these environment variables raise the number.
    parser.addoption("--kills", type=int, default=2, help="how often each export and sync is killed")
    parser.addoption("--drift-rows", type=int, default=4000, help="rows of the lists that move")
    parser.addoption("--drift-seeds", type=int, default=2, help="how many lists move")


def pytest_collection_finish() -> None:
    """Exempt what the imports created from garbage collections, for whose end many tests wait."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How often a process is killed."""
    return int(str(pytestconfig.getoption("--kills")))


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a task outlives its test, or asyncio reports an error."""
    complaints: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    handler = Collect(level=logging.ERROR)
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_no_task_is_left")
    logging.getLogger("asyncio").addHandler(handler)
    try:
        yield
        gc.collect(1)
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    assert not complaints


@pytest.fixture
async def _no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[Any]] = set()
    for _ in range(TURNS_TO_END):
        left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    pytest.fail(f"left over: {left}")


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Starts commands without importing them each time."""
    server = ForkServer(INHERITED)
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock whose sleeps take no time."""
    return FakeClock()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A small sandbox on loopback."""
    async with Sandbox(invoices=60, seed=7) as box:
        yield box


@pytest.fixture
async def client(sandbox: Sandbox, clock: FakeClock) -> AsyncIterator[AiwynClient]:
    """A client of the sandbox with the fake clock."""
    async with AiwynClient(base_url=sandbox.url, api_key=sandbox.api_key, clock=clock) as aiwyn:
        yield aiwyn


@pytest.fixture
async def connect(clock: FakeClock) -> AsyncIterator[Callable[..., AiwynClient]]:
    """Make clients with the canary for a token and the fake clock; they are closed at the end."""
    made: list[AiwynClient] = []

    def make(url: str, **options: Any) -> AiwynClient:
        if "api_key" not in options:
            options.setdefault("token", CANARY)
        options.setdefault("clock", clock)
        made.append(AiwynClient(base_url=url, **options))
        return made[-1]

    yield make
    for aiwyn in made:
        await aiwyn.aclose()
