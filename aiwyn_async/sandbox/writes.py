"""The routes that write: records, their types, event subscriptions; and the description of all routes."""

import asyncio
import functools
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from aiohttp import web

from .books import Books
from .control import add_control
from .envelope import Refusal, failure, success
from .records import Records, RecordTypes
from .service import Service
from .subscriptions import Subscriptions
from .values import BadRequestError

__all__ = ["DESCRIPTION_FILE", "WRITE_ROUTES", "WritingService"]

DESCRIPTION_FILE = Path(__file__).with_name("openapi.json")

WRITE_ROUTES: Mapping[str, tuple[str, str]] = {
    "records.upsert": ("POST", "/api/v1/records"),
    "records.update": ("PUT", "/api/v1/records"),
    "record_types.create": ("POST", "/api/v1/records/custom"),
    "record_types.update": ("PUT", "/api/v1/records/custom/{name}"),
    "record_types.deactivate": ("DELETE", "/api/v1/records/custom/{name}"),
    "subscriptions.catalog": ("GET", "/api/v1/event-subscriptions/catalog"),
    "subscriptions.create": ("POST", "/api/v1/event-subscriptions"),
    "subscriptions.update": ("PUT", "/api/v1/event-subscriptions/{id}"),
    "subscriptions.deactivate": ("DELETE", "/api/v1/event-subscriptions/{id}"),
    "subscriptions.secret": ("GET", "/api/v1/event-subscriptions/{id}/secret"),
}
"""Method and path by the name that faults and counters use."""

_Work = Callable[[Mapping[str, str], object], tuple[int, object, str]]


class WritingService(Service):
    """Serves reads as `Service` does, and writes.

    Args:
        books: The firm, open for writing.
        clock: Seconds since the epoch, for the envelope's timestamp.
        options: What `Service` takes besides its store.
    """

    def __init__(self, *, books: Books, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(store=books, **options)
        self.records = Records(books)
        self._books = books
        self._clock = clock
        self._types = RecordTypes(books)
        self._subscriptions = Subscriptions(books)
        self.faults.register(list(WRITE_ROUTES))

    def app(self) -> web.Application:
        """The routes of every resource, those that write, and `/openapi.json`."""
        app = super().app()
        for name, work in self._works().items():
            method, path = WRITE_ROUTES[name]
            served = functools.partial(self._write, work)
            app.router.add_route(method, path, self._route(name, served))
        app.router.add_get("/openapi.json", self._describe, allow_head=False)
        add_control(app, self, self._books, self._api_key, self._is_own_host)
        return app

    def _works(self) -> dict[str, _Work]:
        records, types, subscriptions = self.records, self._types, self._subscriptions

        def bulk(*, create: bool) -> _Work:
            return lambda _path, body: (200, *records.write(body, create=create))

        return {
            "records.upsert": bulk(create=True),
            "records.update": bulk(create=False),
            "record_types.create": lambda _path, body: (201, types.create(body), "record type created"),
            "record_types.update": lambda path, body: (
                200,
                types.update(path["name"], body),
                "record type updated",
            ),
            "record_types.deactivate": lambda path, _body: (
                200,
                types.deactivate(path["name"]),
                "record type deactivated",
            ),
            "subscriptions.catalog": lambda _path, _body: (200, subscriptions.catalog(), "event catalog"),
            "subscriptions.create": lambda _path, body: (
                201,
                subscriptions.create(body),
                "subscription created",
            ),
            "subscriptions.update": lambda path, body: (
                200,
                subscriptions.update(_id(path), body),
                "subscription updated",
            ),
            "subscriptions.deactivate": lambda path, _body: (
                200,
                subscriptions.deactivate(_id(path)),
                "subscription deactivated",
            ),
            "subscriptions.secret": lambda path, _body: (
                200,
                subscriptions.secret(_id(path)),
                "signing secret",
            ),
        }

    async def _write(self, work: _Work, request: web.Request, body: object) -> web.Response:
        def worked() -> web.Response:
            status, data, message = work(request.match_info, body)
            return _json(success(data, message, self._clock), status)

        try:
            return await asyncio.get_running_loop().run_in_executor(self.worker, worked)
        except Refusal as refusal:
            return _json(failure(refusal.code, refusal.message, self._clock), refusal.status)

    async def _answered(
        self, route: str, answer: Any, request: web.Request, body: object, problem: str | None
    ) -> web.Response:
        """Serve, and put the refusals of this family into its envelope."""
        if problem is None and body is None and await request.read():
            # JSON's null is a body, and no object.
            problem = "the body must be a JSON object"
        response = await super()._answered(route, answer, request, body, problem)
        if route not in WRITE_ROUTES or response.status < 400:
            return response
        decoded = msgspec.json.decode(cast("bytes", response.body), type=dict[str, Any])
        if "errors" in decoded:
            told = decoded["errors"][0]
            code = str(told["extensions"]["code"]).upper().replace("-", "_")
            response.body = failure(code, told["message"], self._clock)
        return response

    async def _describe(self, request: web.Request) -> web.Response:
        if not self._is_own_host(request):
            return web.Response(status=421)
        return _json(
            await asyncio.get_running_loop().run_in_executor(self.worker, DESCRIPTION_FILE.read_bytes)
        )


def _id(path: Mapping[str, str]) -> int:
    text = path["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise BadRequestError(f"id: {text[:40]!r} is not a positive integer")
    return int(text)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"X-Request-Id": secrets.token_hex(8), "Server": "aiwyn-sandbox"},
    )
