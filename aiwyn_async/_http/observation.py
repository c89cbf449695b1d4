"""Reports calls to the observer of a client and to the log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Literal, Self

from aiwyn_async._core.observer import AttemptEnd, CallEnd, ObservedCall, Observer, WaitStart
from aiwyn_async._core.reports import ReadReport
from aiwyn_async.config import Config

logger: Final = logging.getLogger("aiwyn_async.http")

Event = Literal["call_started", "wait_started", "attempt_ended", "call_ended"]


class SafeObserver:
    """Calls an observer; its first error is logged, and none is raised."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._has_failed = False

    def report(self, event: Event, *arguments: Any) -> None:
        try:
            getattr(self.observer, event)(*arguments)
        # An observer that reads a cancelled future raises CancelledError; the call itself is not cancelled.
        except (Exception, asyncio.CancelledError) as error:
            if not self._has_failed:
                self._has_failed = True
                error.__context__ = None  # may be an error of the call, with frames that hold its headers
                logger.exception(
                    "%s of the observer %s failed; its later errors are not logged",
                    *(event, type(self.observer).__name__),
                )


class Observation:
    __slots__ = ("_call", "_observer")

    def __init__(self, observer: SafeObserver | None, call: ObservedCall) -> None:
        self._observer = observer
        self._call = call
        if observer is not None:
            observer.report("call_started", call)

    def wait_started(self, wait: WaitStart) -> None:
        if self._observer is not None:
            self._observer.report("wait_started", self._call, wait)
        call, seconds = self._call, "" if wait.seconds is None else f" of {wait.seconds:.3g} s"
        logger.debug("%s %s: %s%s", call.method, call.path, _WAITS[wait.reason], seconds)

    def attempt_ended(self, attempt: AttemptEnd) -> None:
        if self._observer is not None:
            self._observer.report("attempt_ended", self._call, attempt)
        call, outcome = self._call, attempt.error_type or attempt.status
        logger.debug(
            "%s %s: attempt %d: %s in %.0f ms",
            *(call.method, call.path, attempt.number, outcome, attempt.elapsed * 1e3),
        )

    def call_ended(self, end: CallEnd) -> None:
        """Report the end; the only line at level INFO."""
        if self._observer is not None:
            self._observer.report("call_ended", self._call, end)
        outcome = end.status if end.error_type is None else f"{end.error_type} (status {end.status})"
        logger.info(
            "%s %s: %s in %.0f ms, attempts %d, request id %s",
            *(self._call.method, self._call.path, outcome, end.elapsed * 1e3, end.attempts, end.request_id),
        )


class ReadObservation:
    """A context that reports one use of a read; set ``report`` to the report of this use."""

    __slots__ = ("_call", "_clock", "_observer", "_started", "report")

    def __init__(self, observer: SafeObserver | None, path: str, config: Config) -> None:
        self.report: ReadReport | None = None
        self._observer = observer
        if observer is not None:
            self._clock = config.clock
            self._call = ObservedCall(
                kind="read", method=None, path=path, template=path, base_url=config.base_url
            )

    def __enter__(self) -> Self:
        if self._observer is not None:
            self._started = self._clock.monotonic()
            self._observer.report("call_started", self._call)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._observer is None:
            return
        # A generator that is closed before its end: the caller left the loop.
        error_type = None if kind is None or kind is GeneratorExit else kind.__name__
        report = self.report
        end = CallEnd(
            error_type=error_type,
            elapsed=self._clock.monotonic() - self._started,
            bytes=0 if report is None else report.bytes,
            rows=0 if report is None else report.rows_received,
        )
        self._observer.report("call_ended", self._call, end)


_WAITS: Final = {"queue": "queued for a slot", "pause": "pause", "retry": "wait before a retry"}
