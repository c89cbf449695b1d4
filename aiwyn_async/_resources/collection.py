"""list, search, get and get_many, once for every tag of the API.

A tag is an ``Endpoints`` declaration and its row types; its class only names the arguments.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Literal, TypeVar, Unpack

import msgspec

from aiwyn_async._changes.bookmarks import StateBackend
from aiwyn_async._changes.changes import CHANGES_OPTIONS, Changes
from aiwyn_async._changes.reconcile import KeyDiff, diff_keys
from aiwyn_async._changes.timestamps import to_timedelta, to_wire
from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._http.messages import Request, Response, path_segment
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.pager import LIST_OPTIONS, Pager
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import ReadOptions
from aiwyn_async._pagination.ties import holds_instants
from aiwyn_async._pull.pull import PULL_OPTIONS, Pull
from aiwyn_async._resources.arguments import as_fields, as_id, check_keys, check_word
from aiwyn_async._resources.endpoint import Endpoint, Verb
from aiwyn_async._resources.iterables import each
from aiwyn_async._resources.keys import is_same_key, key_getter
from aiwyn_async._resources.options import ChangesOptions, ListOptions, PullOptions
from aiwyn_async.errors import (
    ConfigurationError,
    DecodeError,
    NotFoundError,
    RequestError,
    ResponseMismatchError,
)
from aiwyn_async.filters import OrderBy, Where, to_order_by, to_where
from aiwyn_async.filters._validation import order_columns
from aiwyn_async.models.base import Id

__all__ = ["Collection", "LookupResult", "SearchableCollection"]

RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")

Paging = Literal["key", "page"]

NO_KEY: Final = ""
"""No field has this name, so rows are not compared by key."""
GET_MANY_DEPTH: Final = 32
"""Lookups under way together; the client's max_concurrency still bounds the requests in flight."""


class LookupResult(msgspec.Struct, Generic[DetailT], frozen=True):
    """One answer of ``get_many()``: the key asked for, and its object or None where there is none."""

    key: Id
    item: DetailT | None

    @property
    def missing(self) -> bool:
        """True when the server has nothing under this key."""
        return self.item is None


