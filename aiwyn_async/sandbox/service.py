"""One request, from the route to the answer: host, faults, latency, rate limit, bearer, handler, record."""

import asyncio
import functools
import math
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

import msgspec
from aiohttp import web

from .auth import Tokens
from .drift import Drift
from .faults import Fault, Faults, paused, perform
from .handlers import NotFoundError, PageLimits, get_one, list_page, search_page
from .limits import Bucket, RateLimit
from .schema import RESOURCES, Resource
from .store import Store
from .values import BadRequestError
from .variants import Variant

__all__ = ["HOST", "Bucket", "RateLimit", "ServedRequest", "Service"]

HOST = "127.0.0.1"
"""The only address the server binds."""
_KEPT_REQUESTS = 10_000
_LARGEST_REQUEST = 8 * 1024 * 1024
_CODES = {
    400: "validation-failed",
    401: "invalid-jwt",
    403: "access-denied",
    404: "not-found",
    405: "method-not-allowed",
    413: "payload-too-large",
    421: "misdirected-request",
    429: "too-many-requests",
    503: "unavailable",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Answer = Callable[[web.Request, object], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request as the server saw it.

    Args:
        route: `invoices.list`, `auth.token`, ..., or `unknown`.
        method: The HTTP method.
        path: The path, without query.
        body: The decoded JSON, None when there was none. An API key is never kept. Fractions in the body of a
            list or search are Decimals.
        status: What was answered; 0 when the connection was ended without an answer.
        at: Monotonic seconds at arrival.
        authorization: Whether the request had an Authorization header.
        request_id: The answer's `X-Request-Id`.
    """

    route: str
    method: str
    path: str
    body: object
    status: int
    at: float
    authorization: bool
    request_id: str


class Service:
    """Serves requests and keeps the record of them.

    Args:
        store: The firm.
        tokens: Issues and checks bearers.
        api_key: The key the exchange takes.
        limits: How many rows a page may have.
        bucket: The rate limit, or None.
        shifting_ties: Whether rows that sort equal come in another order at each request.
        monotonic: Seconds, for the record.
        log_bodies: Keep request bodies in the record.
        variant: How reads are answered, where it is not as documented.
    """

    def __init__(
        self,
        *,
        store: Store,
        tokens: Tokens,
        api_key: str,
        limits: PageLimits,
        bucket: Bucket | None,
        shifting_ties: bool,
        monotonic: Callable[[], float],
        log_bodies: bool,
        variant: Variant | None = None,
    ) -> None:
        self.variant = variant
        self.tokens = tokens
        self.faults = Faults(["auth.token", *_resource_routes()])
        self.drift: Drift | None = None
        self.latency = 0.0
        self.requests: deque[ServedRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.calls: Counter[str] = Counter()
        self.token_exchanges = 0
        self.port: int | None = None
        self.worker: Executor | None = None
        self.stopping = asyncio.Event()
        self._store = store
        self._api_key = api_key
        self._limits = limits
        self._bucket = bucket
        self._shifting_ties = shifting_ties
        self._monotonic = monotonic
        self._log_bodies = log_bodies
        self._pages = 0
        self._read_paths: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"<Service {self.calls.total()} requests, {len(self.faults)} faults>"

    def open(self) -> None:
        """Open the store and put the lists in order, so that the first page is as quick as the others."""
        self._store.open()
        for resource in RESOURCES.values():
            if resource.list_path:
                list_page(self._store, resource, {}, self._limits, 0)

    def app(self) -> web.Application:
        """The routes of every declared resource."""

        @web.middleware
        async def unrouted(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._unrouted(request, handler)

        app = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[unrouted])
        app.router.add_post("/v1/auth/token", self._route("auth.token", self._exchange))
        for declared in RESOURCES.values():
            resource = declared if self.variant is None else self.variant.applied(declared)
            self._read_paths += [
                ("GET" if verb == "get" else "POST", path) for verb, path in resource.paths.items()
            ]
            if resource.list_path:
                served = functools.partial(self._page, resource, list_page)
                app.router.add_post(resource.list_path, self._route(f"{resource.name}.list", served))
            if resource.search_path:
                served = functools.partial(self._page, resource, search_page)
                app.router.add_post(resource.search_path, self._route(f"{resource.name}.search", served))
            if resource.get_path:
                one = functools.partial(self._one, resource)
                handler = self._route(f"{resource.name}.get", one)
                app.router.add_get(resource.get_path, handler, allow_head=False)
        return app

    def _route(self, route: str, answer: _Answer) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._served(route, answer, request)

        return handle

    async def _unrouted(
        self,
        request: web.Request,
        handler: _Handler,
    ) -> web.StreamResponse:
        """Answer what no route takes as the API answers errors."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            known = self._documented_path(request) if error.status == 404 else None
            refusal = _error(error.status, known or error.reason, headers=headers)
            if not self._is_own_host(request):
                refusal = _error(421, "this server answers to its own host name only")
            self._record("unknown", request, None, refusal, self._monotonic())
            return refusal

    def _documented_path(self, request: web.Request) -> str | None:
        """Where a path leads that the documentation's prose shows without its prefix."""
        _, _, rest = request.path.partition("/v1/")
        if not request.path.startswith("/v1/"):
            return None
        for method, path in self._read_paths:
            if _matches(path.partition("/v1/")[2] or path, rest):
                return (
                    f"there is no {request.path}; the documentation's examples leave out a part of the path,"
                    f" use {method} {path}"
                )
        return None

    async def _served(self, route: str, answer: _Answer, request: web.Request) -> web.StreamResponse:
        arrived = self._monotonic()
        if not self._is_own_host(request):
            refusal = _error(421, "this server answers to its own host name only")
            self._record(route, request, None, refusal, arrived)
            return refusal
        body, problem = await _read(request, exact=route.endswith((".list", ".search")))
        faults = self.faults.due(route, body)
        waits = self.latency + sum(fault.delay for fault in faults)
        if waits and await paused(waits, self.stopping):
            return _error(503, "the sandbox is stopping")
        if any(fault.answers for fault in faults):
            response = _error(503, "planned fault")
        else:
            response = await self._answered(route, answer, request, body, problem)
        for fault in faults:
            response = _changed(fault, response)
        acting = next((fault for fault in faults if fault.action), None)
        silent = acting is not None and acting.action in {"close", "reset", "stall", "raw"}
        self._record(route, request, body, response, arrived, silent=silent)
        return response if acting is None else await perform(acting, request, response, self.stopping)

    def _is_own_host(self, request: web.Request) -> bool:
        # A name a browser was made to resolve to 127.0.0.1 comes with another Host (DNS rebinding).
        return request.host in {HOST, "localhost", f"{HOST}:{self.port}", f"localhost:{self.port}"}

    async def _answered(
        self,
        route: str,
        answer: _Answer,
        request: web.Request,
        body: object,
        problem: str | None,
    ) -> web.Response:
        wait = self._bucket.take() if self._bucket else 0.0
        if wait:
            return _error(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})
        if route != "auth.token" and not self._is_authorised(request):
            return _error(401, "the bearer token is missing, unknown or expired")
        if problem:
            return _error(400, problem, code="parse-failed")
        try:
            return await answer(request, body)
        except BadRequestError as error:
            return _error(400, error.message, code=error.code)
        except NotFoundError as error:
            return _error(404, str(error))

    def _is_authorised(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.accepts(token.strip())

    async def _exchange(self, request: web.Request, body: object) -> web.Response:
        del request
        key = cast("dict[str, object]", body).get("jwtApiKey") if isinstance(body, dict) else None
        if not isinstance(key, str):
            raise BadRequestError("jwtApiKey: expected a string")
        if not secrets.compare_digest(key.encode(), self._api_key.encode()):
            return _error(401, "unknown jwtApiKey", code="access-denied")
        self.token_exchanges += 1
        return _json(msgspec.json.encode({"token": self.tokens.issue(), "expiresIn": self.tokens.lifetime}))

    async def _page(
        self,
        resource: Resource,
        served: Callable[[Store, Resource, Mapping[str, object], PageLimits, int], bytes],
        request: web.Request,
        body: object,
    ) -> web.Response:
        del request
        if body is None:
            body = {}
        if not isinstance(body, dict):
            raise BadRequestError("the body must be a JSON object")
        self._pages += 1
        salt = self._pages % 7 + 1 if self._shifting_ties else 0
        fields, limits, variant = cast("dict[str, object]", body), self._limits, self.variant
        if variant is not None:
            fields = variant.asked(fields)
            limits = replace(limits, clamp=variant.largest_page or limits.clamp)

        def work() -> bytes:
            page = served(self._store, resource, fields, limits, salt)
            if variant is not None:
                page = variant.answered(resource, page)
            if self.drift is not None:
                self.drift.apply(self._store, resource)
            return page

        return _json(await asyncio.get_running_loop().run_in_executor(self.worker, work))

    async def _one(self, resource: Resource, request: web.Request, body: object) -> web.Response:
        del body
        work = functools.partial(get_one, self._store, resource, request.match_info["id"])
        return _json(await asyncio.get_running_loop().run_in_executor(self.worker, work))

    def _record(
        self,
        route: str,
        request: web.Request,
        body: object,
        response: web.Response,
        arrived: float,
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
                body=body if self._log_bodies else None,
                status=0 if silent else response.status,
                at=arrived,
                authorization="Authorization" in request.headers,
                request_id=response.headers["X-Request-Id"],
            ),
        )


def _matches(template: str, path: str) -> bool:
    """Whether a path fits a route's; a part in braces fits any one."""
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        part.startswith("{") or part == own for part, own in zip(wanted, given, strict=True)
    )


