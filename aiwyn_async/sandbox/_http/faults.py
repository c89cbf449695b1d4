"""Planned faults: which requests fail, and how."""

import asyncio
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec
from aiohttp import web

from aiwyn_async.sandbox._checks import checked
from aiwyn_async.sandbox._http.responses import error_response

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Status = Annotated[int, msgspec.Meta(ge=100, le=599)]
Action = Literal["close", "reset", "stall", "drip", "truncate", "raw"]
"""What happens on the socket.

close: the connection is closed (FIN) before any byte of a response.
reset: the connection is reset (RST) before any byte of a response.
stall: nothing is sent until the client disconnects or the server stops.
drip: the headers, then the body byte by byte.
truncate: the headers with the full length, half of the body, then the connection is closed.
raw: the ``body`` of the fault without a status line, then the connection is closed.
"""


@dataclass(slots=True, eq=False)
class Fault:
    """A planned fault; ``hits`` counts how often it occurred."""

    route: str
    nth: int
    every: int | None
    times: int | None
    status: int | None
    headers: Mapping[str, str]
    body: bytes | None
    mutate: Callable[[bytes], bytes] | None
    delay: float
    action: Action | None
    interval: float
    match: Callable[[object], bool] | None
    when: Literal["before", "after"] = "before"
    seen: int = 0
    hits: int = 0

    @property
    def is_silent(self) -> bool:
        """Whether no response is sent."""
        return self.action in {"close", "reset", "stall", "raw"}

    @property
    def replaces_response(self) -> bool:
        """Whether the request is not served, so that it changes nothing."""
        return self.when == "before" and (self.status is not None or self.is_silent)

    def is_due(self, route: str, body: object) -> bool:
        """Count a request, and return whether the fault applies to it."""
        if not covers(self.route, route) or (self.match is not None and not self.match(body)):
            return False
        self.seen += 1
        if self.times is not None and self.hits >= self.times:
            return False
        due = self.seen >= self.nth if self.every is None else self.seen % self.every == 0
        self.hits += due
        return due


class Faults:
    """The planned faults; each counts requests from the moment it is added."""

    def __init__(self) -> None:
        self._routes: tuple[str, ...] = ("*", "auth.token")
        self._plan: list[Fault] = []

    def __repr__(self) -> str:
        return f"<Faults {len(self._plan)} planned, {sum(fault.hits for fault in self._plan)} hits>"

    def __len__(self) -> int:
        return len(self._plan)

    @checked
    def add(
        self,
        route: str,
        *,
        nth: Count | None = None,
        every: Count | None = None,
        times: Count | None = None,
        status: Status | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        mutate: Callable[[bytes], bytes] | None = None,
        delay: Seconds = 0.0,
        action: Action | None = None,
        interval: Seconds = 0.1,
        match: Callable[[object], bool] | None = None,
        when: Literal["before", "after"] = "before",
    ) -> Fault:
        """Plan a fault.

        Args:
            route: A route, such as ``invoices.list``, ``invoices.search``, ``invoices.get`` or
                ``auth.token``; a verb of all resources, such as ``list``; or ``*`` for all.
            nth: Begin with the n-th of these requests; the next one is 1.
            every: Apply to each n-th of them instead.
            times: Maximum number of hits; 1 by default, unlimited with ``every``.
            status: Respond with this status instead of serving; the body is ``body`` or an error.
            headers: Headers to set on the response.
            body: The body of the response. Without ``status`` it replaces the served body.
            mutate: Called with the served body; returns the body to send.
            delay: Seconds to wait first.
            action: What happens on the socket, see ``Action``.
            interval: Seconds between two bytes of a drip.
            match: Called with the decoded body; only requests for which it returns true are counted.
            when: ``before`` skips serving the request. ``after`` serves it first: a write is applied although
                its client receives an error.

        Returns:
            The fault, with its ``hits``.

        Raises:
            ValueError: The route or the action is unknown, or the arguments exclude each other.
        """
        self.check_route(route)
        check_effect(headers, delay, status, action, body, mutate)
        if nth is not None and every is not None:
            raise ValueError("nth and every exclude each other; pass one of them")
        if any(set("\r\n\0") & set(name + value) for name, value in (headers or {}).items()):
            raise ValueError("a header must be one line; use action='raw' to send other bytes")
        if action == "raw" and body is None:
            raise ValueError("action='raw' needs a body")
        if times is None and every is None:
            times = 1
        sent = dict(headers or {})
        fault = Fault(
            route, nth or 1, every, times, status, sent, body, mutate, delay, action, interval, match, when
        )
        self._plan.append(fault)
        return fault

    @property
    def planned(self) -> list[Fault]:
        """All faults, including those that no longer apply."""
        return list(self._plan)

    def register(self, routes: Collection[str]) -> None:
        """Add names of routes."""
        self._routes = (*self._routes, *routes)

    def check_route(self, route: str) -> None:
        """Refuse a name that no request has.

        Raises:
            ValueError: Lists the routes.
        """
        if route not in {*self._routes, *map(_verb, self._routes)}:
            raise ValueError(f"unknown route {route!r}; use one of {', '.join(self._routes)}")

    def clear(self) -> None:
        """Remove all faults."""
        self._plan.clear()

    def due(self, route: str, body: object) -> list[Fault]:
        """Count a request, and return the faults that apply, in order of addition."""
        return [fault for fault in list(self._plan) if fault.is_due(route, body)]


def check_effect(*effects: object) -> None:
    """Refuse a fault without an effect, such as that of a route alone.

    Raises:
        ValueError: Lists the effects.
    """
    if all(effect is None or effect in ({}, 0) for effect in effects):
        actions = ", ".join(get_args(Action))
        raise ValueError(f"a fault needs a status, action ({actions}), header, body or delay")


def covers(planned: str, route: str) -> bool:
    """Return whether a name, such as ``list`` or ``*``, includes a route."""
    return planned in {"*", route, _verb(route)}


def _verb(route: str) -> str:
    return route.rpartition(".")[2]


def alter_response(fault: Fault, response: web.Response) -> web.Response:
    """Return the response with the status, headers and body of a fault."""
    if fault.status is not None:
        response = error_response(fault.status, "planned fault")
    body = response.body if isinstance(response.body, bytes) else b""
    if fault.body is not None and fault.action != "raw":
        response.body = body = fault.body
    if fault.mutate is not None:
        response.body = fault.mutate(body)
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response


async def perform_action(
    fault: Fault, request: web.Request, response: web.Response, stopping: asyncio.Event
) -> web.StreamResponse:
    """Perform a fault on the socket, and return the response to send after it."""
    transport = request.transport
    if transport is None:
        return response
    match fault.action:
        case "close":
            transport.close()
        case "reset":
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        case "stall":
            # A client that disconnects cancels the handler.
            await stopping.wait()
            transport.abort()
        case "raw":
            transport.write(fault.body or b"")
            transport.close()
        case "truncate" | "drip":
            return await _send_slowly(fault, request, response, stopping)
        case None:
            pass
    return response


async def _send_slowly(
    fault: Fault, request: web.Request, response: web.Response, stopping: asyncio.Event
) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    transport = request.transport
    if fault.action == "truncate":
        await stream.write(body[: len(body) // 2])
        if transport is not None:
            transport.close()
        return stream
    for index in range(len(body)):
        await stream.write(body[index : index + 1])
        if await wait_unless_stopping(fault.interval, stopping) and transport is not None:
            transport.abort()
            break
    return stream


async def wait_unless_stopping(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, and return whether the server is stopping."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
