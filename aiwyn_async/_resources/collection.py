"""list, search, get and get_many, once for every tag of the API.

A tag is an ``Endpoints`` declaration and its row types; its class only names the arguments.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Generic, Literal, TypedDict, TypeVar, Unpack

import msgspec

from aiwyn_async._changes.bookmarks import StateBackend
from aiwyn_async._changes.changes import Changes
from aiwyn_async._changes.reconcile import KeyDiff, diff_keys
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async._http.messages import Request, Response, path_segment
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pagination.pager import MAX_PAGE_SIZE, Pager, Query
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.strategy import PageStyle
from aiwyn_async._pagination.ties import holds_instants
from aiwyn_async._pull.progress import Progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.arguments import as_fields, as_id, check_keys, check_word
from aiwyn_async._resources.iterables import each
from aiwyn_async._resources.keys import is_same_key, key_getter
from aiwyn_async.config import EndpointOverride
from aiwyn_async.errors import (
    ConfigurationError,
    DecodeError,
    NotFoundError,
    RequestError,
    ResponseMismatchError,
)
from aiwyn_async.filters import OrderBy, Where, to_order_by, to_where
from aiwyn_async.filters._validation import order_columns
from aiwyn_async.filters._values import encode_datetime, normalize_timestamp
from aiwyn_async.models.base import Id

__all__ = [
    "Collection",
    "Endpoint",
    "ListOptions",
    "LookupResult",
    "Paging",
    "PullOptions",
    "SearchableCollection",
    "wire_date",
]

RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")

Paging = Literal["key", "page"]
Verb = Literal["list", "search", "get"]

NO_KEY: Final = ""
"""No field has this name, so rows are not compared by key."""
GET_MANY_DEPTH: Final = 32
"""Lookups under way together; the client's max_concurrency still bounds the requests in flight."""


class ListOptions(TypedDict, total=False):
    """How to walk, on every ``list()`` and ``search()``.

    Attributes:
        page_size: rows a request, 1 to 1000; 1000 by default.
        limit: rows in all; no limit by default.
        strict: raise ``IncompleteError`` at the end unless the walk is complete; off by default.
        on_bad_row: what to do with a row that does not decode: "raise" (the default), "skip" or "collect".
        resume: the checkpoint of an earlier walk of the same query.
    """

    page_size: int
    limit: int | None
    strict: bool
    on_bad_row: OnBadRow
    resume: Checkpoint | str | bytes | None


