"""What an observer is called with, and that it changes no call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aiwyn_async import AiwynClient, Request
from aiwyn_async.errors import (
    ConfigurationError,
    DeadlineExceededError,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
)
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_server import READ, RST, STALL, Connection, FaultServer, Step, http_response, send
from looking_inside import until
from recording_observer import RecordingObserver
from secrecy import CANARY

Connect = Callable[..., AiwynClient]

OK = send(http_response(body=b'{"id":1}', headers={"X-Request-Id": "r-1"}))
METHODS = ["call_started", "wait_started", "attempt_ended", "call_ended"]


def closing(status: int, **headers: str) -> list[Step]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return [READ, send(http_response(status, headers={"Connection": "close", **names}))]


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
async def flaky() -> AsyncIterator[FaultServer]:
    async with FaultServer(closing(503), closing(429, Retry_After="7"), [READ, OK]) as server:
        yield server


async def test_call_with_retries_is_reported_step_by_step(
    flaky: FaultServer, connect: Connect, observer: RecordingObserver, clock: FakeClock
) -> None:
    await connect(flaky.url, observer=observer).invoices.get(1)
    step = ["WaitStart", "AttemptEnd"]
    assert observer.kinds() == ["started", "AttemptEnd", *step, *step, "CallEnd"]
    observer.assert_all_ended()
    (call,) = observer.calls
    assert (call.kind, call.method) == ("request", "GET")
    assert (call.path, call.template) == ("/gql/v1/invoice/1", "/gql/v1/invoice/{key}")
    assert call.base_url == flaky.url
    first, second, third = observer.attempts
    assert (first.status, first.error_type, first.waited) == (503, "503", 0)
    assert (second.status, second.error_type, second.waited) == (429, "429", clock.sleeps[0])
    assert (third.status, third.error_type, third.waited) == (200, None, 7)
    assert (third.request_id, third.bytes) == ("r-1", 8)
    assert all(attempt.elapsed > 0 and attempt.queued == 0 for attempt in observer.attempts)
    assert [(wait.reason, wait.seconds) for wait in observer.waits] == [
        ("retry", clock.sleeps[0]),
        ("retry", 7),
    ]
    (end,) = observer.ends
    assert (end.status, end.error_type, end.request_id, end.rows) == (200, None, "r-1", None)
    assert end.waited == end.elapsed == sum(clock.sleeps)


async def test_queue_time_is_reported_and_part_of_the_attempt(
    connect: Connect, observer: RecordingObserver, clock: FakeClock
) -> None:
    release = asyncio.Event()

    async def held(_: Connection) -> None:
        await release.wait()

    async with FaultServer([READ, held, OK]) as server:
        client = connect(server.url, max_concurrency=1, observer=observer)
        first, second = (
            asyncio.create_task(client.request(Request(method="GET", path=f"/{number}"))) for number in (1, 2)
        )
        await until(lambda: bool(observer.waits))
        clock.advance(3)
        release.set()
        responses = await asyncio.gather(first, second)
    assert [response.attempts[0].queued for response in responses] == [0, 3]
    assert [(wait.reason, wait.seconds) for wait in observer.waits] == [("queue", None)]
    assert [attempt.queued for attempt in observer.attempts] == [0, 3]
    assert [end.queued for end in observer.ends] == [0, 3]
    assert [attempt.waited for attempt in observer.attempts] == [0, 0]


async def test_pause_requested_from_another_call_is_waited_not_queued(
    connect: Connect, observer: RecordingObserver, clock: FakeClock
) -> None:
    async with FaultServer(closing(429, Retry_After="5"), [READ, OK]) as server:
        client = connect(server.url, observer=observer, retries=0)
        with pytest.raises(RateLimitError):
            await client.invoices.get(1)
        response = await client.request(Request(method="GET", path="/1"))
    assert [(wait.reason, wait.seconds) for wait in observer.waits] == [("pause", 5)]
    assert (response.attempts[0].waited, response.attempts[0].queued) == (5, 0)
    assert clock.sleeps == [5]


@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        ([READ, RST], "disconnected"),
        ([READ, send(http_response(length=9))], "truncated"),
        ([READ, send(b"nonsense\r\n\r\n")], "protocol"),
        ([READ, send(http_response(404))], "404"),
        ([READ, send(http_response(302, headers={"Location": "/"}))], None),
    ],
)
async def test_attempt_names_its_failure(
    script: list[Step], error_type: str | None, connect: Connect, observer: RecordingObserver
) -> None:
    async with FaultServer(script) as server:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (five kinds)
            await connect(server.url, observer=observer, retries=0).invoices.get(1)
    assert observer.attempts[-1].error_type == error_type
    assert observer.ends[-1].error_type == type(caught.value).__name__
    observer.assert_all_ended()


async def test_cancelled_attempt_and_call_end(connect: Connect, observer: RecordingObserver) -> None:
    async with FaultServer([READ, STALL]) as server:
        call = asyncio.create_task(connect(server.url, observer=observer).invoices.get(1))
        await until(lambda: bool(server.requests))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert [attempt.error_type for attempt in observer.attempts] == ["CancelledError"]
    assert [end.error_type for end in observer.ends] == ["CancelledError"]
    observer.assert_all_ended()


async def test_call_cancelled_in_the_queue_ends_without_an_attempt(
    connect: Connect, observer: RecordingObserver, clock: FakeClock
) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, max_concurrency=1, observer=observer)
        calls = [asyncio.create_task(client.invoices.get(number)) for number in (1, 2)]
        await until(lambda: bool(observer.waits))
        clock.advance(2)
        for call in reversed(calls):
            call.cancel()
            await asyncio.wait([call])
    observer.assert_all_ended()
    assert [(end.attempts, end.queued) for end in observer.ends] == [(0, 2), (1, 0)]


async def test_deadline_ends_attempt_and_call(connect: Connect, observer: RecordingObserver) -> None:
    async with FaultServer([READ, STALL]) as server:
        with pytest.raises(DeadlineExceededError):
            await connect(server.url, observer=observer, deadline=0.05).invoices.get(1)
    assert [attempt.error_type for attempt in observer.attempts] == ["DeadlineExceededError"]
    assert [end.error_type for end in observer.ends] == ["DeadlineExceededError"]
    observer.assert_all_ended()


async def test_call_refused_before_it_is_sent_has_no_attempt(
    connect: Connect, observer: RecordingObserver
) -> None:
    client = connect("http://127.0.0.1:9", observer=observer)
    with pytest.raises(ConfigurationError):
        await client.request(Request(method="GET", path="/a\r\nX-Evil: 1"))
    await client.aclose()
    with pytest.raises(RuntimeError):
        await client.invoices.get(1)
    assert not observer.attempts
    observer.assert_all_ended()
    assert all(call.path.isprintable() for call in observer.calls)


async def test_token_exchange_is_a_call_of_its_own(
    sandbox: Sandbox, connect: Connect, observer: RecordingObserver
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=observer)
    with pytest.raises(NotFoundError):
        await client.invoices.get(10**9)
    templates = {call.template for call in observer.calls}
    assert templates == {"/v1/auth/token", "/gql/v1/invoice/{key}"}
    observer.assert_all_ended()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [ValueError("mine"), asyncio.CancelledError()])
async def test_observer_that_raises_is_logged_once_and_breaks_nothing(
    method: str,
    error: BaseException,
    flaky: FaultServer,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(RecordingObserver):
        def __getattribute__(self, name: str) -> Any:
            if name == method:
                raise error
            return super().__getattribute__(name)

    observer = Broken()
    client = connect(flaky.url).with_options(observer=observer)
    await client.invoices.get(1)
    flaky.play(closing(503))
    with pytest.raises(ServerError):
        await client.with_options(retries=1).invoices.get(1)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"{method} of the observer Broken failed; its later errors are not logged"
    assert len(observer.events) == 12 - {"wait_started": 3, "attempt_ended": 5}.get(method, 2)


async def test_with_options_replaces_the_observer(
    sandbox: Sandbox, connect: Connect, observer: RecordingObserver
) -> None:
    other = RecordingObserver()
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=observer)
    await client.with_options(observer=other).invoices.list().first()
    await client.with_options(observer=None).invoices.list().first()
    assert {call.template for call in other.calls} == {"/gql/v1/invoices"}
    assert {call.template for call in observer.calls} == {"/v1/auth/token"}
    await client.with_options(retries=1).invoices.list().first()
    assert "/gql/v1/invoices" in {call.template for call in observer.calls}


@pytest.mark.parametrize("wrong", [RecordingObserver, object(), "observer", lambda: None])
def test_wrong_observer_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="observer must be Observer, not"):
        AiwynClient(base_url="https://a.test", token="t", observer=wrong)


async def test_reads_report_their_rows_at_their_end(
    sandbox: Sandbox, connect: Connect, observer: RecordingObserver
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=observer)
    for read in (
        client.invoices.list(page_size=25),
        client.invoices.search(page_size=25),
        client.invoices.pull(),
    ):
        observer.events.clear()
        rows = await read.collect()
        assert [end.rows for end in observer.ends if end.rows is not None] == [len(rows)] == [60]
        (call,) = (call for call in observer.calls if call.kind == "read")
        assert (call.method, call.template) == (None, read.query.path)
        assert sum(end.bytes for end in observer.ends if end.rows is not None) == read.report.bytes
        requests = [end for end in observer.ends if end.rows is None and end.status == 200]
        assert len(requests) >= read.report.pages
        observer.assert_all_ended()


async def test_read_that_is_left_reports_the_rows_received(
    sandbox: Sandbox, connect: Connect, observer: RecordingObserver
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=observer)
    for read in (client.invoices.list(page_size=10), client.invoices.pull(page_size=10)):
        observer.events.clear()
        rows = read.pages()
        await anext(rows)
        await rows.aclose()
        (end,) = (end for end in observer.ends if end.rows is not None)
        assert (end.error_type, end.rows) == (None, read.report.rows_received)
        assert 0 < read.report.rows_received < 60
        observer.assert_all_ended()


async def test_read_that_fails_names_its_error(
    sandbox: Sandbox, connect: Connect, observer: RecordingObserver
) -> None:
    sandbox.faults.add("invoices.list", every=1, status=403)
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=observer)
    with pytest.raises(Exception, match="403"):
        await client.invoices.list().collect()
    (end,) = (end for end in observer.ends if end.rows is not None)
    assert (end.error_type, end.rows) == ("PermissionDeniedError", 0)
    observer.assert_all_ended()


async def test_variable_parts_of_a_path_are_names_in_its_template(
    connect: Connect, observer: RecordingObserver
) -> None:
    row = send(http_response(body=b'{"id":7,"secret":"s","name":"n"}'))
    async with FaultServer([READ, row]) as server:
        client = connect(server.url, observer=observer, warn_undocumented=False)
        await client.invoices.get(7)
        await client.collection("/own").get(7)
        await client.event_subscriptions.update(7, active=False)
        await client.event_subscriptions.deactivate(7)
        await client.event_subscriptions.secret(7)
        await client.record_types.update("seven", description="text")
        await client.record_types.deactivate("seven")
        targets = [request.target for request in server.requests]
        await client.request(Request(method="GET", path="/own/7?key=1"))
        await client.request(Request(method="GET", path="/own/7", template="/own/{key}"))
    templates = [call.template for call in observer.calls]
    assert templates == [
        *("/gql/v1/invoice/{key}", "/own/{key}"),
        *("/api/v1/event-subscriptions/{id}", "/api/v1/event-subscriptions/{id}"),
        "/api/v1/event-subscriptions/{id}/secret",
        *("/api/v1/records/custom/{name}", "/api/v1/records/custom/{name}"),
        *(None, "/own/{key}"),
    ]
    paths = [call.path for call in observer.calls]
    assert paths == [*targets, "/own/7", "/own/7"]


async def test_observer_receives_no_credential_body_header_or_query(
    connect: Connect, observer: RecordingObserver
) -> None:
    response = http_response(429, CANARY.encode(), {"X-Request-Id": f"a{CANARY}\x1b", "X-Other": CANARY})
    async with FaultServer([READ, send(response)]) as server:
        client = connect(server.url, observer=observer, headers={"X-Api-Key": CANARY})
        with pytest.raises(RateLimitError):
            await client.request(
                Request(method="POST", path=f"/a/{CANARY}?key={CANARY}&b=2", body=CANARY.encode())
            )
    assert observer.ends[0].request_id == "a***"
    shown = repr(observer.events)
    assert CANARY not in shown
    assert "b=2" not in shown


async def test_failure_to_connect_is_an_attempt(connect: Connect, observer: RecordingObserver) -> None:
    async with FaultServer([READ]) as server:
        url = server.url
    with pytest.raises(TransportError):
        await connect(url, observer=observer, retries=1).invoices.get(1)
    assert [attempt.error_type for attempt in observer.attempts] == ["connect", "connect"]
    assert all(0 < attempt.elapsed < 60 for attempt in observer.attempts)
    observer.assert_all_ended()