class Collection(Generic[RowT, HitT, DetailT]):
    """The verbs of one resource.

    Attributes:
        endpoint: the declaration, with the overrides of the configuration.
        row_type: of a list row.
        hit_type: of a row that ``pull()`` reads; for a resource with a search, of its rows.
        detail_type: of an object by id.
    """

    endpoint: Endpoint
    row_type: type[RowT]
    hit_type: type[HitT]
    detail_type: type[DetailT]

    def __init__(self, session: Session) -> None:
        self._session = session
        self._paths: dict[Verb, str] = {}
        self.endpoint = self.endpoint.overridden(session.config.endpoints.get(self.endpoint.resource))
        self._key_of = key_getter(self.detail_type, self.endpoint.key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._session.config.base_url}>"

    def pull(
        self,
        where: Where = None,
        *,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[PullOptions],
    ) -> Pull[HitT]:
        """Read all rows in bulk: concurrently, resumable, with a report of what is missing.

        With a search, key ranges are read concurrently; if the server refuses that, or rows have no key, the
        search is read by page number until two scans have the same keys. Without a search, the list is read
        that way. ``report.method`` says which method was used.

        Args:
            where: a condition built with ``F``, or a tree as on the wire. Needs a search.
            paging: "page" reads by page number from the start; the default is "key" if rows have a key.
            allow_unknown_operators: send unknown operators of a raw ``where`` unchanged.
            **options: see ``PullOptions``.

        Raises:
            ConfigurationError: an argument is invalid, or ``where`` is passed without a search; nothing was
                sent.
            TypeError: an unknown keyword argument.
        """
        filters = {name: value for name, value in options.items() if name in self._list_filters()}
        rest = {name: value for name, value in options.items() if name not in filters}
        built = ReadOptions.build(self._verb("pull"), PULL_OPTIONS, **rest)
        query = self._pull_query(where, paging, filters, allow_unknown=allow_unknown_operators)
        return Pull(self._session, query, self.hit_type, built)

    def _pull_query(
        self, where: Where, paging: Paging | None, filters: Mapping[str, Any], /, *, allow_unknown: bool
    ) -> Query:
        check_word("paging", paging, ("key", "page"))
        if where is not None or paging == "key" or allow_unknown:
            raise ConfigurationError(
                f"{self.endpoint.resource} has no documented search endpoint; filter with the arguments of "
                f"list() instead of where=, and leave paging out"
            )
        listed: Any = self
        query: Query = listed.list(**filters).query
        return query

    def _list_filters(self) -> frozenset[str]:
        resource: Any = type(self)
        return _keyword_names(resource.list)

    def _verb(self, name: str) -> str:
        return f"{self.endpoint.resource}.{name}"

    async def reconcile_keys(
        self, known: Iterable[Id] | AsyncIterable[Id], pull: Pull[Any] | None = None
    ) -> KeyDiff:
        """Which of the known keys are gone on the server, and which of its keys are not known.

        Deletions are invisible to ``changes()``; a sweep over the keys alone, without the rows, finds them.

        Args:
            known: the keys of the rows that the caller holds, read before anything is sent.
            pull: a ``pull()`` of this tag, for its condition; all rows by default.

        Raises:
            ConfigurationError: rows have no key, or ``known`` is not a collection of keys.
            IncompleteError: the sweep cannot be vouched for as complete: no row is to be called gone.
            RequestError: the server cannot be read.
        """
        check_keys("known", known)
        return await diff_keys(self.pull() if pull is None else pull, known)

    def _list(self, filters: Mapping[str, object], options: ListOptions) -> Pager[RowT]:
        built = ReadOptions.build(self._verb("list"), LIST_OPTIONS, **options)
        query = Query(
            path=self._path("list"),
            fields=as_fields(filters),
            key=self.endpoint.key or NO_KEY,
            envelope=self.endpoint.list_envelope,
            page_style=self.endpoint.page_style,
            model=self.row_type,
        )
        return Pager(self._session, query, self.row_type, built)

    async def get(self, key: Id) -> DetailT:
        """One object by its key.

        Raises:
            NotFoundError: nothing is there under this key.
            RequestError: another of its subclasses; see ``errors``.
        """
        key = as_id("key", key)
        request = Request(method="GET", path=f"{self._path('get')}/{path_segment(key)}")
        response = await self._session.call(request)
        try:
            return self._detail(request, response, key)
        except DecodeError as fault:
            if not fault.malformed:
                raise
        except ResponseMismatchError:
            pass  # it came on a connection that is not used again
        # A document cut on its way decodes when it is asked for again; a broken one does not.
        return self._detail(request, await self._session.repeat(request, response), key)

    def get_many(self, keys: Iterable[Id] | AsyncIterable[Id]) -> Iteration[LookupResult[DetailT]]:
        """Objects by their keys, looked up together and given in the order of the keys.

        A key that the server has nothing under comes as ``Found(key, None)``. Keys are taken as they are
        needed, so their number does not matter.

        Raises:
            RequestError: a lookup failed for another reason; those before it were given.
            ConfigurationError: ``keys`` is text, bytes or a mapping instead of a collection of keys.
        """
        check_keys("keys", keys)
        return Iteration(self._lookups(keys))

    async def _lookups(
        self, keys: Iterable[Id] | AsyncIterable[Id]
    ) -> AsyncGenerator[tuple[LookupResult[DetailT]], None]:
        async def look_up(key: Id) -> DetailT | None:
            try:
                return await self.get(key)
            except NotFoundError:
                return None

        window: Prefetcher[Id, DetailT | None] = Prefetcher(look_up, GET_MANY_DEPTH)
        try:
            async for key in each(keys):
                window.begin(key)
                if window.is_full:
                    yield (_found(*await window.next_in_order()),)
            while len(window):
                yield (_found(*await window.next_in_order()),)
        finally:
            await window.aclose()

    def _detail(self, request: Request, response: Response, key: Id) -> DetailT:
        try:
            detail = decode_object(response.body, self.detail_type)
        except RequestError as error:
            raise self._session.attach_request(error, request, response)  # noqa: B904 (the same error)
        found = self._key_of(detail)
        if found == key or is_same_key(key, found):
            return detail
        self._session.distrust_connections()
        mismatch = ResponseMismatchError(
            f"asked for key {key!r}, but received the object with key {found!r}",
            requested_key=key,
            received_key=found,
        )
        del detail, found  # a traceback shows the locals of this frame, and nothing here is masked
        raise self._session.attach_request(mismatch, request, response)

    def _path(self, verb: Verb) -> str:
        return self._paths.get(verb) or self._path_of(verb)

    def _path_of(self, verb: Verb) -> str:
        path: str | None = getattr(self.endpoint, f"{verb}_path")
        if path is None:
            raise ConfigurationError(
                f"no {verb} of {self.endpoint.resource} is documented; where the server has one, "
                f"set its {verb}_path in the option endpoints"
            )
        if verb in self.endpoint.undocumented:
            self._session.warn_undocumented(f"{self.endpoint.resource}.{verb}", path)
        found = f"{self._session.config.gql_prefix}{path}" if self.endpoint.below_prefix else path
        self._paths[verb] = found
        return found