class PullOptions(TypedDict, total=False):
    """How to pull, on every ``pull()``; ``Pull`` tells more of each.

    Attributes:
        page_size: rows a request, 1 to 1000; 1000 by default.
        ranges: ranges of keys read at once, 1 to 64; the client's max_concurrency by default.
        ordered: give the rows in the order of their keys; off by default.
        strict: raise ``IncompleteError`` at the end unless ``report.complete``; off by default.
        on_bad_row: what to do with a row that does not decode: "raise" (the default), "skip" or "collect".
        resume: the checkpoint of an earlier pull of the same query and row type.
        on_progress: called after each batch with a ``Progress``.
    """

    page_size: int
    ranges: int | None
    ordered: bool
    strict: bool
    on_bad_row: OnBadRow
    resume: Checkpoint | str | bytes | None
    on_progress: Callable[[Progress], None] | None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one tag. Paths are below ``Config.gql_prefix``; None where there is none.

    Attributes:
        tag: its name as an attribute of the client, which configuration overrides it by.
        list_path, search_path, get_path: the key is appended to ``get_path`` after a slash.
        key: wire name of the rows' unique key; None where rows are shown without one.
        list_envelope, search_envelope: where rows and count are; None to find them.
        page_style: what ``page`` is; "auto" finds it out, since the documentation contradicts itself.
        search_page_size_key: the search body's name for the page size.
        modified_at_field: wire name of the field with the time of the last change, by which a search can
            be filtered and ordered; None if none is documented.
        undocumented: verbs whose path or method is not in the documentation.
    """

    resource: str
    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    below_prefix: bool = True
    key: str | None = "id"
    list_envelope: Envelope | None = None
    search_envelope: Envelope | None = None
    page_style: PageStyle = "auto"
    search_page_size_key: str = "pageSize"
    modified_at_field: str | None = None
    undocumented: frozenset[Verb] = frozenset()

    def overridden(self, override: EndpointOverride | None) -> Endpoint:
        """The declaration with what configuration says of this tag."""
        if override is None:
            return self
        given = {name: value for name, value in msgspec.structs.asdict(override).items() if value is not None}
        items, count = given.pop("items_key", None), given.pop("count_key", None)
        if items is not None or count is not None:
            known = self.list_envelope or Envelope(("items",))
            envelope = Envelope(
                known.items if items is None else tuple(items.split(".")),
                known.count if count is None else tuple(count.split(".")),
            )
            given |= {"list_envelope": envelope, "search_envelope": envelope}
        return msgspec.structs.replace(self, **given)


class LookupResult(msgspec.Struct, Generic[DetailT], frozen=True):
    """One answer of ``get_many()``: the key asked for, and its object or None where there is none."""

    key: Id
    item: DetailT | None

    @property
    def missing(self) -> bool:
        """True when the server has nothing under this key."""
        return self.item is None


class Collection(Generic[RowT, DetailT]):
    """The verbs of one tag. A tag's class says what stands below.

    Attributes:
        endpoints: the declaration, with what configuration overrides.
        row_type: of a list row.
        detail_type: of a by-id object.
    """

    endpoint: Endpoint
    row_type: type[RowT]
    detail_type: type[DetailT]

    def __init__(self, session: Session) -> None:
        self._session = session
        self._paths: dict[Verb, str] = {}
        self.endpoint = self.endpoint.overridden(session.config.endpoints.get(self.endpoint.resource))
        self._key_of = key_getter(self.detail_type, self.endpoint.key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._session.config.base_url}>"

    def pull(self, rows: Pager[RowT] | None = None, /, **options: Unpack[PullOptions]) -> Pull[RowT]:
        """Every row in bulk, as a ``Pull``: its report says what is missing, and what it proves.

        This tag has no search, so its list is read by page number until two passes agree.

        Args:
            rows: a ``list()`` of this tag, for its filters; all rows by default.
            **options: see ``PullOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        query = self._list({}, {}).query if rows is None else rows.query
        return Pull(self._session, query, self.row_type, **options)

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

    def _list(self, filters: Mapping[str, object], walk: ListOptions) -> Pager[RowT]:
        query = Query(
            path=self._path("list"),
            fields=as_fields(filters),
            key=self.endpoint.key or NO_KEY,
            envelope=self.endpoint.list_envelope,
            page_style=self.endpoint.page_style,
            model=self.row_type,
        )
        return Pager(self._session, query, self.row_type, **walk)

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


