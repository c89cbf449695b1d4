"""Count the requests that a sandbox serves at the same time."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from aiwyn_async.sandbox import Sandbox

__all__ = ["InFlight"]


class InFlight:
    """The requests of a sandbox that are in flight; created before it starts.

    Attributes:
        now: requests in flight.
        peak: the most requests in flight at once.
    """

    def __init__(self, box: Sandbox) -> None:
        self.now = self.peak = 0

        @web.middleware
        async def count(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            self.now += 1
            self.peak = max(self.peak, self.now)
            try:
                return await handler(request)
            finally:
                self.now -= 1

        box._app.middlewares.insert(0, count)
