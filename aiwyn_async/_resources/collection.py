"""list, get, get_many and pull, implemented once for all resources.

A resource is an ``Endpoint`` declaration and its row types; its class only names the arguments of ``list()``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import Any, Final, Generic, Literal, TypeVar, Unpack, get_args, get_origin

import msgspec

from aiwyn_async._changes.reconcile import KeyDiff, diff_keys
from aiwyn_async._core.checks import as_id, check_flag, check_kind, check_positive, check_word
from aiwyn_async._core.urls import server_name
from aiwyn_async._http.messages import Request, Response, path_segment
from aiwyn_async._http.session import Session, repeated
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.pager import LIST_OPTIONS, Pager
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pull.key_bounds import MAX_PARTS, make_plan
from aiwyn_async._pull.plan import PLAN_OPTIONS, Plan
from aiwyn_async._pull.pull import PULL_OPTIONS, Pull
from aiwyn_async._resources.arguments import as_fields, check_keys, iterate
from aiwyn_async._resources.endpoint import Endpoint, Verb
from aiwyn_async._resources.objects import decode_response, is_same_key, key_getter
from aiwyn_async._resources.options import ListOptions, PlanOptions, PullOptions
from aiwyn_async.errors import ConfigurationError, DecodeError, NotFoundError, ResponseMismatchError
from aiwyn_async.filters import Where
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")

Paging = Literal["key", "page"]

NO_KEY: Final = ""
"""No field has this name, so rows are not compared by key."""
GET_MANY_DEPTH: Final = 32
"""Concurrent lookups; the client's max_concurrency still bounds the requests in flight."""


