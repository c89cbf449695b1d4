"""One client across event loops, threads and forks, and its close."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import LoopMismatchError
from aiwyn_async.sandbox import Sandbox
from fault_server import READ, STALL, FaultServer, Step, http_response, send
from looking_inside import LIST, connectors_of, session_of, until
from secrecy import CANARY
from unreachable import authority, server_context, trusting

Connect = Callable[..., AiwynClient]
OK = send(http_response())


@pytest.fixture
def served() -> Iterator[Sandbox]:
    """A sandbox in a separate thread, so that a test can run several event loops."""
    started, stop = threading.Event(), threading.Event()
    boxes: list[Sandbox] = []

    async def serve() -> None:
        async with Sandbox(invoices=20) as box:
            boxes.append(box)
            started.set()
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, serve())
        started.wait(10)
        try:
            yield boxes[0]
        finally:
            stop.set()
            running.result()


def test_one_client_serves_several_asyncio_runs(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key)

    async def call() -> int:
        return (await session_of(client).call(LIST)).status

    assert [asyncio.run(call()) for _ in range(3)] == [200, 200, 200]
    assert all(connector.closed for connector in connectors_of(session_of(client).transport))
    # Every loop closed its pool, so nothing is open and no warning is due.
    assert not session_of(client).transport.is_open


def test_loop_closed_during_a_renewal_does_not_block_the_next(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key)
    served.faults.add("auth.token", action="stall")

    async def cancel_call() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session_of(client).call(LIST)

    async def call() -> int:
        async with client:
            return (await session_of(client).call(LIST)).status

    asyncio.run(cancel_call())
    assert asyncio.run(call()) == 200
    assert session_of(client).limiter.in_flight == 0


def test_two_loops_of_one_thread_share_a_client(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    for loop in (first, second, first):
        assert loop.run_until_complete(session_of(client).call(LIST)).status == 200
    second.run_until_complete(client.aclose())
    # A pool of another loop is closed when that loop ends.
    for loop in (first, second):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_client_refuses_another_threads_loop_while_the_first_runs(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key)

    async def call() -> int:
        return (await session_of(client).call(LIST)).status

    async def call_in_both_loops() -> None:
        async with client:
            await call()
            with pytest.raises(LoopMismatchError, match="one AiwynClient per thread"):
                await asyncio.to_thread(asyncio.run, call())
            assert await call() == 200

    asyncio.run(call_in_both_loops())


def test_client_works_in_another_thread_after_the_first_loop_closed(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key)

    async def call() -> int:
        return (await session_of(client).call(LIST)).status

    assert asyncio.run(call()) == 200
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, call()).result() == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_opens_its_own_pool_and_leaves_the_parents_alone(served: Sandbox) -> None:
    client = AiwynClient(base_url=served.url, api_key=served.api_key, max_concurrency=1)

    async def call() -> int:
        return (await session_of(client).call(LIST)).status

    async def parent() -> None:
        async with client:
            await call()
            (connector,) = connectors_of(session_of(client).transport)
            # As if the only slot were acquired during the fork.
            session_of(client).limiter.in_flight = 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that other threads run while forking
                child = os.fork()
            if child == 0:
                _exit_with_result_of(client)
            session_of(client).limiter.in_flight = 0
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            assert await call() == 200
            assert connectors_of(session_of(client).transport) == [connector]

    asyncio.run(parent())


def _exit_with_result_of(client: AiwynClient) -> None:
    """Send two requests in the child, in a new loop, and exit without the parent's cleanup."""
    signal.alarm(10)
    code = 1
    try:
        asyncio.events._set_running_loop(None)
        session, loop = session_of(client), asyncio.new_event_loop()
        inherits_open = session.transport.is_open
        statuses, connectors = [], []
        for _ in range(2):
            statuses.append(loop.run_until_complete(session.call(LIST)).status)
            connectors += connectors_of(session.transport)
        is_reused = len(connectors) == 2 and connectors[0] is connectors[1]
        code = 0 if statuses == [200, 200] and is_reused and not inherits_open else 2
    finally:
        os._exit(code)


async def test_client_dropped_while_open_warns_once_and_leaves_no_socket() -> None:
    async with FaultServer([READ, OK, STALL]) as server:
        client = AiwynClient(base_url=server.url, token=CANARY)
        await session_of(client).call(LIST)
        (connector,) = connectors_of(session_of(client).transport)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del client
            gc.collect()
        assert ["dropped while open" in str(warning.message) for warning in warned] == [True]
        warned.clear()  # a recorded warning references the client
        # The pool closes itself on its loop.
        for _ in range(10):
            await asyncio.sleep(0)
        assert connector.closed


@pytest.mark.parametrize(
    "responses", [[OK], [send(http_response(503)), READ, OK]], ids=["at once", "second try"]
)
async def test_response_is_freed_with_its_task_without_the_garbage_collector(
    connect: Connect, responses: list[Step]
) -> None:
    async with FaultServer([READ, OK, READ, *responses]) as server:
        client = connect(server.url)
        await session_of(client).call(LIST)
        gc.disable()
        try:
            task = asyncio.create_task(session_of(client).call(LIST))
            assert (await task).status == 200
            seen = weakref.ref(task)
            del task
            await asyncio.sleep(0)  # the loop drops its reference to the last callback
            assert seen() is None
        finally:
            gc.enable()


async def test_unused_client_is_dropped_without_a_warning(connect: Connect) -> None:
    client = AiwynClient(base_url="https://api.example.org", token=CANARY)
    del client, connect
    gc.collect()


async def test_view_closes_nothing(connect: Connect) -> None:
    async with FaultServer([READ, OK, READ, OK]) as server:
        client = connect(server.url)
        async with client.with_options(retries=0) as view:
            await session_of(view).call(LIST)
        await session_of(client).call(LIST)
    assert server.connections == 1


@contextmanager
def silent_tls_server() -> Generator[tuple[str, threading.Event]]:
    """Accept one connection over TLS and only read from it; the event is set when a request was received."""

    def serve() -> None:
        accepted, _ = listener.accept()
        with accepted, context.wrap_socket(accepted, server_side=True) as wrapped:
            with suppress(OSError):
                while wrapped.recv(65536):
                    received.set()
            is_done.wait(10)

    context, received, is_done = server_context(), threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(10)
        serving = pool.submit(serve)
        try:
            yield f"https://localhost:{listener.getsockname()[1]}", received
        finally:
            is_done.set()
        serving.result()


def test_loop_that_ends_with_a_tls_request_in_flight_leaves_no_open_transport() -> None:
    async def leave(client: AiwynClient, received: threading.Event) -> None:
        call = asyncio.create_task(session_of(client).call(LIST))
        await until(received.is_set)
        call.cancel()

    with silent_tls_server() as (url, received), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = AiwynClient(base_url=url, token=CANARY, ssl_context=trusting(authority()))
        asyncio.run(leave(client, received))
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
