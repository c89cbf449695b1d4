"""AiwynClient: the life of a client, its options, the tree of its resources."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from contextlib import aclosing
from functools import cached_property
from typing import Any, Self, TypedDict, Unpack

import msgspec

from aiwyn_async._core.checks import check_kind
from aiwyn_async._core.logs import configure_logging
from aiwyn_async._core.secret import without_locals
from aiwyn_async._core.threads import running_loop
from aiwyn_async._core.urls import check_path, server_name
from aiwyn_async._http.messages import Request, Response, prepare_own
from aiwyn_async._http.session import create_session
from aiwyn_async._pull.plan import Partition, to_options, to_query
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.clients import Clients
from aiwyn_async._resources.contacts import Contacts
from aiwyn_async._resources.describe import DescribesResources
from aiwyn_async._resources.draft_invoices import DraftInvoices
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.engagements import Engagements
from aiwyn_async._resources.event_subscriptions import EventSubscriptions
from aiwyn_async._resources.invoices import Invoices
from aiwyn_async._resources.options import PartitionOptions
from aiwyn_async._resources.payments import Payments
from aiwyn_async._resources.projects import Projects
from aiwyn_async._resources.record_types import RecordTypes
from aiwyn_async._resources.records import Records
from aiwyn_async._resources.staff import Staff
from aiwyn_async._resources.untyped import UntypedCollection, undocumented_endpoint
from aiwyn_async._resources.wip import Wip
from aiwyn_async.config import Clock, Config, Headers, Observer, Secret, TokenProvider
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._validation import to_wire

__all__ = ["AiwynClient", "CallOptions", "ClientOptions"]


class CallOptions(TypedDict, total=False):
    """Options of ``with_options()``; see ``Config`` for meaning, unit and default."""

    retries: int
    retry_writes: bool
    connect_timeout: float
    read_timeout: float
    attempt_timeout: float
    deadline: float
    backoff_base: float
    throttled_backoff_base: float
    backoff_cap: float
    max_retry_after: float
    headers: Mapping[str, str]
    observer: Observer | None


class ClientOptions(CallOptions, total=False):
    """Options of a client; see ``Config`` for meaning, unit and default."""

    max_concurrency: int | None
    retry_budget: int
    max_response_bytes: int
    gql_prefix: str
    api_prefix: str
    token_path: str
    token_request_key: str
    token_response_key: str
    endpoints: Mapping[str, Mapping[str, str]]
    warn_undocumented: bool
    allow_insecure_http: bool
    proxy: str | None
    ssl_context: ssl.SSLContext | None
    clock: Clock


def _undocumented(resource: str) -> cached_property[UntypedCollection]:
    def collection(client: AiwynClient) -> UntypedCollection:
        session = client._session  # noqa: SLF001 (its own)  # pyright: ignore[reportPrivateUsage]
        return UntypedCollection(session, undocumented_endpoint(resource))

    return cached_property(collection)


class AiwynClient(DescribesResources):
    """A client of the Aiwyn API. Create one, share it among tasks, close it.

        async with AiwynClient() as aiwyn:
            async for invoice in aiwyn.invoices.list(status="POSTED"):
                print(invoice.invoice_number, invoice.total_amount)

    Nothing is opened before the first request. One client can be used in several ``asyncio.run()`` calls, one
    after another (with a connection pool per loop), but not in two threads at the same time.

    Args:
        base_url: such as https://demo.api.aiwyn.ai; else AIWYN_BASE_URL, else the profile. It must be set
            where the credential is set, since a credential is only sent to the base_url of its own source.
        api_key: exchanged for a bearer token and renewed; else AIWYN_API_KEY, else the profile.
        token: a bearer token instead, or a function, sync or async, that returns one and is called again when
            the token expires or is refused; else AIWYN_TOKEN.
        profile: a table of the profile file; else AIWYN_PROFILE.
        **options: see ``Config``.

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
        configure_logging()
        config = Config.load(base_url=base_url, api_key=api_key, token=token, profile=profile, **options)
        self._session = create_session(config)
        self._is_view = False
        self._check_endpoints()

    def __repr__(self) -> str:
        if "_session" not in self.__dict__:
            return "<AiwynClient without valid options>"
        view = "view of " if self._is_view else ""
        return f"<AiwynClient {view}{self._session.config.base_url} {self._session.limiter!r}>"

    @property
    def config(self) -> Config:
        """The options of this client."""
        return self._session.config

    @cached_property
    def clients(self) -> Clients:
        """Clients: list, search, get, get_many, pull, plan, reconcile_keys."""
        return Clients(self._session)

    @cached_property
    def contacts(self) -> Contacts:
        """Contacts: list, get, get_many, pull, plan, reconcile_keys."""
        return Contacts(self._session)

    @cached_property
    def draft_invoices(self) -> DraftInvoices:
        """Draft invoices: list and search of their history, get, get_many, pull, plan."""
        return DraftInvoices(self._session)

    @cached_property
    def engagements(self) -> Engagements:
        """Engagements: list, search, get, get_many, pull, plan, reconcile_keys."""
        return Engagements(self._session)

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices: list, search, get, get_many, pull, plan, changes, reconcile_keys."""
        return Invoices(self._session)

    @cached_property
    def payments(self) -> Payments:
        """Payments: list, get, get_many, pull, plan, reconcile_keys."""
        return Payments(self._session)

    @cached_property
    def projects(self) -> Projects:
        """Projects: list, get, get_many, pull, plan, reconcile_keys."""
        return Projects(self._session)

    @cached_property
    def staff(self) -> Staff:
        """Staff: list, search, get, get_many, pull, plan, reconcile_keys."""
        return Staff(self._session)

    @cached_property
    def wip(self) -> Wip:
        """Work in progress: list, search, get, get_many, pull, plan, reconcile_keys."""
        return Wip(self._session)

    @cached_property
    def records(self) -> Records:
        """Records: upsert, update."""
        return Records(self._session)

    @cached_property
    def record_types(self) -> RecordTypes:
        """Custom record types: create, update, deactivate."""
        return RecordTypes(self._session)

    @cached_property
    def event_subscriptions(self) -> EventSubscriptions:
        """Event subscriptions: catalog, create, update, deactivate, secret."""
        return EventSubscriptions(self._session)

    @property
    def time(self) -> Wip:
        """Another name for ``wip``; the documentation calls it Time."""
        return self.wip

    # The documentation names these resources and no operation of them; rows are dicts.
    client_business_entities: cached_property[UntypedCollection] = _undocumented("client_business_entities")
    contact_clients: cached_property[UntypedCollection] = _undocumented("contact_clients")
    contact_infos: cached_property[UntypedCollection] = _undocumented("contact_infos")
    departments: cached_property[UntypedCollection] = _undocumented("departments")
    industries: cached_property[UntypedCollection] = _undocumented("industries")
    job_templates: cached_property[UntypedCollection] = _undocumented("job_templates")
    jobs: cached_property[UntypedCollection] = _undocumented("jobs")
    last_mile: cached_property[UntypedCollection] = _undocumented("last_mile")
    offices: cached_property[UntypedCollection] = _undocumented("offices")
    service_lines: cached_property[UntypedCollection] = _undocumented("service_lines")

    def collection(
        self,
        path: str,
        *,
        key: str | None = "id",
        search_path: str | None = None,
        get_path: str | None = None,
    ) -> UntypedCollection:
        """Return any endpoint as a resource; rows are dicts, and the envelope is detected.

        Args:
            path: of the list, below base_url, with its prefix, such as ``/gql/v1/whatever``.
            key: wire name of the unique key of a row; None if rows have none.
            search_path: of the search; ``path`` and ``/search`` by default.
            get_path: of one object, without its key; ``path`` by default.

        Raises:
            ConfigurationError: a path does not start with a slash, has a query, or an empty, ``.`` or ``..``
                segment.
        """
        check_path("path", path)
        for name, other in (("search_path", search_path), ("get_path", get_path)):
            if other is not None:
                check_path(name, other)
        if key is not None:
            check_kind("key", key, str, "the wire name of a field, or None")
            to_wire(key, "key")
        return UntypedCollection(
            self._session,
            Endpoint(
                resource=path,
                list_path=path,
                search_path=search_path or f"{path}/search",
                get_path=get_path or path,
                below_prefix=False,
                key=key,
            ),
        )

    def read(self, partition: Partition, **options: Unpack[PartitionOptions]) -> Pull[Any]:
        """Return the pull of one partition of a plan.

        It is limited to the keys of the partition, as are its counts and its report. Its rows have the row
        type of the resource; ``decode_as()`` changes it.

        A server that does not apply the key filter raises ``PaginationError`` when the pull is iterated,
        since a full scan would yield rows of other partitions.

        Args:
            partition: of ``plan()`` of a resource, made by any client of the same server.
            **options: see ``PartitionOptions``.

        Raises:
            ConfigurationError: an option is invalid, the partition was changed, or the checkpoint is of
                another partition.
            TypeError: an unknown keyword argument.
        """
        check_kind("partition", partition, Partition, "a Partition")
        built = to_options(partition, **options)
        query = to_query(partition, server_name(self._session.config.base_url))
        return Pull(self._session, query, query.model, built)

    @without_locals
    def with_options(self, **options: Unpack[CallOptions]) -> AiwynClient:
        """Return a view with other options, sharing pool, token, limits and retry budget.

        Closing the view closes nothing. ``headers`` are added to those of the client.

        Raises:
            ConfigurationError: an option is unknown, out of bounds, or cannot be changed.
        """
        refused = sorted(options.keys() - CallOptions.__annotations__.keys())
        if refused:
            raise ConfigurationError(
                f"with_options() cannot change {refused[0]!r}; it can change "
                f"{', '.join(sorted(CallOptions.__annotations__))}"
            )
        view = object.__new__(AiwynClient)
        view._session = self._session.view(_changed(self.config, options))
        view._is_view = True
        return view

    def __copy__(self) -> AiwynClient:
        return self.with_options()

    def __deepcopy__(self, _memo: object) -> AiwynClient:
        return self.with_options()

    async def request(self, request: Request) -> Response:
        """Send a request of your own, with the same token, limits, retries and errors.

        Raises:
            ConfigurationError: the request is not a ``Request``, or one of its fields has another type.
            RequestError: see ``errors``.
        """
        return await self._session.call(prepare_own(request, self._session.config.gql_prefix))

    async def __aenter__(self) -> Self:
        running_loop()  # under trio, the first request would raise the same error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; later requests raise ClientClosedError. Idempotent."""
        if self._is_view:
            return
        running_loop()
        async with aclosing(self._session.transport):  # also if the renewal's end is cancelled
            if self._session.tokens is not None:
                await self._session.tokens.aclose()

    def __del__(self) -> None:
        session = self.__dict__.get("_session")
        if session is not None and not self._is_view and session.transport.is_open:
            warnings.warn(
                "an AiwynClient was dropped while open; use `async with` or call aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def _changed(config: Config, options: CallOptions) -> Config:
    changed = {name: value for name, value in options.items() if name != "headers"}
    headers = options.get("headers")
    if headers is not None:
        changed["headers"] = Headers(config.headers).updated(headers)
    return msgspec.structs.replace(config, **changed)