class SearchableCollection(Collection[RowT, DetailT], Generic[RowT, HitT, DetailT]):
    """The verbs of a tag that has a search; ``hit_type`` is its row."""

    hit_type: type[HitT]

    def search(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **walk: Unpack[ListOptions],
    ) -> Pager[HitT]:
        """Rows that fit a condition, in an order, as a ``Pager``.

        The documentation shows no ``page`` for searches, so they are walked by key: each page begins after
        the last row of the one before, in the order given with the key at its end, or by the key alone.
        Rows inserted or deleted meanwhile do not shift such a walk.

        Args:
            where: a condition built with ``F``, or a tree as the wire has it.
            order_by: orders built with ``F.column.asc()``, or one-key objects as the wire has them.
            paging: "page" walks by page number instead, for an order by columns that the rows do not hold;
                that searches take ``page`` is not documented. The default is "key" where rows have one.
            allow_unknown_operators: send operators of a raw ``where`` that are not known here as they are.
            **walk: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        query = self._search_query(where, order_by, paging, allow_unknown=allow_unknown_operators)
        return Pager(self._session, query, self.hit_type, **walk)

    def pull(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        where: Where = None,
        *,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[PullOptions],
    ) -> Pull[HitT]:
        """Every row that fits a condition, in bulk, as a ``Pull``: drift-proof, parallel, resumable.

        Ranges of keys are read side by side. Where the server refuses that, or rows have no key, the search
        is read by page number until two passes agree; ``report.method`` tells which way it was.

        Args:
            where: a condition built with ``F``, or a tree as the wire has it; all rows by default.
            paging: "page" reads by page number from the start. The default is "key" where rows have one.
            allow_unknown_operators: send operators of a raw ``where`` that are not known here as they are.
            **options: see ``PullOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        query = self._search_query(where, None, paging, allow_unknown=allow_unknown_operators)
        return Pull(self._session, query, self.hit_type, **options)

    def changes(
        self,
        *,
        since: datetime | str | None = None,
        overlap: float | timedelta | None = None,
        where: Where = None,
        allow_unknown_operators: bool = False,
        state: StateBackend | None = None,
        page_size: int = MAX_PAGE_SIZE,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Changes[HitT]:
        """The rows that changed since a bookmark, as a ``Changes``; all rows where there is none yet.

        Which column tells of changes is inferred from the rows that the documentation shows, and so is that
        the search can be filtered and ordered by it. A server that refuses it answers with an error.

        Args:
            since: where to begin while ``state`` has no bookmark; a naive datetime is sent naive.
            overlap: seconds or a timedelta to begin earlier by, for rows that are committed late; by default
                5 minutes before a bookmark of ``state`` (65 if its instants have no zone), and none before
                ``since``. Some firms' data arrives every 4 to 24 hours: pass a day there.
            where: a condition built with ``F``, or a tree as the wire has it. A row that ceases to fit it is
                seen by ``reconcile_keys()`` alone.
            allow_unknown_operators: send operators of a raw ``where`` that are not known here as they are.
            state: keeps the bookmark: a ``FileState``, or any object with ``get(key)`` and
                ``put(key, value)``.
            page_size: rows a request, 1 to 1000.
            on_bad_row: what to do with a row that does not decode: "raise", "skip" or "collect".
            resume: the checkpoint of an earlier read of the same query.
            on_progress: called after each batch with a ``Progress``.

        Raises:
            ConfigurationError: an argument is wrong, or of this tag no such column is documented; nothing was
                sent.
        """
        column = self.endpoint.modified_at_field
        if column is None:
            raise ConfigurationError(
                f"the rows of {self.endpoint.resource} show no instant of their latest change in the "
                "documentation; use pull(), and reconcile_keys() for what is gone"
            )
        return Changes(
            self._session,
            self._search_query(where, None, None, allow_unknown=allow_unknown_operators),
            self.hit_type,
            column=column,
            since=since,
            overlap=overlap,
            state=state,
            page_size=page_size,
            on_bad_row=on_bad_row,
            resume=resume,
            on_progress=on_progress,
        )

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


def _found(key: Id, item: DetailT | None) -> LookupResult[DetailT]:
    return LookupResult(as_id("key", key), item)


def wire_date(name: str, value: date | str | None, *, is_end: bool = False) -> str | None:
    """Return a date filter as ISO 8601 text; a date without a time means the whole day.

    A naive datetime stays naive; an aware one, also as text, is sent in UTC with ``Z``.

    Args:
        name: of the argument.
        value: a date, a datetime or ISO 8601 text.
        is_end: a date without a time stands for its last instant instead of its first.

    Raises:
        ConfigurationError: it is none of these, or not a time (``NaT``).
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            text = normalize_timestamp(value, name)
        except ValueError:
            raise _no_date(name, value) from None
    elif isinstance(value, date):  # pyright: ignore[reportUnnecessaryIsInstance]
        text = encode_datetime(value, name) if isinstance(value, datetime) else value.isoformat()
    else:
        raise _no_date(name, value)
    if not _DAY.fullmatch(text):
        return text
    return f"{date.fromisoformat(text).isoformat()}T{'23:59:59.999999' if is_end else '00:00:00'}"


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(-?\d)?", re.ASCII)


def _no_date(name: str, value: object) -> ConfigurationError:
    shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
    return ConfigurationError(f"{name} must be a date, a datetime or ISO 8601 text, not {shown}")
