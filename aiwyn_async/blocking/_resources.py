"""The resources of a blocking client."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack

import msgspec

from aiwyn_async._changes.bookmarks import StateBackend
from aiwyn_async._changes.reconcile import KeyDiff
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.plan import Plan
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.arguments import check_keys
from aiwyn_async._resources.collection import GET_MANY_DEPTH, LookupResult, Paging
from aiwyn_async._resources.event_subscriptions import EventSubscriptions
from aiwyn_async._resources.options import ChangesOptions, ListOptions, PlanOptions, PullOptions
from aiwyn_async._resources.record_types import RecordTypes
from aiwyn_async._resources.records import MAX_BATCH, Records, RecordWrite
from aiwyn_async.blocking._reads import BlockingChanges, BlockingIteration, BlockingRead, CallerIterable
from aiwyn_async.blocking._thread import LoopThread
from aiwyn_async.errors import AiwynError
from aiwyn_async.filters import OrderBy, Where
from aiwyn_async.models.base import Id
from aiwyn_async.models.records import Record, RecordOutcome, WriteReport

P = ParamSpec("P")
RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")
ResultT = TypeVar("ResultT")
ResourceT = TypeVar("ResourceT")


class Listable(Protocol[P, RowT, HitT, DetailT]):
    """What type checkers know of a resource: the arguments of its ``list()``, and its types."""

    row_type: type[RowT]
    hit_type: type[HitT]
    detail_type: type[DetailT]

    def list(self, *args: P.args, **kwargs: P.kwargs) -> Pager[RowT]:
        """Return its rows."""
        ...


class Searchable(Listable[P, RowT, HitT, DetailT], Protocol[P, RowT, HitT, DetailT]):
    """A resource with a search."""

    @property
    def search(self) -> Callable[..., Pager[HitT]]:
        """Return the rows that meet a condition."""
        ...


class Resource(Generic[ResourceT]):
    """A resource of a client.

    Attributes:
        thread: runs the event loop of the client.
        source: the resource of ``AiwynClient``, which only that event loop may use.
    """

    def __init__(self, thread: LoopThread, source: ResourceT) -> None:
        self.thread = thread
        self.source = source

    def __repr__(self) -> str:
        return repr(self.source)


class BlockingCollection(Resource[Any], Generic[P, RowT, HitT, DetailT]):
    """The verbs of a resource; see ``Collection``."""

    @property
    def list(self) -> Callable[P, BlockingRead[RowT, ListReport]]:
        """Return rows, with the arguments of ``list()`` of the resource."""

        @functools.wraps(self.source.list)
        def blocking(*args: P.args, **kwargs: P.kwargs) -> BlockingRead[RowT, ListReport]:
            return BlockingRead(self.thread, self.source.list(*args, **kwargs))

        return blocking

    def get(self, key: Id) -> DetailT:
        """Return one object by its key; see ``Collection.get()``."""
        detail: DetailT = self.thread.call(self.source.get, key)
        return detail

    def get_many(self, keys: Iterable[Id]) -> BlockingIteration[LookupResult[DetailT]]:
        """Look up objects by their keys concurrently, in the order of the keys.

        A missing object is yielded as ``LookupResult(key, None)``. See ``Collection.get_many()``.
        """
        keys, supply = CallerIterable[Id].of(keys, GET_MANY_DEPTH)
        return BlockingIteration(self.thread, self.source.get_many(keys), supply)

    def pull(
        self,
        where: Where = None,
        *,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[PullOptions],
    ) -> BlockingRead[HitT, PullReport]:
        """Read all rows in bulk, resumable, with a report of what is missing; see ``Collection.pull()``."""
        pull: Pull[HitT] = self.source.pull(
            where, paging=paging, allow_unknown_operators=allow_unknown_operators, **options
        )
        return BlockingRead(self.thread, pull)

    def plan(
        self,
        where: Where = None,
        *,
        parts: int = 64,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[PlanOptions],
    ) -> Plan:
        """Divide a pull into partitions, for ``Aiwyn.read()``; see ``Collection.plan()``."""
        plan: Plan = self.thread.call(
            lambda: self.source.plan(
                where, parts=parts, paging=paging, allow_unknown_operators=allow_unknown_operators, **options
            )
        )
        return plan

    def reconcile_keys(
        self, known: Iterable[Id], pull: BlockingRead[Any, PullReport] | None = None
    ) -> KeyDiff:
        """Compare known keys with the server's; see ``Collection.reconcile_keys()``."""
        check_keys("known", known)
        source = None if pull is None else pull.source
        # Read here: an iterable may belong to this thread.
        diff: KeyDiff = self.thread.call(self.source.reconcile_keys, tuple(known), source)
        return diff


