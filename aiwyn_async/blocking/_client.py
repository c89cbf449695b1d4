"""``Aiwyn``: the client for code without asyncio."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, overload

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.secret import without_locals
from aiwyn_async._http.messages import Request, Response
from aiwyn_async._pull.plan import Partition
from aiwyn_async._resources.clients import Clients
from aiwyn_async._resources.contacts import Contacts
from aiwyn_async._resources.describe import ResourceDescription
from aiwyn_async._resources.draft_invoices import DraftInvoices
from aiwyn_async._resources.engagements import Engagements
from aiwyn_async._resources.invoices import Invoices
from aiwyn_async._resources.options import PartitionOptions
from aiwyn_async._resources.payments import Payments
from aiwyn_async._resources.projects import Projects
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async._resources.staff import Staff
from aiwyn_async._resources.wip import Wip
from aiwyn_async.blocking._reads import BlockingRead
from aiwyn_async.blocking._resources import (
    BlockingCollection,
    BlockingEventSubscriptions,
    BlockingRecords,
    BlockingRecordTypes,
    BlockingSearchableCollection,
    BlockingUntypedCollection,
    Listable,
    Searchable,
)
from aiwyn_async.blocking._thread import LoopThread
from aiwyn_async.client import AiwynClient, CallOptions, ClientOptions
from aiwyn_async.config import Config, Secret, TokenProvider
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export import export

if TYPE_CHECKING:
    from aiwyn_async.sync import sync
else:

    async def sync(collection, to, **options):  # noqa: ANN001, ANN003, ANN202
        """Import the function when it is used: it needs an extra."""
        from aiwyn_async.sync import sync as run  # noqa: PLC0415

        return await run(collection, to, **options)


P = ParamSpec("P")
RowT = TypeVar("RowT")
HitT = TypeVar("HitT")
DetailT = TypeVar("DetailT")
ResultT = TypeVar("ResultT")
SourceT = TypeVar("SourceT", BlockingRead[Any, Any], BlockingCollection[..., Any, Any, Any])

_READ: type[BlockingRead[Any, Any]] = BlockingRead
_COLLECTION: type[BlockingCollection[..., Any, Any, Any]] = BlockingCollection


def _blocking_method(
    function: Callable[Concatenate[Any, P], Awaitable[ResultT]], kind: type[SourceT]
) -> Callable[[Callable[..., None]], Callable[Concatenate[Aiwyn, SourceT, P], ResultT]]:
    """Replace a method by an async function of a read or a resource, with its arguments."""

    @functools.wraps(function)
    def blocking(_: Aiwyn, source: SourceT, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        received: type[Any] = type(source)
        if not issubclass(received, kind):
            raise ConfigurationError(
                f"{function.__name__}() needs a {kind.__name__}, not {received.__name__}"
            )
        return source.thread.call(function, source.source, *args, **kwargs)

    shown: inspect.Signature = inspect.signature(function)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    blocking.__dict__["__signature__"] = shown.replace(parameters=[itself, *shown.parameters.values()])
    return lambda _: blocking


@overload
def _resource(
    get: Callable[[Any], Searchable[P, RowT, HitT, DetailT]],
) -> cached_property[BlockingSearchableCollection[P, RowT, HitT, DetailT]]: ...
@overload
def _resource(
    get: Callable[[Any], Listable[P, RowT, HitT, DetailT]],
) -> cached_property[BlockingCollection[P, RowT, HitT, DetailT]]: ...
def _resource(get: Callable[[Any], Any]) -> Any:
    """Return the blocking form of a resource of ``AiwynClient``, whose arguments and types it has."""

    @functools.wraps(get)
    def blocking(aiwyn: Aiwyn) -> Any:
        source = get(aiwyn)
        is_searchable = isinstance(source, SearchableCollection)
        kind: Any = BlockingSearchableCollection if is_searchable else BlockingCollection
        return kind(aiwyn.thread, source)

    return cached_property(blocking)


def _undocumented(name: str) -> cached_property[BlockingUntypedCollection]:
    def collection(aiwyn: Aiwyn) -> BlockingUntypedCollection:
        return BlockingUntypedCollection(aiwyn.thread, getattr(aiwyn.client, name))

    return cached_property(collection)


class Aiwyn:
    """A client of the Aiwyn API whose methods block, for scripts, notebooks and threads.

        with Aiwyn() as aiwyn:
            for invoice in aiwyn.invoices.list(status="POSTED"):
                print(invoice.invoice_number, invoice.total_amount)

    It has the resources, arguments, rows and errors of ``AiwynClient``. What that client awaits is a plain
    call here, and ``async for`` is ``for``. Rows are read a page at a time. All requests are sent by an event
    loop in a thread of its own, which starts with the first call; callbacks run in that thread.

    Several threads can use one client. Ctrl-C cancels the request that the main thread waits for. A client
    that is dropped, or not closed at the exit of the interpreter, is closed.

    Args:
        base_url, api_key, token, profile: as of ``AiwynClient``.
        **options: see ``Config``.

    Attributes:
        client: the ``AiwynClient`` that sends the requests, which only the event loop of ``thread`` may use.
        thread: runs that event loop.

    Raises:
        ConfigurationError: no base_url or credentials, they have different sources, or an option is invalid.
    """

    @without_locals
    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        token: str | Secret | TokenProvider | None = None,
        profile: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self.client: AiwynClient = AiwynClient(
            base_url=base_url, api_key=api_key, token=token, profile=profile, **options
        )
        self.thread: LoopThread = LoopThread(self.client)
        self._is_view = False

    @_resource
    def clients(self) -> Clients:
        """Clients: list, search, get, get_many, pull, plan, reconcile_keys."""
        return self.client.clients

    @_resource
    def contacts(self) -> Contacts:
        """Contacts: list, get, get_many, pull, plan, reconcile_keys."""
        return self.client.contacts

    @_resource
    def draft_invoices(self) -> DraftInvoices:
        """Draft invoices: list and search of their history, get, get_many, pull, plan."""
        return self.client.draft_invoices

    @_resource
    def engagements(self) -> Engagements:
        """Engagements: list, search, get, get_many, pull, plan, reconcile_keys."""
        return self.client.engagements

    @_resource
    def invoices(self) -> Invoices:
        """Invoices: list, search, get, get_many, pull, plan, changes, reconcile_keys."""
        return self.client.invoices

    @_resource
    def payments(self) -> Payments:
        """Payments: list, get, get_many, pull, plan, reconcile_keys."""
        return self.client.payments

    @_resource
    def projects(self) -> Projects:
        """Projects: list, get, get_many, pull, plan, reconcile_keys."""
        return self.client.projects

    @_resource
    def staff(self) -> Staff:
        """Staff: list, search, get, get_many, pull, plan, reconcile_keys."""
        return self.client.staff

    @_resource
    def wip(self) -> Wip:
        """Work in progress: list, search, get, get_many, pull, plan, reconcile_keys."""
        return self.client.wip

    @_resource
    def time(self) -> Wip:
        """Another name for ``wip``; the documentation calls it Time."""
        return self.client.time

    client_business_entities: cached_property[BlockingUntypedCollection] = _undocumented(
        "client_business_entities"
    )
    contact_clients: cached_property[BlockingUntypedCollection] = _undocumented("contact_clients")
    contact_infos: cached_property[BlockingUntypedCollection] = _undocumented("contact_infos")
    departments: cached_property[BlockingUntypedCollection] = _undocumented("departments")
    industries: cached_property[BlockingUntypedCollection] = _undocumented("industries")
    job_templates: cached_property[BlockingUntypedCollection] = _undocumented("job_templates")
    jobs: cached_property[BlockingUntypedCollection] = _undocumented("jobs")
    last_mile: cached_property[BlockingUntypedCollection] = _undocumented("last_mile")
    offices: cached_property[BlockingUntypedCollection] = _undocumented("offices")
    service_lines: cached_property[BlockingUntypedCollection] = _undocumented("service_lines")

    def __repr__(self) -> str:
        return (
            repr(self.client).replace("AiwynClient", "Aiwyn", 1) if "client" in self.__dict__ else "<Aiwyn>"
        )

    @property
    def config(self) -> Config:
        """The options of this client."""
        return self.client.config

    @cached_property
    def records(self) -> BlockingRecords:
        """Records: upsert, update."""
        return BlockingRecords(self.thread, self.client.records)

    @cached_property
    def record_types(self) -> BlockingRecordTypes:
        """Custom record types: create, update, deactivate."""
        return BlockingRecordTypes(self.thread, self.client.record_types)

    @cached_property
    def event_subscriptions(self) -> BlockingEventSubscriptions:
        """Event subscriptions: catalog, create, update, deactivate, secret."""
        return BlockingEventSubscriptions(self.thread, self.client.event_subscriptions)

    @_blocking_method(export, _READ)
    def export(self) -> None:
        """Write all rows of a read to a file."""

    @_blocking_method(sync, _COLLECTION)
    def sync(self) -> None:
        """Bring the table of a resource in a DuckDB file up to date."""

    def collection(
        self,
        path: str,
        *,
        key: str | None = "id",
        search_path: str | None = None,
        get_path: str | None = None,
    ) -> BlockingUntypedCollection:
        """Return any endpoint as a resource; rows are dicts. See ``AiwynClient.collection()``."""
        collection = self.client.collection(path, key=key, search_path=search_path, get_path=get_path)
        return BlockingUntypedCollection(self.thread, collection)

    @overload
    def describe(self, resource: None = None) -> tuple[ResourceDescription, ...]: ...
    @overload
    def describe(self, resource: str) -> ResourceDescription: ...
    def describe(self, resource: str | None = None) -> ResourceDescription | tuple[ResourceDescription, ...]:
        """Describe a resource, or all that can be read; see ``AiwynClient.describe()``."""
        return self.client.describe() if resource is None else self.client.describe(resource)

    def read(
        self, partition: Partition, **options: Unpack[PartitionOptions]
    ) -> BlockingRead[Any, PullReport]:
        """Return the pull of one partition of a plan; see ``AiwynClient.read()``."""
        return BlockingRead(self.thread, self.client.read(partition, **options))

    def request(self, request: Request) -> Response:
        """Send a request of your own, with the same token, limits, retries and errors.

        Raises:
            RequestError: see ``errors``.
        """
        return self.thread.call(self.client.request, request)

    @without_locals
    def with_options(self, **options: Unpack[CallOptions]) -> Aiwyn:
        """Return a view with other options, sharing thread, pool, token, limits and retry budget.

        Closing the view closes nothing.

        Raises:
            ConfigurationError: an option is unknown, out of bounds, or cannot be changed.
        """
        view = object.__new__(Aiwyn)
        view.client, view.thread, view._is_view = self.client.with_options(**options), self.thread, True
        return view

    def __copy__(self) -> Aiwyn:
        return self.with_options()

    def __deepcopy__(self, _memo: object) -> Aiwyn:
        return self.with_options()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread; later calls raise ClientClosedError. Idempotent."""
        if not self._is_view:
            self.thread.close()
