"""Spans and metrics: one span per call, one child per attempt, by the conventions of HTTP clients."""

# pyright: reportPrivateUsage=false
# (a test of leaks looks inside)

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from aiwyn_async import AiwynClient, Request
from aiwyn_async.errors import DeadlineExceededError, RateLimitError, ServerError
from aiwyn_async.otel import OpenTelemetryObserver
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from fault_server import READ, STALL, FaultServer, http_response, send
from looking_inside import until
from secrecy import CANARY

Connect = Callable[..., AiwynClient]


class Telemetry:
    """An observer whose spans and metrics stay in memory."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._spans = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = self.provider.get_tracer("test")
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader])
        self.observer = OpenTelemetryObserver(self.provider, self._meters)

    def close(self) -> None:
        self.provider.shutdown()
        self._meters.shutdown()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def calls(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.INTERNAL and span.name != "caller"]

    def attempts_of(self, call: ReadableSpan) -> list[ReadableSpan]:
        return [span for span in self.spans if parent_of(span) == id_of(call)]

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def total(self, name: str) -> int:
        return sum(point.value for point in self.points(name))

    def assert_whole(self) -> None:
        """All spans ended, each attempt within its call."""
        ids = {id_of(span) for span in self.spans}
        for call in self.calls:
            for attempt in self.attempts_of(call):
                assert attempt.kind is SpanKind.CLIENT
                assert call.start_time is not None
                assert call.end_time is not None
                assert attempt.start_time is not None
                assert attempt.end_time is not None
                assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time
        assert all(parent_of(span) in ids for span in self.spans if span.kind is SpanKind.CLIENT)
        assert not self.observer._open


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


async def test_call_that_met_a_503_and_a_429(
    sandbox: Sandbox, connect: Connect, telemetry: Telemetry, clock: FakeClock
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key).with_options(observer=telemetry.observer)
    invoice = await client.with_options(observer=None).invoices.list().first()
    assert invoice is not None
    sandbox.faults.add("invoices.get", nth=1, status=503)
    sandbox.faults.add("invoices.get", nth=2, status=429, headers={"Retry-After": "7"})
    await client.invoices.get(invoice.id)
    (call,) = telemetry.calls
    host, port = sandbox.url.removeprefix("http://").split(":")
    common = {
        "http.request.method": "GET",
        "url.template": "/gql/v1/invoice/{key}",
        "server.address": host,
        "server.port": int(port),
        "url.full": f"{sandbox.url}/gql/v1/invoice/{invoice.id}",
    }
    first_wait, second_wait = clock.sleeps
    request_id = attributes_of(call)["aiwyn.request_id"]
    assert call.name == "GET /gql/v1/invoice/{key}"
    assert call.status.status_code is StatusCode.UNSET
    assert attributes_of(call) == common | {
        "http.response.status_code": 200,
        "aiwyn.attempts": 3,
        "aiwyn.queued_seconds": 0,
        "aiwyn.waited_seconds": first_wait + second_wait,
        "aiwyn.request_id": request_id,
    }
    assert [(event.name, dict(event.attributes or {})) for event in call.events] == [
        ("aiwyn.wait", {"aiwyn.reason": "retry", "aiwyn.seconds": wait}) for wait in clock.sleeps
    ]
    attempts = telemetry.attempts_of(call)
    assert [span.name for span in attempts] == ["GET /gql/v1/invoice/{key}"] * 3
    assert [span.status.status_code for span in attempts] == [
        *(StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET)
    ]
    expected: list[dict[str, Any]] = [
        {"http.response.status_code": 503, "error.type": "503", "aiwyn.waited_seconds": 0},
        {
            "http.response.status_code": 429,
            "error.type": "429",
            "aiwyn.waited_seconds": first_wait,
            "http.request.resend_count": 1,
        },
        {
            "http.response.status_code": 200,
            "aiwyn.waited_seconds": 7,
            "http.request.resend_count": 2,
        },
    ]
    for span, own in zip(attempts, expected, strict=True):
        attributes = attributes_of(span)
        attributes.pop("aiwyn.request_id", None)
        assert attributes == common | own | {"aiwyn.queued_seconds": 0}
    telemetry.assert_whole()
    assert telemetry.total("aiwyn.client.requests") == 3
    assert telemetry.total("aiwyn.client.retries") == 2
    assert telemetry.total("aiwyn.client.throttles") == 1
    durations = telemetry.points("http.client.request.duration")
    assert sorted(point.attributes["http.response.status_code"] for point in durations) == [200, 429, 503]
    assert all(point.count == 1 and 0 < point.sum < 30 for point in durations)
    assert all("url.full" not in point.attributes for point in durations)


async def test_current_span_of_the_caller_is_the_parent_under_concurrency(
    sandbox: Sandbox, connect: Connect, telemetry: Telemetry
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=telemetry.observer)
    keys = [invoice.id async for invoice in client.invoices.list(limit=20)]
    before = len(telemetry.calls)

    async def look_up(key: Any) -> tuple[int, Any]:
        with telemetry.tracer.start_as_current_span("caller") as span:
            await client.invoices.get(key)
            return span.get_span_context().span_id, key

    callers = await asyncio.gather(*map(look_up, keys))
    calls = telemetry.calls[before:]
    assert len(calls) == 20
    by_parent = {parent_of(call): attributes_of(call)["url.full"] for call in calls}
    assert by_parent == {caller: f"{sandbox.url}/gql/v1/invoice/{key}" for caller, key in callers}
    for call in calls:
        (attempt,) = telemetry.attempts_of(call)
        assert attributes_of(attempt)["url.full"] == attributes_of(call)["url.full"]
    telemetry.assert_whole()


@pytest.mark.parametrize("verb", ["list", "search", "pull", "get_many"])
async def test_requests_of_a_read_are_children_of_the_caller(
    verb: str, sandbox: Sandbox, connect: Connect, telemetry: Telemetry
) -> None:
    client = connect(sandbox.url, api_key=sandbox.api_key, observer=telemetry.observer)
    keys = [invoice.id async for invoice in client.invoices.list()]
    before = len(telemetry.calls)
    sandbox.faults.add("invoices.get" if verb == "get_many" else "invoices.search", nth=2, status=503)
    with telemetry.tracer.start_as_current_span("caller") as caller:
        if verb == "get_many":
            read: Any = client.invoices.get_many(keys)
        else:
            read = getattr(client.invoices, verb)(page_size=10)
        assert len([row async for row in read]) == 60
    calls = telemetry.calls[before:]
    assert len(calls) >= 6
    assert {parent_of(call) for call in calls} == {caller.get_span_context().span_id}
    assert sum(len(telemetry.attempts_of(call)) for call in calls) == len(calls) + (verb != "list")
    telemetry.assert_whole()
    assert telemetry.total("aiwyn.client.rows") == 60 * (1 if verb == "get_many" else 2)


async def test_spans_end_with_an_error(connect: Connect, telemetry: Telemetry) -> None:
    async with FaultServer([READ, send(http_response(503))]) as server:
        with pytest.raises(ServerError):
            await connect(server.url, observer=telemetry.observer, retries=1).invoices.get(1)
    (call,) = telemetry.calls
    assert call.status.status_code is StatusCode.ERROR
    assert attributes_of(call)["error.type"] == "ServerError"
    assert attributes_of(call)["http.response.status_code"] == 503
    assert len(telemetry.attempts_of(call)) == 2
    telemetry.assert_whole()


async def test_spans_end_when_the_call_is_cancelled_or_out_of_time(
    connect: Connect, telemetry: Telemetry
) -> None:
    async with FaultServer([READ, STALL]) as server:
        client = connect(server.url, observer=telemetry.observer, max_concurrency=1)
        sent = asyncio.create_task(client.invoices.get(1))
        queued = asyncio.create_task(client.invoices.get(2))
        await until(lambda: bool(server.requests))
        for call in (queued, sent):
            call.cancel()
            await asyncio.wait([call])
        with pytest.raises(DeadlineExceededError):
            await client.with_options(deadline=0.05).invoices.get(3)
    errors = [attributes_of(call)["error.type"] for call in telemetry.calls]
    assert errors == ["CancelledError", "CancelledError", "DeadlineExceededError"]
    attempts = [
        [attributes_of(each)["error.type"] for each in telemetry.attempts_of(call)]
        for call in telemetry.calls
    ]
    assert attempts == [[], ["CancelledError"], ["DeadlineExceededError"]]
    telemetry.assert_whole()


async def test_queue_time_is_an_attribute(connect: Connect, telemetry: Telemetry, clock: FakeClock) -> None:
    release = asyncio.Event()

    async def held(_: object) -> None:
        await release.wait()

    async with FaultServer([READ, held, send(http_response(body=b'{"id":1}'))]) as server:
        client = connect(server.url, observer=telemetry.observer, max_concurrency=1)
        calls = [asyncio.create_task(client.invoices.get(1)) for _ in range(2)]
        await until(lambda: bool(server.requests))
        clock.advance(4)
        release.set()
        await asyncio.gather(*calls)
    assert [attributes_of(call)["aiwyn.queued_seconds"] for call in telemetry.calls] == [0, 4]
    attempts = [telemetry.attempts_of(call)[0] for call in telemetry.calls]
    assert [attributes_of(attempt)["aiwyn.queued_seconds"] for attempt in attempts] == [0, 4]


async def test_spans_and_metrics_contain_no_credential_and_no_query(
    connect: Connect, telemetry: Telemetry
) -> None:
    response = http_response(429, CANARY.encode(), {"X-Request-Id": CANARY})
    async with FaultServer([READ, send(response)]) as server:
        client = connect(server.url, observer=telemetry.observer, headers={"X-Key": CANARY})
        with pytest.raises(RateLimitError):
            await client.request(
                Request(method="POST", path=f"/a/{CANARY}?key={CANARY}&q=queried", body=CANARY.encode())
            )
    shown = "".join(span.to_json() for span in telemetry.spans)
    shown += repr(
        [
            point
            for name in ("http.client.request.duration", "aiwyn.client.requests")
            for point in telemetry.points(name)
        ]
    )
    assert CANARY not in shown
    assert "queried" not in shown
    (call,) = telemetry.calls
    assert call.name == "POST"  # the path of such a request may be anything


async def test_unsampled_calls_are_counted(sandbox: Sandbox, connect: Connect) -> None:
    telemetry = Telemetry()
    observer = OpenTelemetryObserver(TracerProvider(ALWAYS_OFF), telemetry._meters)
    await connect(sandbox.url, api_key=sandbox.api_key, observer=observer).invoices.list().first()
    assert telemetry.total("aiwyn.client.requests") == 2
    assert not observer._open
    telemetry.close()


def test_missing_package_is_named_with_the_command_that_installs_it() -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None
from aiwyn_async.otel import OpenTelemetryObserver
OpenTelemetryObserver()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'needs opentelemetry-api; run: pip install "aiwyn-async[otel]"' in done.stderr
    assert "ConfigurationError" in done.stderr
