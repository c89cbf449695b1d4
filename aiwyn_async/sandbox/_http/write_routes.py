"""The routes that write: records, record types and event subscriptions."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.record_types import RecordTypes
from aiwyn_async.sandbox._data.records import Records
from aiwyn_async.sandbox._events.subscriptions import Subscriptions
from aiwyn_async.sandbox._http.requests import parse_id
from aiwyn_async.sandbox._http.responses import envelope, json_response
from aiwyn_async.sandbox._http.service import Service

DESCRIPTION_FILE = Path(__file__).parents[1] / "openapi.json"

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

_Work = Callable[[Any, object], tuple[object, str]]
"""Returns the data and the message of the envelope for the id or name in the path and a decoded body."""


class WriteRoutes:
    def __init__(self, service: Service, database: Database) -> None:
        self.records = Records(database)
        self._service = service
        self._types = RecordTypes(database)
        self._subscriptions = Subscriptions(database)
        service.faults.register(list(WRITE_ROUTES))

    def add_to(self, app: web.Application) -> None:
        for name, work in self._works().items():
            method, path = WRITE_ROUTES[name]
            status = 201 if name.endswith(".create") else 200
            handler = functools.partial(self._write, work, status)
            app.router.add_route(method, path, self._service.route(name, handler, enveloped=True))

    def _works(self) -> dict[str, _Work]:
        records, types, events = self.records, self._types, self._subscriptions
        return {
            "records.upsert": lambda _, body: records.write(body, create=True),
            "records.update": lambda _, body: records.write(body, create=False),
            "record_types.create": lambda _, body: (types.create(body), "record type created"),
            "record_types.update": lambda name, body: (types.update(name, body), "record type updated"),
            "record_types.deactivate": lambda name, _: (types.deactivate(name), "record type deactivated"),
            "subscriptions.catalog": lambda _key, _body: (events.catalog(), "event catalog"),
            "subscriptions.create": lambda _, body: (events.create(body), "subscription created"),
            "subscriptions.update": lambda key, body: (events.update(key, body), "subscription updated"),
            "subscriptions.deactivate": lambda key, _: (events.deactivate(key), "subscription deactivated"),
            "subscriptions.secret": lambda key, _: (events.secret(key), "signing secret"),
        }

    async def _write(self, work: _Work, status: int, request: web.Request, body: object) -> web.Response:
        def run() -> web.Response:
            path = request.match_info
            key = parse_id(path["id"]) if "id" in path else path.get("name")
            data, message = work(key, body)
            return json_response(envelope(message, self._service.clock, data=data), status)

        return await self._service.run_in_worker(run)
