"""Resources with a search: ``search()``, ``changes()``, and what ``pull()`` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, Unpack

from aiwyn_async._changes.bookmarks import StateBackend
from aiwyn_async._changes.bounds import to_timedelta, to_wire
from aiwyn_async._changes.changes import CHANGES_OPTIONS, Changes
from aiwyn_async._core.checks import check_word
from aiwyn_async._core.urls import server_name
from aiwyn_async._pagination.pager import LIST_OPTIONS, Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.ties import holds_instants
from aiwyn_async._resources.collection import NO_KEY, Collection, Paging
from aiwyn_async._resources.options import ChangesOptions, ListOptions
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import OrderBy, Where, to_order_by, to_where
from aiwyn_async.filters._validation import order_columns

RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")


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
        """Return the rows changed since a bookmark, or all rows without one, as a ``Changes``.

        Which field has the time of the last change is inferred from the rows that the documentation shows, as
        is that the search can be filtered and ordered by it. A server that refuses it responds with an error.

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
        if self.endpoint.modified_at_field is None:
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
        return Changes(self._session, query, self.hit_type, built)

    def _search_query(
        self, where: Where, order_by: OrderBy, paging: Paging | None, *, allow_unknown: bool
    ) -> Query:
        key = self.endpoint.key
        if paging is not None:
            check_word("paging", paging, ("key", "page"))
        if paging == "key" and key is None:
            raise ConfigurationError(f"rows of {self.endpoint.resource} have no key; pass paging='page'")
        tree = to_where(where, allow_unknown_operators=allow_unknown)
        order = to_order_by(order_by)
        fields: dict[str, Any] = {} if tree is None else {"where": tree}
        return Query(
            path=self._path("search"),
            fields=fields | ({"orderBy": order} if order else {}),
            server=server_name(self._session.config.base_url),
            key=key or NO_KEY,
            envelope=self.endpoint.envelope,
            by_key=paging != "page" and key is not None,
            page_style=self.endpoint.page_style,
            page_size_key=self.endpoint.search_page_size_key,
            model=self.hit_type,
            instants=self._instants(order_columns(order)),
            modified_at_field=self.endpoint.modified_at_field or "",
        )

    def _instants(self, order: Sequence[tuple[tuple[str, ...], object]]) -> frozenset[tuple[str, ...]]:
        """Return the timestamp columns of an order, and the last-modified field."""
        row_type: Any = self.hit_type
        paths = {path for path, _ in order if holds_instants(row_type, path)}
        column = self.endpoint.modified_at_field
        return frozenset(paths if column is None else {*paths, (column,)})