def _resource_routes() -> Iterator[str]:
    for resource in RESOURCES.values():
        yield from (f"{resource.name}.{verb}" for verb in resource.paths)


_EXACT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


async def _read(request: web.Request, *, exact: bool) -> tuple[object, str | None]:
    """The decoded body, and what is wrong with it."""
    try:
        return _decoded(await request.read(), exact=exact)
    except web.RequestPayloadError:
        return None, "the body cannot be read; check its Content-Encoding"


def _decoded(raw: bytes, *, exact: bool) -> tuple[object, str | None]:
    """The body, and what is wrong with it; if `exact`, numbers with a fraction are Decimals."""
    if not raw:
        return None, None
    try:
        return _EXACT.decode(raw) if exact else msgspec.json.decode(raw), None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, "the body is not JSON"


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"X-Request-Id": secrets.token_hex(8), "Server": "aiwyn-sandbox", **(headers or {})},
    )


def _error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error as Hasura words it; the documents show no error body."""
    extensions = {"code": code or _CODES.get(status, "unexpected")}
    return _json(
        msgspec.json.encode({"errors": [{"message": message, "extensions": extensions}]}), status, headers
    )


def _changed(fault: Fault, response: web.Response) -> web.Response:
    """The response with what the fault says of status, headers and body."""
    if fault.status is not None:
        response = _error(fault.status, "planned fault")
    body = response.body if isinstance(response.body, bytes) else b""
    if fault.body is not None and fault.action != "raw":
        response.body = body = fault.body
    if fault.mutate is not None:
        response.body = fault.mutate(body)
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response
