"""The query of a read, and the pagination strategy for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from aiwyn_async._core.pull_report import KeyRange
from aiwyn_async._core.reports import EarlierProblems
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._http.messages import Request, encode_json
from aiwyn_async._pagination.keyset import KeysetPagination
from aiwyn_async._pagination.offset import OffsetPagination
from aiwyn_async._pagination.page import Position, fingerprint
from aiwyn_async._pagination.strategy import PageStyle, Pagination, parse_position
from aiwyn_async._pagination.ties import Order, Ties
from aiwyn_async.filters import Column
from aiwyn_async.filters._conditions import nest
from aiwyn_async.filters._keyset import key_between, keyset_after
from aiwyn_async.filters._validation import order_columns
from aiwyn_async.models.base import Id

RESUME_STATE: Final = "carried"
"""The key of a position under which the state of the report is stored."""


class ResumeState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a resumed read knows of the reads before.

    Attributes:
        total_count_at_start: the first count.
        problems: their problems.
        due: the keys of rows at the end of the last page that the next one must have.
    """

    total_count_at_start: int | None = None
    problems: EarlierProblems = EarlierProblems()
    due: tuple[Id | None, ...] = ()

    @classmethod
    def from_position(cls, position: Position | None) -> ResumeState:
        """Decode the state from a position.

        Raises:
            CheckpointError: the position is damaged.
        """
        return cls() if position is None else parse_position(position.get(RESUME_STATE, {}), cls)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a read requests, page after page.

    Attributes:
        path: path of the endpoint, below ``base_url``.
        server: the server; a checkpoint of another one would skip rows.
        fields: the body without the paging fields, in wire names.
        key: wire name of the unique key of the rows.
        envelope: the declared keys of rows and count; None to detect them.
        by_key: paginate by ``where`` and ``orderBy`` instead of ``page``.
        page_style: what ``page`` means to the endpoint.
        page_size_key: the body's key for the page size.
        model: the row type of the resource, whose amounts a dict row holds exactly, or None.
        instants: columns that hold instants, of which a server may show fewer digits than it compares.
        modified_at_field: wire name of the field with the time of a row's last change; empty without one.
        key_range: the keys of a partition, to which each request is limited; None for a whole read.
        plan: the id of the plan of the partition; empty for a whole read.
        counts_pages: the server may count only the rows of a page.
    """

    path: str
    fields: dict[str, Any]
    server: str = ""
    key: str = "id"
    envelope: Envelope | None = None
    by_key: bool = False
    page_style: PageStyle = "auto"
    page_size_key: str = "pageSize"
    model: Any = None
    instants: frozenset[tuple[str, ...]] = frozenset()
    modified_at_field: str = ""
    key_range: KeyRange | None = None
    plan: str = ""
    counts_pages: bool = False

    def request(self, fields: Mapping[str, Any]) -> Request:
        """Return a request of the query with more fields of its body."""
        return Request(method="POST", path=self.path, body=encode_json({**self.fields, **fields}))

    def where(self, after: Id | None = None, until: Id | None = None, *, other_than: Id | None = None) -> Any:
        """Return the condition for the rows with keys above ``after`` up to ``until``, or None.

        None is the bound of the query. ``other_than`` is a key that they do not have.
        """
        bounds = self.key_range or KeyRange(None, None)
        after, until = bounds.after if after is None else after, bounds.until if until is None else until
        others = None if other_than is None else {self.key: {"_neq": other_than}}
        return _all_of([self.fields.get("where"), *key_between(self.key, after, until), others])

    def order(self) -> Order:
        """Return the order of keyset pagination: the caller's, made unique by the key."""
        columns = order_columns(self.fields.get("orderBy"))
        paths = [path for path, _ in columns]
        if (self.key,) in paths:  # unique: later columns order nothing
            return columns[: paths.index((self.key,)) + 1]
        return [*columns, ((self.key,), "asc")]

    def fingerprint(self) -> str:
        """Return a hash of the query, which its checkpoints are bound to."""
        identity = {"fields": self.fields, "by_key": self.by_key, "key": self.key}
        return fingerprint(self.path, identity | {"server": self.server})

    def pull_fingerprint(self) -> str:
        """Return a hash of what a pull reads; of a partition, also of its range, its plan and the server.

        A partition of another plan has other rows, even if its keys are the same: those of another time.
        """
        identity: dict[str, Any] = {"pull": self.fields, "key": self.key}
        if self.key_range is not None:
            identity |= {"key_range": self.key_range, "plan": self.plan, "server": self.server}
        return fingerprint(self.path, identity)

    def pagination(self, page_size: int, limit: int | None, resume: Position | None) -> Pagination:
        """Return a new pagination of this query.

        Raises:
            CheckpointError: the position is damaged.
        """
        if resume is not None:
            ResumeState.from_position(resume)
            resume = {name: value for name, value in resume.items() if name != RESUME_STATE}
        if not self.by_key:
            return OffsetPagination(
                page_size,
                limit=limit,
                page_style=self.page_style,
                page_size_key=self.page_size_key,
                resume=resume,
                trust_first_count=not self.counts_pages,
                has_keys=bool(self.key),
            )
        order = self.order()
        return KeysetPagination(
            page_size,
            self._keyset_fields(order),
            order=order,
            instants=frozenset(path for path, _ in order) & self.instants,
            limit=limit,
            page_size_key=self.page_size_key,
            resume=resume,
            trust_first_count=not self.counts_pages,
        )

    def _keyset_fields(
        self, order: Order
    ) -> Callable[[tuple[Any, ...] | None, Ties | None, Sequence[Id]], dict[str, Any]]:
        order_by = [nest(path, direction) for path, direction in order]
        by_key = [nest(order[-1][0], "asc")]

        def fields(after: tuple[Any, ...] | None, ties: Ties | None, passed: Sequence[Id]) -> dict[str, Any]:
            conditions = [self.where()]
            if after is not None:
                conditions.append(
                    keyset_after(order, after) if ties is None else ties.condition(order, after)
                )
            if passed:
                conditions.append(Column(order[-1][0]).not_in(passed).to_dict())
            where = _all_of(conditions)
            is_by_key = ties is not None and ties.by_key
            ordered = {"orderBy": by_key if is_by_key else order_by}
            return ordered if where is None else {**ordered, "where": where}

        return fields


def _all_of(conditions: Sequence[Any]) -> Any:
    """Return the condition that these are all met, without empty ones; None if all are."""
    conditions = [each for each in conditions if each]
    return {"_and": conditions} if len(conditions) > 1 else next(iter(conditions), None)
