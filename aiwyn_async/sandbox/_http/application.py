"""The application: every route, the token exchange and the OpenAPI description."""

import functools
import secrets
from typing import cast

import msgspec
from aiohttp import web

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._http.control import add_control
from aiwyn_async.sandbox._http.read_routes import ReadRoutes
from aiwyn_async.sandbox._http.responses import error_response, json_response
from aiwyn_async.sandbox._http.service import Handler, Service
from aiwyn_async.sandbox._http.write_routes import DESCRIPTION_FILE, WriteRoutes

_MAX_REQUEST_BYTES = 8 * 1024 * 1024


def create_application(
    service: Service, reads: ReadRoutes, writes: WriteRoutes, database: Database, api_key: str
) -> web.Application:

    @web.middleware
    async def unrouted(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            message = reads.suggest_path(request) if error.status == 404 else None
            return service.reject(request, error, message)

    async def describe(request: web.Request) -> web.Response:
        if service.misdirected(request) is not None:
            return web.Response(status=421)
        return json_response(await service.run_in_worker(DESCRIPTION_FILE.read_bytes))

    app = web.Application(client_max_size=_MAX_REQUEST_BYTES, middlewares=[unrouted])
    exchange = functools.partial(_exchange_token, service, api_key)
    app.router.add_post("/v1/auth/token", service.route("auth.token", exchange))
    reads.add_to(app)
    writes.add_to(app)
    app.router.add_get("/openapi.json", describe, allow_head=False)
    add_control(app, service, database, api_key)
    return app


async def _exchange_token(service: Service, api_key: str, request: web.Request, body: object) -> web.Response:
    del request
    key = cast("dict[str, object]", body).get("jwtApiKey") if isinstance(body, dict) else None
    if not isinstance(key, str):
        raise BadRequestError("jwtApiKey: expected a string")
    if not secrets.compare_digest(key.encode(), api_key.encode()):
        return error_response(401, "unknown jwtApiKey", code="access-denied")
    service.token_exchanges += 1
    tokens = service.tokens
    return json_response(msgspec.json.encode({"token": tokens.issue(), "expiresIn": tokens.lifetime}))
