"""What a walk asks, page after page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from aiwyn_async._core.reports import EarlierProblems
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.page import Position, fingerprint
from aiwyn_async._pagination.strategy import KeysetPagination, OffsetPagination, Order, PageStyle, Pagination
from aiwyn_async._pagination.ties import Ties
from aiwyn_async.errors import CheckpointError
from aiwyn_async.filters._keyset import keyset_after
from aiwyn_async.filters._validation import order_columns

__all__ = ["RESUME_STATE", "Query", "ResumeState"]

RESUME_STATE: Final = "carried"
"""Under this name a position holds what is the report's and not the walk's."""


class ResumeState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the report of a resumed read needs of the runs before: the first count, and their problems."""

    total_count_at_start: int | None = None
    problems: EarlierProblems = EarlierProblems()

    @classmethod
    def from_position(cls, position: Position | None) -> ResumeState:
        """What a position holds.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            return msgspec.convert((position or {}).get(RESUME_STATE, {}), cls)
        except (msgspec.MsgspecError, RecursionError):
            raise CheckpointError("the checkpoint is damaged; start a new read without resume") from None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk asks, page after page.

    Attributes:
        path: of the endpoint, below base_url.
        fields: the body without its paging, in wire names.
        key: wire name of the rows' unique key.
        envelope: the declared place of rows and count; None to find it.
        by_key: walk by ``where`` and ``orderBy``; otherwise by ``page``.
        page_style: what the endpoint takes ``page`` for.
        size_key: the body's name for the page size.
        model: the row type of the resource, whose amounts a dict row holds exactly; None if there is none.
        instants: columns that hold instants, of which a server may show fewer digits than it compares.
    """

    path: str
    fields: dict[str, Any]
    key: str = "id"
    envelope: Envelope | None = None
    by_key: bool = False
    page_style: PageStyle = "auto"
    page_size_key: str = "pageSize"
    model: Any = None
    instants: frozenset[tuple[str, ...]] = frozenset()

    def order(self) -> Order:
        """The order of a walk by key: the caller's columns, and the key to make it unique."""
        columns = order_columns(self.fields.get("orderBy"))
        paths = [path for path, _ in columns]
        if (self.key,) in paths:  # unique: what comes after it orders nothing
            return columns[: paths.index((self.key,)) + 1]
        return [*columns, ((self.key,), "asc")]

    @property
    def keyset_only(self) -> bool:
        """True for a walk that rows inserted or deleted meanwhile cannot shift."""
        return self.by_key and len(self.order()) == 1

    def fingerprint(self) -> str:
        """A hash of what is asked, for a checkpoint to be bound to."""
        return fingerprint(self.path, {"fields": self.fields, "by_key": self.by_key, "key": self.key})

    def pagination(self, page_size: int, limit: int | None, resume: Position | None) -> Pagination:
        """A new walk of this query.

        Raises:
            CheckpointError: the position is damaged.
        """
        if resume is not None:
            ResumeState.from_position(resume)
            resume = {name: value for name, value in resume.items() if name != RESUME_STATE}
        if not self.by_key:
            return OffsetPagination(
                page_size, limit=limit, means=self.page_style, size_key=self.page_size_key, resume=resume
            )
        order = self.order()
        return KeysetPagination(
            page_size,
            self._keyset_fields(order),
            order=order,
            instants=frozenset(path for path, _ in order) & self.instants,
            limit=limit,
            size_key=self.page_size_key,
            resume=resume,
        )

    def _keyset_fields(self, order: Order) -> Callable[[tuple[Any, ...] | None, Ties | None], dict[str, Any]]:
        order_by = [_nested(path, direction) for path, direction in order]
        by_key = [_nested(order[-1][0], "asc")]

        def fields(after: tuple[Any, ...] | None, ties: Ties | None) -> dict[str, Any]:
            where = self.fields.get("where")
            if after is not None:
                beyond = keyset_after(order, after) if ties is None else ties.condition(order, after)
                where = {"_and": [where, beyond]} if where else beyond
            is_by_key = ties is not None and ties.by_key
            return {"orderBy": by_key if is_by_key else order_by} | (
                {} if where is None else {"where": where}
            )

        return fields


def _nested(path: tuple[str, ...], direction: str) -> dict[str, Any]:
    wire: Any = direction
    for name in reversed(path):
        wire = {name: wire}
    return dict(wire)
