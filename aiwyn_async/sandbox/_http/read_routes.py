"""The routes that read: lists, searches and by-id objects."""

import functools
from collections.abc import Callable, Mapping
from typing import Final, cast

from aiohttp import web

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._http.handlers import PageLimits, get_one, list_page, search_page
from aiwyn_async.sandbox._http.responses import json_response
from aiwyn_async.sandbox._http.service import Service
from aiwyn_async.sandbox._http.variants import Variant

_LARGE_FIRM: Final = 100_000
"""Invoices. Sorting those of a smaller firm takes less time than a page of them."""

_PageFunction = Callable[[Database, Resource, Mapping[str, object], PageLimits, int], bytes]
_PAGES: Mapping[str, _PageFunction] = {"list": list_page, "search": search_page}


class ReadRoutes:
    """Serves the reads of every resource."""

    def __init__(
        self,
        service: Service,
        database: Database,
        limits: PageLimits,
        *,
        shifting_ties: bool,
        variant: Variant | None,
    ) -> None:
        self._service = service
        self._database = database
        self._limits = limits
        self._shifting_ties = shifting_ties
        self._variant = variant
        self._pages = 0
        self._resources = [
            resource if variant is None else variant.applied(resource) for resource in RESOURCES.values()
        ]
        service.faults.register([f"{item.name}.{verb}" for item in RESOURCES.values() for verb in item.paths])

    def warm_up(self) -> None:
        """Sort every list of a large firm, so that its first page is as fast as the others."""
        if self._database.sizes["invoices"] < _LARGE_FIRM:
            return
        for resource in RESOURCES.values():
            if "list" in resource.paths:
                list_page(self._database, resource, {}, self._limits, 0)

    def reset(self) -> None:
        """Start the changes of ``shifting_ties`` again."""
        self._pages = 0

    def add_to(self, app: web.Application) -> None:
        route = self._service.route
        for resource in self._resources:
            for verb, path in resource.paths.items():
                name = f"{resource.name}.{verb}"
                if verb == "get":
                    get = functools.partial(self._one, resource)
                    app.router.add_get(path, route(name, get), allow_head=False)
                else:
                    read = functools.partial(self._page, resource, _PAGES[verb])
                    app.router.add_post(path, route(name, read))

    def suggest_path(self, request: web.Request) -> str | None:
        """Return a message for a documented path without its prefix, or None."""
        if not request.path.startswith("/v1/"):
            return None
        rest = request.path.removeprefix("/v1/")
        for verb, path in (item for resource in self._resources for item in resource.paths.items()):
            if _matches(path.partition("/v1/")[2] or path, rest):
                return (
                    f"{request.path} does not exist: examples in the documentation omit a part of the path;"
                    f" use {'GET' if verb == 'get' else 'POST'} {path}"
                )
        return None

    async def _page(
        self, resource: Resource, read: _PageFunction, request: web.Request, body: object
    ) -> web.Response:
        del request
        if body is None:
            body = {}
        if not isinstance(body, dict):
            raise BadRequestError("the body must be a JSON object")
        self._pages += 1
        salt = self._pages % 7 + 1 if self._shifting_ties else 0
        fields, variant = cast("dict[str, object]", body), self._variant
        if variant is not None:
            fields = variant.filter_request(fields)

        def work() -> bytes:
            page = read(self._database, resource, fields, self._limits, salt)
            if variant is not None:
                page = variant.transform_page(resource, page)
            if self._service.drift is not None:
                self._service.drift.apply(self._database, resource)
            return page

        return json_response(await self._service.run_in_worker(work))

    async def _one(self, resource: Resource, request: web.Request, body: object) -> web.Response:
        del body
        work = functools.partial(get_one, self._database, resource, request.match_info["id"])
        return json_response(await self._service.run_in_worker(work))


def _matches(template: str, path: str) -> bool:
    """Whether a path matches a route, whose parts in braces match anything."""
    template_parts, parts = template.split("/"), path.split("/")
    return len(template_parts) == len(parts) and all(
        expected.startswith("{") or expected == part
        for expected, part in zip(template_parts, parts, strict=True)
    )