class SearchableCollection(Collection[RowT, HitT, DetailT]):
    """The verbs of a resource that has a search."""

    def search(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[ListOptions],
    ) -> Pager[HitT]:
        """Return the rows that meet a condition, in an order, as a ``Pager``.

        The documentation shows no ``page`` for searches, so they use keyset pagination: each page starts
        after the last row of the page before, in the order given with the key appended, or by the key alone.
        Rows inserted or deleted during the read do not shift the pages.

        Args:
            where: a condition built with ``F``, or a tree as on the wire.
            order_by: orders built with ``F.column.asc()``, or one-key objects as on the wire.
            paging: "page" pages by number instead, for an order by columns that the rows do not hold; that
                searches take ``page`` is not documented. The default is "key" if rows have a key.
            allow_unknown_operators: send unknown operators of a raw ``where`` unchanged.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
            TypeError: an unknown keyword argument.
        """
        built = ReadOptions.build(self._verb("search"), LIST_OPTIONS, **options)
        query = self._search_query(where, order_by, paging, allow_unknown=allow_unknown_operators)
        return Pager(self._session, query, self.hit_type, built)

    def _pull_query(
        self, where: Where, paging: Paging | None, _filters: Mapping[str, Any], /, *, allow_unknown: bool
    ) -> Query:
        return self._search_query(where, None, paging, allow_unknown=allow_unknown)

    def _list_filters(self) -> frozenset[str]:
        return frozenset()  # a pull reads the search, which takes ``where``

    def changes(
        self,
        *,
        since: datetime | str | None = None,
        overlap: float | timedelta | None = None,
        where: Where = None,
        allow_unknown_operators: bool = False,
        state: StateBackend | None = None,
        **options: Unpack[ChangesOptions],
    ) -> Changes[HitT]:
        """Return the rows that changed since a bookmark, or all rows without one, as a ``Changes``.

        Which field tells of changes is inferred from the rows that the documentation shows, as is that the
        search can be filtered and ordered by it. A server that refuses it responds with an error.

        Args:
            since: where to start while ``state`` has no bookmark; a naive datetime is sent naive.
            overlap: seconds or a timedelta by which to start earlier, for rows committed late; by default 5
                minutes before a bookmark of ``state`` (65 if its timestamps have no zone), none before
                ``since``. Some firms' data is loaded every 4 to 24 hours: pass a day there.
            where: a condition built with ``F``, or a tree as on the wire. A row that no longer meets it is
                seen by ``reconcile_keys()`` only.
            allow_unknown_operators: send unknown operators of a raw ``where`` unchanged.
            state: stores the bookmark: a ``FileState``, or any object with ``get(key)`` and
                ``put(key, value)``.
            **options: see ``ChangesOptions``.

        Raises:
            ConfigurationError: an argument is invalid, or the resource has no documented last-modified field;
                nothing was sent.
            TypeError: an unknown keyword argument.
        """
        column = self.endpoint.modified_at_field
        if column is None:
            raise ConfigurationError(
                f"{self.endpoint.resource} has no documented last-modified field, so changes() is "
                "unavailable; use pull(), and reconcile_keys() to find deleted rows"
            )
        bounds = {
            "since": None if since is None else to_wire("since", since),
            "overlap": None if overlap is None else to_timedelta(overlap),
            "state": state,
        }
        built = ReadOptions.build(self._verb("changes"), CHANGES_OPTIONS, **bounds, **options)
        query = self._search_query(where, None, None, allow_unknown=allow_unknown_operators)
        return Changes(self._session, query, self.hit_type, built, column=column)

    def _search_query(
        self, where: Where, order_by: OrderBy, paging: Paging | None, *, allow_unknown: bool
    ) -> Query:
        key = self.endpoint.key
        check_word("paging", paging, ("key", "page"))
        if paging == "key" and key is None:
            raise ConfigurationError(f"rows of {self.endpoint.resource} have no key; pass paging='page'")
        tree = to_where(where, allow_unknown_operators=allow_unknown)
        order = to_order_by(order_by)
        fields: dict[str, Any] = {} if tree is None else {"where": tree}
        return Query(
            path=self._path("search"),
            fields=fields | ({"orderBy": order} if order else {}),
            key=key or NO_KEY,
            envelope=self.endpoint.search_envelope,
            by_key=paging != "page" and key is not None,
            page_style=self.endpoint.page_style,
            page_size_key=self.endpoint.search_page_size_key,
            model=self.hit_type,
            instants=self._instants(order_columns(order)),
        )

    def _instants(self, order: Sequence[tuple[tuple[str, ...], object]]) -> frozenset[tuple[str, ...]]:
        """Of the columns of an order, those that hold instants; and the one that tells of changes."""
        row_type: Any = self.hit_type
        paths = {path for path, _ in order if holds_instants(row_type, path)}
        column = self.endpoint.modified_at_field
        return frozenset(paths if column is None else {*paths, (column,)})


@functools.cache
def _keyword_names(function: Any) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def _found(key: Id, item: DetailT | None) -> LookupResult[DetailT]:
    return LookupResult(as_id("key", key), item)
