"""Which page to ask for next, and when to stop. Pure: told what came, it says what to ask.

Two walks with one surface: ``OffsetWalk`` by ``page`` and ``pageSize``, ``KeysetWalk`` by ``where`` and
``orderBy``. Both serve one page at a time and a window of pages: ``ask()`` gives requests as long as it is
safe to have another one in flight, and ``tell()`` is called with the answers in the order of asking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from aiwyn_async.errors import CheckpointError
from aiwyn_async.models.base import Id
from aiwyn_async.pagination.page import Position
from aiwyn_async.pagination.report import EndedBy

__all__ = [
    "Ask",
    "Came",
    "KeysetWalk",
    "OffsetWalk",
    "PageMeans",
    "Told",
    "Walk",
    "WalkLoop",
    "WalkUnordered",
]

PageMeans = Literal["number", "rows_to_skip", "detect"]

# So many pages in a row without one new row are no drift any more.
MOST_STALE_PAGES: Final = 8


class Ask(msgspec.Struct, frozen=True):
    """One page to request: its fields are laid over the query's body."""

    fields: dict[str, Any]
    size: int


class Came(msgspec.Struct, frozen=True):
    """What a page brought: keys in order (None where a row has none), how many are new, the count."""

    keys: Sequence[Id | None]
    fresh: int
    count: int | None = None
    last_values: tuple[Any, ...] = ()
    """For a walk by key: the order columns' values in the last row."""


class Told(msgspec.Struct, frozen=True):
    """What to do with a page: give its rows or not, and whether the pages in flight are void."""

    use: bool = True
    restart: bool = False
    own_repeats: int = 0
    """Rows that came twice because of how the walk asked, and not because the list moved."""


class WalkLoop(Exception):  # noqa: N818 (becomes PaginationLoopError, which knows the checkpoint)
    """The server gives a page again."""


class WalkUnordered(Exception):  # noqa: N818 (becomes PaginationError, which knows the checkpoint)
    """The server does not keep to the order or the key filter that a walk by key stands on."""


class Walk(Protocol):
    """The surface of both walks."""

    ended_by: EndedBy | None

    def ask(self) -> Ask | None:
        """The next request, or None when none may be added now."""
        ...

    def tell(self, came: Came) -> Told:
        """Take in the oldest page asked for and not told yet."""
        ...

    def position(self) -> Position:
        """Where to go on after all that was told, as JSON."""
        ...


class _Seen(msgspec.Struct, frozen=True):
    """As much of a page as telling it from the next one takes; small enough for a checkpoint."""

    head: tuple[Id | None, ...]
    last: Id | None
    length: int

    @classmethod
    def of(cls, keys: Sequence[Id | None]) -> _Seen:
        return cls(tuple(keys[:4]), keys[-1], len(keys))


class _Probe(msgspec.Struct, frozen=True):
    """A request that tells rows to skip from a page number: a skip of ``row`` rows begins with ``begins``."""

    row: int
    begins: Id | None
    fresh: int
    repeated: int


