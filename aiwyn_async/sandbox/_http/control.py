"""Control of a running sandbox over HTTP.

For tests in another process or language.

Every request needs the API key of the sandbox in the header ``X-Sandbox-Key``. Control requests are not
counted, not recorded and not subject to faults.

    GET    /_sandbox/counts     calls by route, token exchanges, and the hits of each fault
    GET    /_sandbox/requests   the latest requests, oldest first; ``?last=20`` limits them
    POST   /_sandbox/faults     plan a fault: the arguments of ``Faults.add`` except functions
    DELETE /_sandbox/faults     remove all faults
    POST   /_sandbox/tokens     reject every token issued so far
    PUT    /_sandbox/latency    {"seconds": 0.5}
    POST   /_sandbox/rows       {"resource": "invoices", "count": 3, "values": {...}}: insert rows
    POST   /_sandbox/refresh    {"resource": "invoices"}, or {} for all: a full refresh
    POST   /_sandbox/reset      remove faults, counts and requests; rows remain
"""

import functools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from aiwyn_async.sandbox._checks import checked
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError, RejectedRequestError, decode_body
from aiwyn_async.sandbox._data.mutations import find_resource, insert_rows, refresh_rows
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._http.faults import Action, Count, Fault, Faults, Seconds, Status, check_effect
from aiwyn_async.sandbox._http.requests import read_body
from aiwyn_async.sandbox._http.service import Service

CONTROL_PREFIX = "/_sandbox/"
_KEY_HEADER = "X-Sandbox-Key"
_ENCODER = msgspec.json.Encoder(decimal_format="number")

T = TypeVar("T")


class FaultSpec(msgspec.Struct, forbid_unknown_fields=True):
    """A fault in text or JSON, see ``Faults.add``."""

    route: str
    nth: Count | None = None
    every: Count | None = None
    times: Count | None = None
    status: Status | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    delay: Seconds = 0.0
    action: Action | None = None
    interval: Seconds = 0.1
    when: Literal["before", "after"] = "before"

    def __post_init__(self) -> None:
        check_effect(self.headers, self.delay, self.status, self.action, self.body)

    def add_to(self, faults: Faults) -> Fault:
        """Plan the fault.

        Raises:
            ValueError: The route is unknown, or the arguments exclude each other.
        """
        options = msgspec.structs.asdict(self)
        route, body = options.pop("route"), options.pop("body")
        return faults.add(route, body=None if body is None else body.encode(), **options)


def parse_faults(faults: Iterable[FaultSpec | str]) -> list[FaultSpec]:
    """Parse the faults that are text.

    Raises:
        ValueError: They are no faults, or one does not parse.
    """
    planned: list[Any] = list(faults)
    if isinstance(faults, str) or not all(isinstance(fault, FaultSpec | str) for fault in planned):
        raise ValueError(f"faults must be a list such as ['429@list:3'], got {faults!r}")
    return [parse_fault(fault) if isinstance(fault, str) else fault for fault in planned]