class LookupResult(msgspec.Struct, Generic[DetailT], frozen=True):
    """One result of ``get_many()``: the requested key, and its object or None."""

    key: Id
    item: DetailT | None

    @property
    def missing(self) -> bool:
        """True if the server has no object with this key."""
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

    def __init_subclass__(cls, **options: Any) -> None:
        """Take the types from the arguments of the base, as in ``Collection[Row, Hit, Detail]``."""
        super().__init_subclass__(**options)
        arguments = get_args(next(iter(cls.__dict__.get("__orig_bases__", ())), None))
        types = [get_origin(each) or each for each in arguments]
        if types and not any(isinstance(each, TypeVar) for each in types):
            cls.row_type, cls.hit_type, cls.detail_type = types

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
        """Read all rows in bulk, resumable, with a report of what is missing.

        Requests are concurrent.

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
        filters, rest = self._split_filters(options)
        built = ReadOptions.build(self._verb("pull"), PULL_OPTIONS, **rest)
        query = self._pull_query(where, paging, filters, allow_unknown=allow_unknown_operators)
        return Pull(self._session, query, self.hit_type, built)

    async def plan(
        self,
        where: Where = None,
        *,
        parts: int = 64,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[PlanOptions],
    ) -> Plan:
        """Divide a pull into partitions, which several processes or machines read.

        Pass each partition to ``AiwynClient.read()``, and the reports to ``Plan.commit()``. The bounds are
        the keys at equal distances in the list, so partitions have about the same number of rows. There are
        fewer of them if rows are few, and one if rows cannot be searched by key or keys are text;
        ``Plan.fallback_reason`` says why.

        Sends at most ``parts`` + 2 requests for one row.

        Args:
            where: as ``pull()`` takes it.
            parts: maximum number of partitions, 1 to 10,000.
            paging: as ``pull()`` takes it; "page" makes one partition.
            allow_unknown_operators: as ``pull()`` takes it.
            **options: of the read of each partition; see ``PlanOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
            RequestError: a request failed.
            TypeError: an unknown keyword argument.
        """
        filters, rest = self._split_filters(options)
        built = ReadOptions.build(self._verb("plan"), PLAN_OPTIONS, **rest)
        parts = check_positive("parts", parts, MAX_PARTS)
        query = self._pull_query(where, paging, filters, allow_unknown=allow_unknown_operators)
        return await make_plan(self._session, query, self.hit_type, built, parts)

    def _split_filters(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the filters of the list, and all other options."""
        names = self._list_filters()
        return (
            {name: value for name, value in options.items() if name in names},
            {name: value for name, value in options.items() if name not in names},
        )

    def _pull_query(
        self, where: Where, paging: Paging | None, filters: Mapping[str, Any], /, *, allow_unknown: bool
    ) -> Query:
        if paging is not None:
            check_word("paging", paging, ("key", "page"))
        allow_unknown = check_flag("allow_unknown_operators", allow_unknown)
        if where is not None or paging == "key" or allow_unknown:
            raise ConfigurationError(
                f"{self.endpoint.resource} has no documented search endpoint; filter with the arguments of "
                "list() instead of where=, and leave paging out"
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
        """Compare known keys with the server's, to find deleted and untracked ones.

        ``changes()`` does not see deletions; reading all keys, without the rows, finds them.

        Args:
            known: the keys of the rows that the caller stores, read before anything is sent.
            pull: a ``pull()`` of this resource, for its condition; all rows by default.

        Raises:
            ConfigurationError: rows have no key, or ``known`` is not a collection of keys.
            IncompleteError: the keys are not proven complete, so no row may be called deleted.
            RequestError: the server cannot be read.
        """
        check_keys("known", known)
        if pull is not None:
            check_kind("pull", pull, Pull, "a Pull of this resource")
        keys = [as_id("known", key) async for key in iterate(known)]
        return await diff_keys(self.pull() if pull is None else pull, keys)

    def _list(self, filters: Mapping[str, object], options: ListOptions) -> Pager[RowT]:
        built = ReadOptions.build(self._verb("list"), LIST_OPTIONS, **options)
        query = Query(
            path=self._path("list"),
            fields=as_fields(filters),
            server=server_name(self._session.config.base_url),
            key=self.endpoint.key or NO_KEY,
            envelope=self.endpoint.envelope,
            page_style=self.endpoint.page_style,
            model=self.row_type,
        )
        return Pager(self._session, query, self.row_type, built)

    async def get(self, key: Id) -> DetailT:
        """Return one object by its key.

        Raises:
            NotFoundError: the server has no object with this key.
            RequestError: another of its subclasses; see ``errors``.
        """
        key = as_id("key", key)
        path = self._path("get")
        request = Request(method="GET", path=f"{path}/{path_segment(key)}", template=f"{path}/{{key}}")
        response = await self._session.call(request)
        try:
            return self._detail(request, response, key)
        except DecodeError as error:
            if not error.malformed:
                raise
        except ResponseMismatchError:
            pass  # its connection is not reused
        # A truncated document decodes when it is requested again; a malformed one does not.
        return self._detail(request, await repeated(response, self._session.call(request)), key)

    def get_many(self, keys: Iterable[Id] | AsyncIterable[Id]) -> Iteration[LookupResult[DetailT]]:
        """Look up objects by their keys concurrently, in the order of the keys.

        A missing object is yielded as ``LookupResult(key, None)``. Keys are read as needed, so their number
        does not matter.

        Raises:
            RequestError: a lookup failed for another reason; the results before it were yielded.
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

        prefetcher: Prefetcher[Id, DetailT | None] = Prefetcher(look_up, GET_MANY_DEPTH)
        try:
            async for key in iterate(keys):
                prefetcher.begin(key)
                if prefetcher.is_full:
                    yield (_lookup_result(*await prefetcher.next_in_order()),)
            while len(prefetcher):
                yield (_lookup_result(*await prefetcher.next_in_order()),)
        finally:
            await prefetcher.aclose()

    def _detail(self, request: Request, response: Response, key: Id) -> DetailT:
        detail = decode_response(self._session, request, response, self.detail_type)
        received = self._key_of(detail)
        if received == key or is_same_key(key, received):
            return detail
        self._session.transport.retire_connections()
        mismatch = ResponseMismatchError(
            f"requested key {key!r}, received the object with key {received!r}",
            requested_key=key,
            received_key=received,
        )
        del detail, received  # a traceback shows the locals of this frame, and nothing here is masked
        raise self._session.attach_request(mismatch, request, response)

    def _path(self, verb: Verb) -> str:
        if verb in self._paths:
            return self._paths[verb]
        path: str | None = getattr(self.endpoint, f"{verb}_path")
        if path is None:
            raise ConfigurationError(
                f"{self.endpoint.resource} has no documented {verb} endpoint; if your server has one, set "
                f'endpoints={{"{self.endpoint.resource}": {{"{verb}_path": ...}}}}'
            )
        if verb in self.endpoint.undocumented:
            self._session.warn_undocumented(f"{self.endpoint.resource}.{verb}", path)
        full = f"{self._session.config.gql_prefix}{path}" if self.endpoint.below_prefix else path
        self._paths[verb] = full
        return full


@functools.cache
def _keyword_names(function: Any) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def _lookup_result(key: Id, item: DetailT | None) -> LookupResult[DetailT]:
    return LookupResult(as_id("key", key), item)