class BlockingSearchableCollection(BlockingCollection[P, RowT, HitT, DetailT]):
    """The verbs of a resource that has a search; see ``SearchableCollection``."""

    def search(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        paging: Paging | None = None,
        allow_unknown_operators: bool = False,
        **options: Unpack[ListOptions],
    ) -> BlockingRead[HitT, ListReport]:
        """Return the rows that meet a condition, in an order; see ``SearchableCollection.search()``."""
        pager: Pager[HitT] = self.source.search(
            where,
            order_by=order_by,
            paging=paging,
            allow_unknown_operators=allow_unknown_operators,
            **options,
        )
        return BlockingRead(self.thread, pager)

    def changes(
        self,
        *,
        since: datetime | str | None = None,
        overlap: float | timedelta | None = None,
        where: Where = None,
        allow_unknown_operators: bool = False,
        state: StateBackend | None = None,
        **options: Unpack[ChangesOptions],
    ) -> BlockingChanges[HitT]:
        """Return the rows changed since a bookmark, or all; see ``SearchableCollection.changes()``."""
        changes = self.source.changes(
            since=since,
            overlap=overlap,
            where=where,
            allow_unknown_operators=allow_unknown_operators,
            state=state,
            **options,
        )
        return BlockingChanges(self.thread, changes)


def _blocking_form(
    method: Callable[Concatenate[ResourceT, P], Awaitable[ResultT]],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Resource[ResourceT], P], ResultT]]:
    """Replace a method by the blocking form of an async one, with its arguments and documentation."""

    @functools.wraps(method)
    def blocking(resource: Resource[ResourceT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        return resource.thread.call(method, resource.source, *args, **kwargs)

    return lambda _: blocking


class BlockingEventSubscriptions(Resource[EventSubscriptions]):
    """Event subscriptions (webhooks); see ``EventSubscriptions``."""

    @_blocking_form(EventSubscriptions.catalog)
    def catalog(self) -> None:
        """Return the events to subscribe to."""

    @_blocking_form(EventSubscriptions.create)
    def create(self) -> None:
        """Subscribe a URL to operations on entity types."""

    @_blocking_form(EventSubscriptions.update)
    def update(self) -> None:
        """Change a subscription."""

    @_blocking_form(EventSubscriptions.deactivate)
    def deactivate(self) -> None:
        """End a subscription."""

    @_blocking_form(EventSubscriptions.secret)
    def secret(self) -> None:
        """Return the secret that deliveries are signed with."""


class BlockingRecordTypes(Resource[RecordTypes]):
    """Custom record types; see ``RecordTypes``."""

    @_blocking_form(RecordTypes.create)
    def create(self) -> None:
        """Define a custom record type."""

    @_blocking_form(RecordTypes.update)
    def update(self) -> None:
        """Change a custom record type."""

    @_blocking_form(RecordTypes.deactivate)
    def deactivate(self) -> None:
        """Deactivate a custom record type."""


class UntypedList(Protocol):
    """The arguments of ``UntypedCollection.list()``."""

    def __call__(
        self, filters: Mapping[str, object] | None = None, **options: Unpack[ListOptions]
    ) -> BlockingRead[dict[str, Any], ListReport]:
        """Return the list."""
        ...


class BlockingUntypedCollection(
    BlockingSearchableCollection[..., dict[str, Any], dict[str, Any], dict[str, Any]]
):
    """A resource without documented operations; rows are dicts. See ``UntypedCollection``."""

    @property
    def list(self) -> UntypedList:
        """Return rows; see ``UntypedCollection.list()``."""
        return super().list


class WriteResult(WriteReport, kw_only=True):
    """The report of a write, and the outcome of each record in order, which iteration yields."""

    outcomes: list[RecordOutcome] = msgspec.field(default_factory=list[RecordOutcome])

    def __iter__(self) -> Iterator[RecordOutcome]:
        return iter(self.outcomes)


class BlockingRecords(Resource[Records]):
    """Writes of records, each finished when the method returns; see ``Records``."""

    def upsert(
        self,
        records: Iterable[Record | Mapping[str, Any]],
        *,
        batch_size: int = MAX_BATCH,
        raise_on_partial: bool = False,
    ) -> WriteResult:
        """Create records, or update those that match by type and systemRef; see ``Records.upsert()``."""
        return self._write(self.source.upsert, records, batch_size, raise_on_partial=raise_on_partial)

    def update(
        self,
        records: Iterable[Record | Mapping[str, Any]],
        *,
        batch_size: int = MAX_BATCH,
        raise_on_partial: bool = False,
    ) -> WriteResult:
        """Update existing records; see ``Records.update()``."""
        return self._write(self.source.update, records, batch_size, raise_on_partial=raise_on_partial)

    def _write(
        self, begin: Callable[..., RecordWrite], records: Any, batch_size: int, *, raise_on_partial: bool
    ) -> WriteResult:
        records, supply = CallerIterable[Any].of(records, MAX_BATCH)
        write = begin(records, batch_size=batch_size, raise_on_partial=raise_on_partial)
        iteration = BlockingIteration(self.thread, aiter(write), supply)
        outcomes: list[RecordOutcome] = []
        try:
            outcomes.extend(iteration)
        except BaseException as error:
            with contextlib.suppress(AiwynError):
                iteration.close()  # then the report has the records in flight
            error.add_note(f"written before: {write.report}")
            raise
        return WriteResult(**msgspec.structs.asdict(write.report), outcomes=outcomes)