@checked
def parse_fault(text: str) -> FaultSpec:
    """Parse a fault in text.

    ``429@list:3`` responds to the third list with 429, ``reset@invoices.get`` resets the connection of the
    next get; ``invoices.list:status=503,nth=2,header.Retry-After=1`` has any options of ``Faults.add``.

    Raises:
        ValueError: The text does not have one of these forms, or an option is unknown.
    """
    route, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if "@" in route:
        kind, _, route = route.partition("@")
        nth, _, rest = rest.partition(",")
        options["status" if kind.isdecimal() else "action"] = kind
        options |= {"nth": nth} if nth else {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: expected NAME=VALUE, got {part!r}")
        if name.startswith("header."):
            headers[name.removeprefix("header.")] = value
        else:
            options[name] = value
    try:
        return msgspec.convert({"route": route, **options, "headers": headers}, FaultSpec, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{text!r}: {error}") from None


class _Latency(msgspec.Struct, forbid_unknown_fields=True):
    seconds: Seconds


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    resource: str
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    values: dict[str, Any] = {}


class _Refresh(msgspec.Struct, forbid_unknown_fields=True):
    resource: str | None = None


class _Control:
    """The handlers, each of a request in the table above."""

    def __init__(self, service: Service, database: Database, key: str) -> None:
        self._service = service
        self._database = database
        self._key = key

    def handler(
        self, work: Callable[[web.Request], Awaitable[object]]
    ) -> Callable[..., Awaitable[web.Response]]:
        """Return a handler that checks the key, and responds with 400 to invalid values."""

        async def handle(request: web.Request) -> web.Response:
            if self._service.misdirected(request) is not None:
                return _json({"error": "the Host header does not name this server"}, 421)
            key = request.headers.get(_KEY_HEADER, "")
            if not secrets.compare_digest(key.encode("utf-8", "replace"), self._key.encode()):
                return _json({"error": f"the header {_KEY_HEADER} must hold the API key of the sandbox"}, 401)
            try:
                return _json(await work(request))
            except RejectedRequestError as error:
                return _json({"error": str(error)}, error.status)
            except ValueError as error:
                return _json({"error": str(error)}, 400)

        return handle

    async def counts(self, _request: web.Request) -> object:
        faults = [
            {"route": fault.route, "seen": fault.seen, "hits": fault.hits}
            for fault in self._service.faults.planned
        ]
        return {
            "calls": dict(self._service.calls),
            "tokenExchanges": self._service.token_exchanges,
            "faults": faults,
        }

    async def requests(self, request: web.Request) -> object:
        last = request.query.get("last", "100")
        if not (last.isascii() and last.isdigit() and len(last) < 10):
            raise BadRequestError(f"last: {last[:40]!r} is not a number of requests")
        return {"requests": list(self._service.requests)[-int(last) :] if int(last) else []}

    async def add_fault(self, request: web.Request) -> object:
        fault = (await _body(request, FaultSpec)).add_to(self._service.faults)
        return {"route": fault.route, "planned": len(self._service.faults)}

    async def clear_faults(self, _request: web.Request) -> object:
        self._service.faults.clear()
        return {"planned": 0}

    async def expire_tokens(self, _request: web.Request) -> object:
        self._service.tokens.revoke_all()
        return {"expired": True}

    async def set_latency(self, request: web.Request) -> object:
        self._service.latency = (await _body(request, _Latency)).seconds
        return {"seconds": self._service.latency}

    async def insert(self, request: web.Request) -> object:
        rows = await _body(request, _Rows)
        resource = find_resource(rows.resource)
        insert = functools.partial(insert_rows, self._database, resource, rows.count, rows.values)
        return {"ids": await self._service.run_in_worker(insert)}

    async def refresh(self, request: web.Request) -> object:
        name = (await _body(request, _Refresh)).resource
        for resource in RESOURCES.values() if name is None else (find_resource(name),):
            await self._service.run_in_worker(functools.partial(refresh_rows, self._database, resource))
        return {"refreshed": name or "all"}

    async def reset(self, _request: web.Request) -> object:
        self._service.clear()
        return {"reset": True}


async def _body(request: web.Request, model: type[T]) -> T:
    body, problem = await read_body(request, exact=False)
    if problem:
        raise BadRequestError(problem)
    return decode_body({} if body is None else body, model)


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(body=_ENCODER.encode(data), status=status, content_type="application/json")


def add_control(app: web.Application, service: Service, database: Database, key: str) -> None:
    control = _Control(service, database, key)
    for method, name, work in (
        ("GET", "counts", control.counts),
        ("GET", "requests", control.requests),
        ("POST", "faults", control.add_fault),
        ("DELETE", "faults", control.clear_faults),
        ("POST", "tokens", control.expire_tokens),
        ("PUT", "latency", control.set_latency),
        ("POST", "rows", control.insert),
        ("POST", "refresh", control.refresh),
        ("POST", "reset", control.reset),
    ):
        app.router.add_route(method, f"{CONTROL_PREFIX}{name}", control.handler(work))
