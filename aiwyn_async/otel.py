"""Spans and metrics of a client for OpenTelemetry. Needs the extra ``otel``.

Importing this module does not import OpenTelemetry.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from yarl import URL

from aiwyn_async._core.checks import needs_extra
from aiwyn_async._core.observer import AttemptEnd, CallEnd, ObservedCall, WaitStart
from aiwyn_async._version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["OpenTelemetryObserver"]

Attributes = dict[str, str | int | float]

# Of the semantic conventions for http.client.request.duration.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class _OpenCall(NamedTuple):
    """A call that has not ended; its span is the current one of ``context``, and its URL has no query."""

    span: Span
    context: Context
    attributes: Attributes
    url: str
    started: int
    """Nanoseconds since 1970."""


class OpenTelemetryObserver:
    """Reports calls as spans and metrics, by the semantic conventions of HTTP clients.

    A request with its retries is one span of kind INTERNAL, whose parent is the current span of the caller,
    and each of its attempts is a child of kind CLIENT. Reads have no span of their own; their rows are
    counted when the read ends. Metrics: the histogram ``http.client.request.duration`` in seconds, per
    attempt, and the counters ``aiwyn.client.requests`` (attempts), ``aiwyn.client.retries``,
    ``aiwyn.client.throttles`` (status 429) and ``aiwyn.client.rows``.

    Pass one as ``AiwynClient(observer=...)``; several clients may share it.

    Args:
        tracer_provider: the global one by default.
        meter_provider: the global one by default.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        with needs_extra("OpenTelemetryObserver needs opentelemetry-api", "otel"):
            from opentelemetry import metrics, trace  # noqa: PLC0415 (an extra)
        self._trace = trace
        self._tracer = trace.get_tracer("aiwyn_async", __version__, tracer_provider)
        meter = metrics.get_meter("aiwyn_async", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._requests = meter.create_counter("aiwyn.client.requests", "{request}", "Requests sent.")
        self._retries = meter.create_counter("aiwyn.client.retries", "{request}", "Requests sent again.")
        self._throttles = meter.create_counter(
            "aiwyn.client.throttles", "{request}", "Responses of status 429."
        )
        self._rows = meter.create_counter("aiwyn.client.rows", "{row}", "Rows received by reads.")
        self._open: dict[ObservedCall, _OpenCall] = {}

    def call_started(self, call: ObservedCall, /) -> None:
        """Start the span of a request."""
        if call.kind == "read":
            return
        attributes = _attributes(call)
        url = call.base_url + call.path
        started = time.time_ns()
        span = self._tracer.start_span(
            _name(call), attributes={**attributes, "url.full": url}, start_time=started
        )
        self._open[call] = _OpenCall(span, self._trace.set_span_in_context(span), attributes, url, started)

    def wait_started(self, call: ObservedCall, wait: WaitStart, /) -> None:
        """Add an event to the span of the request."""
        seconds = {} if wait.seconds is None else {"aiwyn.seconds": wait.seconds}
        if (opened := self._open.get(call)) is not None:
            opened.span.add_event("aiwyn.wait", {"aiwyn.reason": wait.reason, **seconds})

    def attempt_ended(self, call: ObservedCall, attempt: AttemptEnd, /) -> None:
        """Add the span of an attempt, and count it."""
        opened = self._open.get(call)
        if opened is None:
            return
        outcome = _outcome(attempt)
        attributes = opened.attributes | outcome
        ended = time.time_ns()
        resend = {"http.request.resend_count": attempt.number - 1} if attempt.number > 1 else {}
        span = self._tracer.start_span(
            _name(call),
            context=opened.context,
            kind=self._trace.SpanKind.CLIENT,
            attributes={**attributes, "url.full": opened.url, **resend, **_waits(attempt)},
            start_time=max(opened.started, ended - int(attempt.elapsed * 1e9)),
        )
        self._end(span, attempt, ended)
        self._duration.record(attempt.elapsed, attributes, opened.context)
        self._requests.add(1, attributes, opened.context)
        if attempt.number > 1:
            self._retries.add(1, attributes, opened.context)
        if attempt.status == 429:
            self._throttles.add(1, attributes, opened.context)

    def call_ended(self, call: ObservedCall, end: CallEnd, /) -> None:
        """End the span of a request; count the rows of a read."""
        if end.rows:
            self._rows.add(end.rows, _attributes(call))
        opened = self._open.pop(call, None)
        if opened is not None:
            opened.span.set_attributes({**_outcome(end), **_waits(end), "aiwyn.attempts": end.attempts})
            self._end(opened.span, end, time.time_ns())

    def _end(self, span: Span, ended: AttemptEnd | CallEnd, at: int) -> None:
        if ended.error_type is not None:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(at)


def _name(call: ObservedCall) -> str:
    """Return the name of a span: without a template, the path could be anything."""
    return f"{call.method} {call.template}" if call.template else str(call.method)


@functools.lru_cache(maxsize=16)
def _server(base_url: str) -> tuple[str | None, int | None]:
    url = URL(base_url)
    return url.host, url.port


def _attributes(call: ObservedCall) -> Attributes:
    address, port = _server(call.base_url)
    known = {
        "http.request.method": call.method,
        "url.template": call.template,
        "server.address": address,
        "server.port": port,
    }
    return {name: value for name, value in known.items() if value is not None}


def _outcome(ended: AttemptEnd | CallEnd) -> Attributes:
    known = {"http.response.status_code": ended.status, "error.type": ended.error_type}
    return {name: value for name, value in known.items() if value is not None}


def _waits(ended: AttemptEnd | CallEnd) -> Attributes:
    waits: Attributes = {"aiwyn.queued_seconds": ended.queued, "aiwyn.waited_seconds": ended.waited}
    return waits | ({} if ended.request_id is None else {"aiwyn.request_id": ended.request_id})
