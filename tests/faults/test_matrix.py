"""Each fault, for each operation: the error, the requests sent, what was yielded, and what remains."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from types import NoneType
from typing import Any, NamedTuple

import pytest

from aiwyn_async import AiwynClient, Checkpoint, Pager, Pull
from aiwyn_async.errors import (
    ApiError,
    AuthenticationError,
    PermissionDeniedError,
    RequestError,
    StatusError,
    TokenExchangeError,
)
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_matrix import FAULTS, GROUPS, Fault
from inflating import isal
from looking_inside import assert_nothing_is_held, open_files
from scripted_api import ROWS, ScriptedApi
from secrecy import CANARY, assert_no_secret
from unreachable import UNREACHABLE

Connect = Callable[..., AiwynClient]
Rows = Pager[Any] | Pull[Any]
KEYS = [row["id"] for row in ROWS]
RECORDS = [{"type": "CLIENT", "systemRef": {"id": key}, "attributes": {"name": "A"}} for key in (1, 2)]


class Operation(NamedTuple):
    """A call of the public API whose request fails.

    Attributes:
        route: whose requests fail, from the ``nth`` on.
        read: returns the read, if the operation is one.
        yielded: number of rows yielded before the failure.
        page_attempts: attempts of a fault that a single request repeats twice.
    """

    route: str
    nth: int = 1
    read: Callable[[AiwynClient], Rows] | None = None
    yielded: int = 0
    page_attempts: int = 3

    def attempts(self, fault: Fault) -> int:
        """Return the number of attempts in the error."""
        return self.page_attempts if fault.reads == 3 else fault.reads

    def may_send(self, fault: Fault) -> range:
        """Return how many requests the server may receive."""
        if self.route == "upsert":
            return range(fault.writes, fault.writes + 1)
        # A pull then tries the key filter and the first and last row: perhaps only some rows are unreadable.
        attempts = self.attempts(fault)
        return range(attempts, (attempts if self.page_attempts == 3 else attempts + 4) + 1)


OPERATIONS = {
    "token": Operation("token"),
    "get": Operation("get"),
    "list": Operation("list", 1, lambda aiwyn: aiwyn.invoices.list(page_size=2)),
    "list, second page": Operation("list", 2, lambda aiwyn: aiwyn.invoices.list(page_size=2), 2),
    "search": Operation("search", 1, lambda aiwyn: aiwyn.invoices.search(page_size=2)),
    "search, second page": Operation("search", 2, lambda aiwyn: aiwyn.invoices.search(page_size=2), 2),
    "pull": Operation("search", 1, lambda aiwyn: aiwyn.invoices.pull(page_size=2, ranges=1), 0, 6),
    "pull, second page": Operation(
        "search", 2, lambda aiwyn: aiwyn.invoices.pull(page_size=2, ranges=1, ordered=True), 2, 6
    ),
    "upsert": Operation("upsert"),
}
SANDBOX_ROUTES = {"token": "auth.token", "list": "invoices.list", "upsert": "records.upsert"}
TIMEOUTS = {"read_timeout", "attempt_timeout"}
PLAYED = [fault for fault in FAULTS if fault.script is not None]
CELLS = [
    (fault, name)
    for fault in PLAYED
    for name in OPERATIONS
    if fault.documented or not name.startswith("pull")  # where nothing is new
]
COMPRESSED = [
    # ISA-L reads a few bytes that are not gzip as the beginning of it.
    fault
    for fault in PLAYED
    if re.search("gzip|deflate|compressed|bomb|ncoding", fault.name)
    and fault.name != "short and not compressed as declared"
]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as running:
        yield running


@pytest.fixture(autouse=True)
async def _no_descriptor_or_thread_is_left() -> AsyncIterator[None]:
    before = _resources()
    yield
    for _ in range(50):
        if all(after <= earlier for after, earlier in zip(_resources(), before, strict=True)):
            return
        await asyncio.sleep(0)
    pytest.fail(f"open files and threads: {before} before, {_resources()} after")


def _resources() -> tuple[int, int]:
    """Return the numbers of open files and of threads, without those that resolve names."""
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return open_files(), len(threads)


class Cell:
    """One operation under one fault."""

    def __init__(self, connect: Connect, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "aiwyn_async")
        self._connect = connect
        self._clock = clock
        self._log = caplog

    async def check(self, fault: Fault, operation: Operation, server: ScriptedApi) -> None:
        """Check the failure, then that the same client succeeds without the fault."""
        assert fault.script is not None
        server.break_route(operation.route, operation.nth, fault.script)
        client = self._client(operation, server.url, fault.options)
        yielded, checkpoint = await self._check_failure(fault, operation, client)
        allowed = operation.may_send(fault)
        # On a busy machine, a limit of some milliseconds may end before the server reads the request.
        assert server.faults in allowed or (fault.options.keys() & TIMEOUTS and server.faults < allowed[0])
        server.heal()
        if operation.read is not None:
            assert checkpoint is not None
            resumed = operation.read(client).resume_from(checkpoint.to_json())
            assert yielded + [row.id async for row in resumed] == KEYS
        await run(operation, client, [])
        await assert_nothing_is_held(client)
        await client.aclose()

    async def check_unreachable(self, fault: Fault, operation: Operation) -> None:
        """Check the failure of a server that receives nothing."""
        async with UNREACHABLE[fault.name]() as (url, options):
            client = self._client(operation, url, options)
            await self._check_failure(fault, operation, client)
            await client.aclose()

    async def check_sandbox(self, fault: Fault, operation: Operation, box: Sandbox, route: str) -> None:
        """Check the failure of a sandbox with the fault."""
        client = self._client(operation, box.url, fault.options)
        box.faults.add(route, every=1, **(fault.sandbox or {}))
        await self._check_failure(fault, operation, client)
        assert box.calls(route) in operation.may_send(fault)
        await client.aclose()

    def _client(self, operation: Operation, url: str, options: Mapping[str, Any]) -> AiwynClient:
        credential = "api_key" if operation.route == "token" else "token"
        return self._connect(url, **{credential: CANARY}, **options)

    async def _check_failure(
        self, fault: Fault, operation: Operation, client: AiwynClient
    ) -> tuple[list[int], Checkpoint | None]:
        yielded: list[int] = []
        checkpoint: Checkpoint | None = None
        if operation.route == "upsert":
            await check_outcomes(fault, client)
        else:
            error = await failure(operation, client, yielded)
            check_error(error, fault, operation)
            check_waits(error, self._clock)
            checkpoint = error.checkpoint
        assert yielded == KEYS[: operation.yielded]
        assert CANARY not in self._log.text
        await assert_nothing_is_held(client)
        return yielded, checkpoint


@pytest.fixture
def cell(connect: Connect, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> Cell:
    return Cell(connect, clock, caplog)


@pytest.mark.parametrize(("fault", "name"), CELLS, ids=lambda part: getattr(part, "name", part))
async def test_operation_reports_fault(fault: Fault, name: str, server: ScriptedApi, cell: Cell) -> None:
    await cell.check(fault, OPERATIONS[name], server)


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if each.nth == 1])
@pytest.mark.parametrize("fault", GROUPS["The server cannot be reached"], ids=lambda fault: fault.name)
async def test_operation_reports_unreachable_server(fault: Fault, name: str, cell: Cell) -> None:
    await cell.check_unreachable(fault, OPERATIONS[name])


@pytest.mark.parametrize("name", SANDBOX_ROUTES)
@pytest.mark.parametrize("fault", [fault for fault in PLAYED if fault.sandbox], ids=lambda fault: fault.name)
async def test_sandbox_plays_the_same_fault(fault: Fault, name: str, sandbox: Sandbox, cell: Cell) -> None:
    await cell.check_sandbox(fault, OPERATIONS[name], sandbox, SANDBOX_ROUTES[name])


@pytest.mark.parametrize("name", ["get", "list", "upsert"])
@pytest.mark.parametrize("fault", COMPRESSED, ids=lambda fault: fault.name)
async def test_operation_reports_fault_of_compression_with_isal(
    fault: Fault, name: str, server: ScriptedApi, cell: Cell
) -> None:
    with isal():
        await cell.check(fault, OPERATIONS[name], server)


async def failure(operation: Operation, client: AiwynClient, yielded: list[int]) -> RequestError:
    """Return the error. No frame of its traceback knows the fault, which may contain the secret."""
    with pytest.raises(RequestError) as caught:
        await run(operation, client, yielded)
    return caught.value


async def run(operation: Operation, client: AiwynClient, yielded: list[int]) -> None:
    if operation.read is not None:
        async for row in operation.read(client):
            yielded.append(row.id)  # noqa: PERF401 (an error ends it)
        return
    if operation.route == "upsert":
        assert (await client.records.upsert(RECORDS)).ok
        return
    await client.invoices.get(1)


def check_error(error: RequestError, fault: Fault, operation: Operation) -> None:
    inner: Any = error
    if operation.route == "token":
        is_refused = fault.fields.get("status") in {400, 401, 403, 422}
        assert type(error) is (AuthenticationError if is_refused else TokenExchangeError)
        inner = error if is_refused else error.__cause__
        assert is_refused or type(inner) in {fault.error, NoneType if fault.error is ApiError else None}
    else:
        assert type(error) is fault.error
        method = "GET" if operation.route == "get" else "POST"
        assert (error.method, error.ambiguous) == (method, False)
        assert error.path.startswith("/gql/v1/invoice")
    assert {name: getattr(inner, name) for name in fault.fields} == fault.fields
    assert fault.text in str(error)
    assert len(error.attempts) == operation.attempts(fault)
    assert_no_secret(error)


def check_waits(error: RequestError, clock: FakeClock) -> None:
    """Each wait is at least what the server requested, and at most the backoff."""
    requested = error.retry_after or 0.0
    assert len(clock.sleeps) >= len(error.attempts) - 1
    assert error.attempts[0].waited == 0
    for number, attempt in enumerate(error.attempts[1:]):
        assert requested <= attempt.waited <= max(requested, 2.0**number)
    assert error.elapsed >= sum(attempt.waited for attempt in error.attempts) - 1e-6


async def check_outcomes(fault: Fault, client: AiwynClient) -> None:
    """A failed write raises for credentials only; otherwise each record has the outcome."""
    if fault.error in {AuthenticationError, PermissionDeniedError}:
        error = await failure(OPERATIONS["upsert"], client, [])
        assert type(error) is fault.error
        assert_no_secret(error)
        return
    report = await client.records.upsert(RECORDS)
    assert report.total == len(RECORDS)
    outcomes = report.problems
    assert {outcome.status for outcome in outcomes} == {"ambiguous" if fault.ambiguous else "failed"}
    code = f"HTTP_{fault.fields.get('status')}" if issubclass(fault.error, StatusError) else None
    codes = {code or fault.error.__name__, "UNREADABLE_RESPONSE"} | (
        {"ERROR", "***"} if fault.error is ApiError else set()
    )
    assert {outcome.code for outcome in outcomes} <= codes
    assert CANARY not in repr(outcomes)