class OffsetWalk:
    """By ``page`` and ``pageSize``.

    The end is a fact: an empty page, or a short page whose count agrees with the rows seen. A full page
    never ends the walk, whatever the count says.

    Some endpoints call ``page`` a number of rows to skip. When the second page begins with the first one's
    second row, either ``page`` skips rows or the list moved; one request that only a skip answers with the
    row after those seen decides it, and neither reading loses a row.

    Args:
        page_size: rows to ask for at a time.
        limit: rows to give in all.
        means: what the server takes ``page`` for; "detect" looks at the second page.
        size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier walk.
    """

    def __init__(
        self,
        page_size: int,
        *,
        limit: int | None = None,
        means: PageMeans = "detect",
        size_key: str = "pageSize",
        resume: Position | None = None,
    ) -> None:
        self.ended_by: EndedBy | None = None
        self._limit = limit
        self._size_key = size_key
        self._size = page_size if limit is None else min(page_size, limit)
        self._means = means
        self._next = 0  # the next page to ask for, or the rows to skip
        self._told = 0  # pages told
        self._rows = 0  # rows received
        self._given = 0  # rows given
        self._count: int | None = None
        self._before: _Seen | None = None
        self._probe: _Probe | None = None
        self._stale = 0
        if resume is not None:
            self._resume(resume)
        self._in_flight: list[Ask] = []
        if limit is not None and self._given >= limit:
            self.ended_by = "limit"

    def ask(self) -> Ask | None:
        """The next page: alone until a count is known, then as many as the count promises."""
        if self.ended_by is not None or (self._in_flight and not self._may_run_ahead()):
            return None
        page = self._next if self._probe is None else self._probe.row
        if self._probe is None:
            self._next += self._size if self._means == "rows_to_skip" else 1
        ask = Ask({self._size_key: self._size, "page": page}, self._size)
        self._in_flight.append(ask)
        return ask

    def tell(self, came: Came) -> Told:
        """Take in the oldest page that was asked for.

        Raises:
            WalkLoop: the page is the one before it, or page after page brings nothing new.
        """
        ask = self._in_flight.pop(0)
        if came.count is not None:
            self._count = came.count
        if self._probe is not None:
            return self._tell_probe(self._probe, ask, came)
        if not came.keys:
            self.ended_by = "empty_page"
            return Told()
        before, self._before = self._before, _Seen.of(came.keys)
        if before == self._before and None not in before.head:
            raise WalkLoop
        self._stale = 0 if came.fresh else self._stale + 1
        if self._stale >= MOST_STALE_PAGES:
            raise WalkLoop
        if self._means == "detect" and self._told == 1:
            if before is not None and _is_shifted_by_one(before, self._before):
                return self._begin_probe(before, came)
            self._means = "number"
        return self._use(ask, came)

    def position(self) -> Position:
        """Where to go on after all that was told."""
        in_flight = 0 if self._probe is not None else len(self._in_flight)
        unit = self._size if self._means == "rows_to_skip" else 1
        state: Position = {
            name: getattr(self, f"_{name}") for name in ("told", "size", "means", "rows", "given")
        }
        state |= {"next": self._next - unit * in_flight, "ended_by": self.ended_by}
        return state | {name: msgspec.to_builtins(getattr(self, f"_{name}")) for name in ("before", "probe")}

    def _resume(self, position: Position) -> None:
        try:
            for name in ("told", "size", "next", "rows", "given"):
                setattr(self, f"_{name}", msgspec.convert(position[name], int))
            self._means = msgspec.convert(position["means"], PageMeans)
            self._before = msgspec.convert(position["before"], _Seen | None)
            self._probe = msgspec.convert(position["probe"], _Probe | None)
            self.ended_by = msgspec.convert(position["ended_by"], EndedBy | None)
        except (KeyError, msgspec.ValidationError):
            raise CheckpointError("the checkpoint is damaged; start anew") from None

    def _may_run_ahead(self) -> bool:
        promised = sum(ask.size for ask in self._in_flight)
        if not self._told or self._count is None or self._probe is not None:
            return False
        wanted = self._count - self._rows
        if self._limit is not None:
            wanted = min(wanted, self._limit - self._given)
        return promised < wanted

    def _use(self, ask: Ask, came: Came) -> Told:
        self._told += 1
        self._rows += len(came.keys)
        self._given += came.fresh
        if self._limit is not None and self._given >= self._limit:
            self.ended_by = "limit"
        elif len(came.keys) < ask.size:
            if came.count == self._rows:
                self.ended_by = "count"
            elif self._told == 1:
                # Unconfirmed, it may be a smaller page size than the one asked for: go on in its step.
                self._size = len(came.keys)
                self._next = self._rows if self._means == "rows_to_skip" else 1
            elif self._means == "rows_to_skip":
                # The pages in flight begin after rows that did not come.
                self._go_on_from(self._rows)
                return Told(restart=True)
        return Told()

    def _begin_probe(self, before: _Seen, came: Came) -> Told:
        repeated = len(came.keys) - came.fresh
        self._probe = _Probe(before.length, came.keys[-1], came.fresh, repeated)
        self._told += 1
        self._given += came.fresh
        self._go_on_from(2)
        return Told(restart=True)

    def _tell_probe(self, probe: _Probe, ask: Ask, came: Came) -> Told:
        self._probe = None
        if not came.keys and not probe.fresh:
            # All rows were on the first page; by either reading there are no more.
            self.ended_by = "empty_page"
            return Told(own_repeats=probe.repeated)
        if came.keys and probe.fresh and came.keys[0] == probe.begins:
            self._means = "rows_to_skip"
            told = self._use(ask, came)
            self._go_on_from(self._rows)
            return Told(restart=True, own_repeats=probe.repeated + 1) if told.use else told
        self._means = "number"
        self._rows += probe.fresh + probe.repeated
        return Told(use=False)

    def _go_on_from(self, place: int) -> None:
        self._next = place
        self._in_flight.clear()


