"""A request's pipeline: host, faults, latency, limit, token, handler, record."""

import asyncio
import functools
import math
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from aiwyn_async.sandbox._data.drift import Drift
from aiwyn_async.sandbox._data.errors import RejectedRequestError
from aiwyn_async.sandbox._events.deliveries import ThreadSafeDeque
from aiwyn_async.sandbox._http.auth import Tokens
from aiwyn_async.sandbox._http.faults import Faults, alter_response, perform_action, wait_unless_stopping
from aiwyn_async.sandbox._http.rate_limit import TokenBucket
from aiwyn_async.sandbox._http.requests import ServedRequest, read_body
from aiwyn_async.sandbox._http.responses import error_response, to_envelope

MAX_REQUESTS_RECORDED = 10_000
UNROUTED = "unknown"
"""The name of the route of requests to other paths."""

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RouteHandler = Callable[[web.Request, object], Awaitable[web.Response]]
"""Returns the response to a request with a decoded body."""


@dataclass(slots=True, eq=False, kw_only=True)
class Service:
    """Serves requests and records them."""

    tokens: Tokens
    lock: threading.RLock
    """Held while a function runs in the worker, so that it sees one state of the data."""
    bucket: TokenBucket | None
    is_own_host: Callable[[str], bool]
    """Whether a Host header names this server."""
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    log_bodies: bool
    faults: Faults = field(default_factory=Faults)
    drift: Drift | None = None
    latency: float = 0.0
    requests: deque[ServedRequest] = field(
        default_factory=lambda: ThreadSafeDeque(maxlen=MAX_REQUESTS_RECORDED)
    )
    calls: Counter[str] = field(default_factory=Counter[str])
    token_exchanges: int = 0
    worker: Executor | None = None
    """Runs what uses the database, one job at a time."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _resets: int = 0

    def __repr__(self) -> str:
        return f"<Service {self.calls.total()} requests, {len(self.faults)} faults>"

    async def run_in_worker(self, work: Callable[[], T]) -> T:
        """Run a function in the worker, unless the sandbox is reset first."""
        resets = self._resets

        def run() -> T:
            with self.lock:
                if resets != self._resets:
                    raise RejectedRequestError(503, "the sandbox was reset")
                return work()

        return await asyncio.get_running_loop().run_in_executor(self.worker, run)

    def forget(self) -> None:
        """Remove faults, counts and requests; requests in progress change and record nothing.

        Call it in the loop and with the lock of the data, so that no request is between two steps.
        """
        self._resets += 1
        self.clear()
        if self.bucket is not None:
            self.bucket.refill()

    def clear(self) -> None:
        """Remove faults, counts and requests."""
        self.faults.clear()
        self.calls.clear()
        self.requests.clear()
        self.token_exchanges = 0

    def misdirected(self, request: web.Request) -> web.Response | None:
        """Return a 421 if the request does not name this server as its host."""
        # request.host is that of an absolute target, and a guess for a request without the header.
        if self.is_own_host(request.host) and self.is_own_host(request.headers.get("Host", "")):
            return None
        return error_response(421, "the Host header does not name this server")

    def route(self, route: str, handler: RouteHandler, *, enveloped: bool = False) -> Handler:
        """Return the aiohttp handler of a route, whose name faults and counters use.

        If it is ``enveloped``, errors are in the envelope of ``/api/v1``.
        """
        return functools.partial(self._serve, route, handler, enveloped=enveloped)

    def reject(self, request: web.Request, error: web.HTTPException, message: str | None) -> web.Response:
        """Return an error of the API for a request without a route."""
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = self.misdirected(request) or error_response(
            error.status, message or error.reason, headers=headers
        )
        self._record(UNROUTED, request, None, response, self.monotonic())
        return response

    async def _serve(
        self, route: str, handler: RouteHandler, request: web.Request, *, enveloped: bool
    ) -> web.StreamResponse:
        arrival, resets = self.monotonic(), self._resets
        if (rejection := self.misdirected(request)) is not None:
            self._record(route, request, None, rejection, arrival)
            return rejection
        body, problem = await read_body(request, exact=route.endswith((".list", ".search")))
        faults = self.faults.due(route, body)
        delay = self.latency + sum(fault.delay for fault in faults)
        if delay and await wait_unless_stopping(delay, self.stopping):
            return error_response(503, "the sandbox is stopping")
        if resets != self._resets:
            return error_response(503, "the sandbox was reset")
        if any(fault.replaces_response for fault in faults):
            response = error_response(503, "planned fault")
        else:
            response = await self._respond(route, handler, request, body, problem)
            if enveloped and response.status >= 400:
                to_envelope(response, self.clock)
        for fault in faults:
            response = alter_response(fault, response)
        acting = next((fault for fault in faults if fault.action), None)
        silent = acting is not None and acting.is_silent
        if resets == self._resets:
            self._record(route, request, body, response, arrival, silent=silent)
        if acting is None:
            return response
        return await perform_action(acting, request, response, self.stopping)

    async def _respond(
        self, route: str, handler: RouteHandler, request: web.Request, body: object, problem: str | None
    ) -> web.Response:
        wait = self.bucket.take() if self.bucket else 0.0
        if wait:
            return error_response(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})
        if route != "auth.token" and not self._is_authorized(request):
            return error_response(401, "the bearer token is missing, unknown or expired")
        if problem:
            return error_response(400, problem, code="parse-failed")
        try:
            return await handler(request, body)
        except RejectedRequestError as error:
            return error_response(error.status, str(error), code=error.code)

    def _is_authorized(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.accepts(token.strip())

    def _record(
        self,
        route: str,
        request: web.Request,
        body: object,
        response: web.Response,
        arrival: float,
        *,
        silent: bool = False,
    ) -> None:
        if route == "auth.token" and body is not None:
            body = {"jwtApiKey": "***"}
        self.calls[route] += 1
        self.requests.append(
            ServedRequest(
                route=route,
                method=request.method,
                path=request.path,
                body=body if self.log_bodies else None,
                status=0 if silent else response.status,
                at=arrival,
                authorization="Authorization" in request.headers,
                request_id=response.headers["X-Request-Id"],
            )
        )
