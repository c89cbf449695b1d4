"""Faults on request: which request of which route goes wrong, and how."""

import asyncio
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

__all__ = ["Action", "Fault", "Faults", "paused", "perform"]

Action = Literal["close", "reset", "stall", "drip", "truncate", "raw"]
"""What happens on the socket.

close: the connection ends (FIN) with no byte of an answer.
reset: the connection is reset (RST) with no byte of an answer.
stall: nothing is sent until the client gives up or the server stops.
drip: the headers, then the body a byte at a time.
truncate: headers that promise the whole body, half of it, and the end of the connection.
raw: the fault's `body` is written as it stands, with no status line but its own, and the connection ends.
"""


@dataclass(slots=True, eq=False)
class Fault:
    """One planned fault. `hits` says how often it has happened."""

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
    def answers(self) -> bool:
        """Whether the answer is the fault's own, so that the request is not served and changes nothing."""
        if self.when == "after":
            return False
        return self.status is not None or self.action in {"close", "reset", "stall", "raw"}

    def is_due(self, route: str, body: object) -> bool:
        """Count a request, and say whether the fault happens to it."""
        if self.route not in {"*", route} or (self.match is not None and not self.match(body)):
            return False
        self.seen += 1
        if self.times is not None and self.hits >= self.times:
            return False
        due = self.seen >= self.nth if self.every is None else self.seen % self.every == 0
        self.hits += due
        return due


class Faults:
    """The plan. Requests are counted per fault, from the moment it is added.

    Args:
        routes: The names there are, besides `*` for all of them.
    """

    def __init__(self, routes: Collection[str]) -> None:
        self._routes = ("*", *routes)
        self._plan: list[Fault] = []

    def __repr__(self) -> str:
        return f"<Faults {len(self._plan)} planned, {sum(fault.hits for fault in self._plan)} hits>"

    def __len__(self) -> int:
        return len(self._plan)

    def add(
        self,
        route: str,
        *,
        nth: int | None = None,
        every: int | None = None,
        times: int | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        mutate: Callable[[bytes], bytes] | None = None,
        delay: float = 0.0,
        action: Action | None = None,
        interval: float = 0.1,
        match: Callable[[object], bool] | None = None,
        when: Literal["before", "after"] = "before",
    ) -> Fault:
        """Plan a fault.

        Args:
            route: Which requests: `invoices.list`, `invoices.search`, `invoices.get`, `auth.token`, ...,
                or `*` for all.
            nth: Begin at the n-th of these requests, the next one being 1.
            every: Or hit each n-th of them.
            times: Stop after so many hits. Default: 1, or no end with `every`.
            status: Answer with this status instead of serving; the body is `body` or an error of that status.
            headers: Set on the answer, over what it has.
            body: The answer's body. Without `status` it replaces what was served.
            mutate: Changes the body that was served.
            delay: Seconds to wait before anything else.
            action: What happens on the socket, see `Action`.
            interval: Seconds between two bytes of a drip.
            match: Asked with the decoded JSON body; only requests it likes count.
            when: `before` ends a request without serving it. `after` serves it first: a write is applied, and
                its client cannot know.

        Returns:
            The fault, with its `hits`.

        Raises:
            ValueError: There is no such route, or the arguments exclude each other.
        """
        if route not in self._routes:
            raise ValueError(f"no route {route!r}; routes are {', '.join(self._routes)}")
        if nth is not None and every is not None:
            raise ValueError("nth and every exclude each other")
        if any(count is not None and count < 1 for count in (nth, every, times)):
            raise ValueError("nth, every and times count from 1")
        if action == "raw" and body is None:
            raise ValueError("a raw answer needs its body")
        if times is None and every is None:
            times = 1
        fault = Fault(
            route,
            nth or 1,
            every,
            times,
            status,
            dict(headers or {}),
            body,
            mutate,
            delay,
            action,
            interval,
            match,
            when,
        )
        self._plan.append(fault)
        return fault

    @property
    def planned(self) -> list[Fault]:
        """The faults planned, those that have ended included."""
        return list(self._plan)

    def register(self, routes: Collection[str]) -> None:
        """Make more routes known."""
        self._routes = (*self._routes, *routes)

    def clear(self) -> None:
        """Forget the plan."""
        self._plan.clear()

    def due(self, route: str, body: object) -> list[Fault]:
        """Count a request and give the faults it meets, in the order they were added."""
        return [fault for fault in list(self._plan) if fault.is_due(route, body)]


async def perform(
    fault: Fault,
    request: web.Request,
    response: web.Response,
    stopping: asyncio.Event,
) -> web.StreamResponse:
    """Do on the socket what the fault's action says, in place of sending `response`."""
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
            # A client that gives up cancels the handler, and with it this wait.
            await stopping.wait()
            transport.abort()
        case "raw":
            transport.write(fault.body or b"")
            transport.close()
        case "truncate" | "drip":
            return await _piecemeal(fault, request, response, stopping)
        case None:
            pass
    return response


async def _piecemeal(
    fault: Fault,
    request: web.Request,
    response: web.Response,
    stopping: asyncio.Event,
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
    for place in range(len(body)):
        await stream.write(body[place : place + 1])
        if await paused(fault.interval, stopping) and transport is not None:
            transport.abort()
            break
    return stream


async def paused(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, and say whether the server stopped meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