def _is_shifted_by_one(before: _Seen, now: _Seen) -> bool:
    overlap = min(len(before.head) - 1, len(now.head))
    return overlap >= 1 and before.head[1 : 1 + overlap] == now.head[:overlap] and None not in now.head


class KeysetWalk:
    """By ``where`` and ``orderBy``: each page begins after the last row of the one before.

    Args:
        page_size: rows to ask for at a time.
        fields: from the last row's order values (None for the first page) to the body's fields.
        limit: rows to give in all.
        ascending_key: the key alone is the order, so that it can be checked to ascend.
        size_key: the body's key for the page size.
        resume: a ``position()`` of an earlier walk.
    """

    def __init__(
        self,
        page_size: int,
        fields: Callable[[tuple[Any, ...] | None], dict[str, Any]],
        *,
        limit: int | None = None,
        ascending_key: bool = True,
        size_key: str = "pageSize",
        resume: Position | None = None,
    ) -> None:
        self.ended_by: EndedBy | None = None
        self._limit = limit
        self._size = page_size
        self._size_key = size_key
        self._fields = fields
        self._ascending_key = ascending_key
        self._after: tuple[Any, ...] | None = None
        self._given = 0
        self._asked: Ask | None = None
        if resume is not None:
            try:
                self._after = msgspec.convert(resume["after"], tuple[Any, ...] | None)
                self._given = msgspec.convert(resume["given"], int)
                self.ended_by = msgspec.convert(resume["ended_by"], EndedBy | None)
            except (KeyError, msgspec.ValidationError):
                raise CheckpointError("the checkpoint is damaged; start anew") from None
        if limit is not None and self._given >= limit:
            self.ended_by = "limit"

    def ask(self) -> Ask | None:
        """The page after the last one told; one at a time, since each needs the one before."""
        if self.ended_by is not None or self._asked is not None:
            return None
        size = self._size if self._limit is None else min(self._size, self._limit - self._given)
        self._asked = Ask({**self._fields(self._after), self._size_key: size}, size)
        return self._asked

    def tell(self, came: Came) -> Told:
        """Take in the page that was asked for.

        Raises:
            WalkLoop: the page brings nothing new, or does not go on from where it should.
            WalkUnordered: the keys do not ascend.
        """
        asked, self._asked = self._asked, None
        if not came.keys:
            self.ended_by = "empty_page"
            return Told()
        if not came.fresh or came.last_values == self._after:
            raise WalkLoop
        if self._ascending_key:
            self._check_ascends(came.keys)
        self._after = came.last_values
        self._given += came.fresh
        if self._limit is not None and self._given >= self._limit:
            self.ended_by = "limit"
        elif asked is not None and len(came.keys) < asked.size and came.count == len(came.keys):
            self.ended_by = "count"
        return Told()

    def position(self) -> Position:
        """Where to go on after all that was told."""
        after = None if self._after is None else list(self._after)
        return {"after": after, "given": self._given, "ended_by": self.ended_by}

    def _check_ascends(self, keys: Sequence[Id | None]) -> None:
        before = self._after[0] if self._after else None
        for key in keys:
            # Strings ascend by a collation that only the server knows.
            if isinstance(key, int):
                if isinstance(before, int) and key <= before:
                    raise WalkUnordered
                before = key
