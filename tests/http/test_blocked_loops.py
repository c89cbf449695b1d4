"""A caller that blocks the event loop past a time limit loses no response that has arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.auth import ProvidedToken
from aiwyn_async._http.timeouts import Stage, TimeLimit
from aiwyn_async.config import Config
from aiwyn_async.errors import TransportError
from aiwyn_async.sandbox import Sandbox
from fault_server import READ, STALL, FaultServer
from leaping_loop import run_leaping
from looking_inside import until

LIMIT = 0.3
BLOCKED = 0.45


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in a separate thread, which responds while this one is blocked."""
    with Sandbox(invoices=95, seed=7) as running:
        yield running


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "attempt_timeout", "deadline"])
async def test_page_that_arrived_while_the_loop_was_blocked_is_read(box: Sandbox, name: str) -> None:
    options: dict[str, Any] = {name: LIMIT}
    async with AiwynClient(base_url=box.url, token=box.token, retries=0, **options) as aiwyn:
        number = 0
        async for _ in aiwyn.invoices.list(page_size=10):
            number += 1
            if number % 50 == 1:
                time.sleep(BLOCKED)  # noqa: ASYNC251 (the caller's mistake)
    assert number == 95


async def test_silent_server_times_out_although_the_loop_was_blocked() -> None:
    async with (
        FaultServer([READ, STALL]) as server,
        AiwynClient(base_url=server.url, token="t", retries=0, read_timeout=LIMIT) as aiwyn,
    ):
        call = asyncio.create_task(aiwyn.invoices.get(1))
        await until(lambda: len(server.requests) > 0)
        time.sleep(BLOCKED)  # noqa: ASYNC251
        with pytest.raises(TransportError, match="the server was silent for read_timeout"):
            await call


async def test_token_that_was_returned_while_the_loop_was_blocked_is_used() -> None:
    config = Config(base_url="http://127.0.0.1:9", token=lambda: "a-token")
    token = asyncio.create_task(ProvidedToken(lambda: "a-token", config, LIMIT).bearer())
    for _ in range(3):  # turns of the loop until the function runs in its thread
        await asyncio.sleep(0)
    time.sleep(BLOCKED)  # noqa: ASYNC251
    assert (await token).reveal() == "a-token"


class SilentError(Exception):
    """No data was received for too long."""


async def block(seconds: float) -> None:
    """Let time pass in one turn of the loop; the overdue timer fires in the next one."""
    loop: Any = asyncio.get_running_loop()
    loop.leap(seconds)
    for _ in range(2):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("blocked", "ends_at"),
    [
        ((), 1),
        ((5,), 9),  # the limit of 1 is found 4 late, and gets 4 more
        ((5, 6), 11),  # blocked again, without having received anything
    ],
)
def test_blocked_loop_extends_a_limit_once(blocked: tuple[int, ...], ends_at: float) -> None:
    async def wait() -> None:
        with TimeLimit(99) as limit, Stage(limit, 50, 1, SilentError) as stage:
            stage.listen()
            for seconds in blocked:
                await block(seconds)
            await asyncio.sleep(1000)

    async def main() -> float:
        with pytest.raises(SilentError):
            await wait()
        return asyncio.get_running_loop().time()

    assert run_leaping(main()) == ends_at


def test_limit_is_extended_again_after_data_was_received() -> None:
    async def main() -> float:
        with TimeLimit(99) as limit, Stage(limit, 4, 3, SilentError) as stage:
            for _ in range(5):
                stage.listen()
                await block(7)
        return asyncio.get_running_loop().time()

    assert run_leaping(main()) == 35


@pytest.mark.parametrize(
    ("ends_at", "error", "ended_at"),
    [
        (99, SilentError, 9),  # the silence of 1 is found 4 late, and gets 4 more
        (7, TimeoutError, 7),  # not overdue
        (4, TimeoutError, 9),  # overdue as well
    ],
)
def test_end_of_a_call_is_extended_only_if_overdue(
    ends_at: float, error: type[Exception], ended_at: float
) -> None:
    async def wait() -> None:
        with TimeLimit(ends_at) as limit, Stage(limit, 50, 1, SilentError) as stage:
            stage.listen()
            await block(5)
            await asyncio.sleep(1000)

    async def main() -> float:
        with pytest.raises(error):
            await wait()
        return asyncio.get_running_loop().time()

    assert run_leaping(main()) == ended_at


def test_later_stages_of_a_call_are_not_extended() -> None:
    async def attempt(limit: TimeLimit, blocked: float) -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(SilentError):  # noqa: SIM117, PT012
            with Stage(limit, 50, 1, SilentError) as stage:
                stage.listen()
                await block(blocked)
                await asyncio.sleep(1000)
        return loop.time() - started

    async def main() -> list[float]:
        with TimeLimit(99) as limit:
            return [await attempt(limit, 5), await attempt(limit, 0), await attempt(limit, 0)]

    assert run_leaping(main()) == [9, 1, 1]


def test_server_that_sends_slowly_ends_an_overdue_stage() -> None:
    async def wait() -> None:
        with TimeLimit(99) as limit, Stage(limit, 4, 3, SilentError) as stage:
            stage.listen()
            await block(7)
            while True:
                stage.listen()
                await asyncio.sleep(0.5)

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await wait()
        return asyncio.get_running_loop().time()

    assert run_leaping(main()) == 11
