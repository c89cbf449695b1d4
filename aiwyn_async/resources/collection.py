"""list, search, get and get_many, once for every tag of the API.

A tag is an ``Endpoints`` declaration and its row types; its class only names the arguments.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from aiwyn_async.errors import ConfigurationError, DecodeFailed, NotFoundError, RequestError
from aiwyn_async.filters import OrderBy, Where, to_order_by, to_where
from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import Envelope, OnBadRow, decode_object
from aiwyn_async.pagination.page import Checkpoint
from aiwyn_async.pagination.pager import MAX_PAGE_SIZE, Pager, Query
from aiwyn_async.pagination.walk import PageMeans
from aiwyn_async.pagination.window import Window
from aiwyn_async.session.protocol import Request, Response, path_segment
from aiwyn_async.session.session import Session

__all__ = ["Collection", "Endpoints", "Found", "Paging", "wire_datetime"]

RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")

Paging = Literal["key", "page"]

GET_MANY_DEPTH: Final = 32
"""Lookups under way together; the client's max_concurrency still bounds the requests in flight."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """What the documentation tells of one tag. Paths are below ``Config.gql_prefix``; None where there is none.

    Attributes:
        list_path, search_path, get_path: the key is appended to ``get_path`` after a slash.
        key: wire name of the unique key.
        list_envelope, search_envelope: where rows and count are; None to find them.
        list_page_means: what ``page`` is, or "detect" where the documentation is not to be trusted.
        search_size_key: the search body's name for the page size.
    """

    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    key: str = "id"
    list_envelope: Envelope | None = None
    search_envelope: Envelope | None = None
    list_page_means: PageMeans = "detect"
    search_size_key: str = "pageSize"


class Found(msgspec.Struct, Generic[DetailT], frozen=True):
    """One answer of ``get_many()``: the key asked for, and its object or None where there is none."""

    key: Id
    item: DetailT | None

    @property
    def missing(self) -> bool:
        """True when the server has nothing under this key."""
        return self.item is None


class Collection(Generic[RowT, HitT, DetailT]):
    """The verbs of one tag.

    Args:
        session: sends the requests.
        endpoints: the declaration.
        row_type, hit_type, detail_type: of a list row, a search row and a by-id object.
    """

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        row_type: type[RowT],
        hit_type: type[HitT],
        detail_type: type[DetailT],
    ) -> None:
        self._session = session
        self._endpoints = endpoints
        self._row_type = row_type
        self._hit_type = hit_type
        self._detail_type = detail_type

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._session.config.base_url}>"

    def _list(
        self,
        filters: Mapping[str, object],
        *,
        page_size: int,
        limit: int | None,
        strict: bool,
        on_bad_row: OnBadRow,
        resume: Checkpoint | str | bytes | None,
    ) -> Pager[RowT]:
        query = Query(
            path=self._path(self._endpoints.list_path, "list"),
            fields={name: value for name, value in filters.items() if value is not None},
            key=self._endpoints.key,
            envelope=self._endpoints.list_envelope,
            page_means=self._endpoints.list_page_means,
        )
        return Pager(
            self._session,
            query,
            self._row_type,
            page_size=page_size,
            limit=limit,
            strict=strict,
            on_bad_row=on_bad_row,
            resume=resume,
        )

    def search(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        paging: Paging = "key",
        page_size: int = MAX_PAGE_SIZE,
        limit: int | None = None,
        strict: bool = False,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
    ) -> Pager[HitT]:
        """Rows that fit a condition, in an order, as a ``Pager``.

        The documentation shows no ``page`` for searches, so they are walked by key: each page begins after
        the last row of the one before, in the order given with the key at its end, or by the key alone.
        Rows inserted or deleted meanwhile do not shift such a walk.

        Args:
            where: a condition built with ``F``, or a tree as the wire has it.
            order_by: orders built with ``F.column.asc()``, or one-key objects as the wire has them.
            paging: "page" walks by page number instead, for an order by columns that the rows do not hold;
                that searches take ``page`` is not documented.
            page_size: rows a page, 1 to 1000.
            limit: rows in all.
            strict: raise ``IncompleteError`` unless the walk is complete.
            on_bad_row: "raise", "skip" or "collect".
            resume: the checkpoint of an earlier walk of the same search.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        if paging not in {"key", "page"}:
            raise ConfigurationError("paging must be 'key' or 'page'")
        tree, order = to_where(where), to_order_by(order_by)
        fields: dict[str, Any] = {} if tree is None else {"where": tree}
        query = Query(
            path=self._path(self._endpoints.search_path, "search"),
            fields=fields | ({"orderBy": order} if order else {}),
            key=self._endpoints.key,
            envelope=self._endpoints.search_envelope,
            by_key=paging == "key",
            size_key=self._endpoints.search_size_key,
        )
        return Pager(
            self._session,
            query,
            self._hit_type,
            page_size=page_size,
            limit=limit,
            strict=strict,
            on_bad_row=on_bad_row,
            resume=resume,
        )

    async def get(self, key: Id) -> DetailT:
        """One object by its key.

        Raises:
            NotFoundError: nothing is there under this key.
            RequestError: another of its subclasses; see ``errors``.
        """
        path = f"{self._path(self._endpoints.get_path, 'get')}/{path_segment(key)}"
        request = Request(method="GET", path=path)
        try:
            return self._detail(request, await self._session.call(request))
        except DecodeFailed as fault:
            if not fault.malformed:
                raise
        # A document cut on its way decodes when it is asked for again; a broken one does not.
        return self._detail(request, await self._session.call(request))

    async def get_many(self, keys: Iterable[Id] | AsyncIterable[Id]) -> AsyncGenerator[Found[DetailT], None]:
        """Objects by their keys, looked up together and given in the order of the keys.

        A key that the server has nothing under comes as ``Found(key, None)``. Keys are taken as they are
        needed, so their number does not matter.

        Raises:
            RequestError: a lookup failed for another reason; those before it were given.
        """

        async def look_up(key: Id) -> DetailT | None:
            try:
                return await self.get(key)
            except NotFoundError:
                return None

        window: Window[Id, DetailT | None] = Window(look_up, GET_MANY_DEPTH)
        try:
            async for key in _each(keys):
                window.begin(key)
                if window.is_full:
                    yield Found(*await window.take())
            while len(window):
                yield Found(*await window.take())
        finally:
            await window.aclose()

    def _detail(self, request: Request, response: Response) -> DetailT:
        try:
            return decode_object(response.body, self._detail_type)
        except RequestError as error:
            error.method, error.path = request.method, request.path
            error.attempts, error.request_id = response.attempts, response.request_id
            raise

    def _path(self, path: str | None, verb: str) -> str:
        if path is None:
            raise ConfigurationError(f"{type(self).__name__} has no {verb}: the documentation shows none")
        return f"{self._session.config.gql_prefix}{path}"


async def _each(keys: Iterable[Id] | AsyncIterable[Id]) -> AsyncGenerator[Id, None]:
    if isinstance(keys, AsyncIterable):
        async for key in keys:
            yield key
    else:
        for key in keys:
            yield key


def wire_datetime(name: str, value: datetime | str | None) -> str | None:
    """A date filter as the wire has it: ISO 8601, a naive datetime left naive.

    Raises:
        ConfigurationError: the text is no ISO 8601 date.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    try:
        datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ConfigurationError(f"{name} must be a datetime or ISO 8601 text, not {value!r}") from None
    return value
