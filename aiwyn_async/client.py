"""AiwynClient: the life of a client, its options, the tree of its resources."""

from __future__ import annotations

import warnings
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import msgspec

from aiwyn_async.auth import ApiKeyExchange, ReadyToken
from aiwyn_async.config import Clock, Config, Secret
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.resources.invoices import Invoices
from aiwyn_async.session.governor import Governor
from aiwyn_async.session.retry import RetryQuota
from aiwyn_async.session.session import Session, TokenSource
from aiwyn_async.session.transport import Transport

__all__ = ["AiwynClient", "CallOptions", "ClientOptions"]

TOKEN_EXCHANGE_TIMEOUT = 30.0


class CallOptions(TypedDict, total=False):
    """Options that a view may change; ``Config`` tells each one's meaning, unit and default."""

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


class ClientOptions(CallOptions, total=False):
    """Options of a client; ``Config`` tells each one's meaning, unit and default."""

    max_concurrency: int
    retry_quota: int
    max_response_bytes: int
    gql_prefix: str
    token_path: str
    token_request_key: str
    token_response_key: str
    allow_insecure_http: bool
    proxy: str
    ssl_context: Any
    clock: Clock


class AiwynClient:
    """A client of the Aiwyn API; make one, share it among tasks, close it.

        async with AiwynClient() as aiwyn:
            async for invoice in aiwyn.invoices.list(status="POSTED"):
                print(invoice.invoice_number, invoice.total_amount)

    Nothing is opened before the first request. One client serves several ``asyncio.run()`` one after another
    (a connection pool for each loop), but not two threads at a time.

    Args:
        base_url: such as https://demo.api.aiwyn.ai; else AIWYN_BASE_URL, else the profile.
        api_key: exchanged for a bearer token and renewed; else AIWYN_API_KEY, else the profile.
        token: a ready bearer token instead; else AIWYN_TOKEN.
        profile: a table of the profile file; else AIWYN_PROFILE.
        **options: see ``Config``.

    Raises:
        ConfigurationError: no base_url or credentials, or an option is wrong.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        token: str | Secret | None = None,
        profile: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        config = Config.load(base_url=base_url, api_key=api_key, token=token, profile=profile, **options)
        self._session = _session(config)
        self._is_view = False

    def __repr__(self) -> str:
        view = "view of " if self._is_view else ""
        return f"<AiwynClient {view}{self._session.config.base_url} {self._session.governor!r}>"

    @property
    def config(self) -> Config:
        """The options in force."""
        return self._session.config

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices: list, search, get, get_many."""
        return Invoices(self._session)

    def with_options(self, **options: Unpack[CallOptions]) -> AiwynClient:
        """The same client under other options: a view on its pool, token, concurrency and retry budget.

        Closing the view closes nothing.

        Raises:
            ConfigurationError: an option is unknown, out of bounds, or one that a view cannot change.
        """
        refused = sorted(options.keys() - CallOptions.__annotations__.keys())
        if refused:
            raise ConfigurationError(
                f"with_options() cannot change {refused[0]!r}; it can change "
                f"{', '.join(sorted(CallOptions.__annotations__))}"
            )
        view = object.__new__(AiwynClient)
        view._session = self._session.view(msgspec.structs.replace(self.config, **options))
        view._is_view = True
        return view

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Calling it again does nothing; later requests raise ClientClosedError."""
        if self._is_view:
            return
        if self._session.tokens is not None:
            await self._session.tokens.aclose()
        await self._session.transport.aclose()

    def __del__(self) -> None:
        session = self.__dict__.get("_session")
        if session is not None and not self._is_view and session.transport.is_open:
            warnings.warn(
                "an AiwynClient was dropped while open; use `async with` or call aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def _session(config: Config) -> Session:
    session = Session(
        config,
        Transport(config),
        Governor(config.max_concurrency, config.clock),
        RetryQuota(config.retry_quota),
    )
    session.tokens = _tokens(session)
    return session


def _tokens(session: Session) -> TokenSource:
    config = session.config
    if config.api_key is None:
        assert config.token is not None  # Config has one of the two  # noqa: S101
        return ReadyToken(config.token)
    quick = msgspec.structs.replace(config, deadline=min(config.deadline, TOKEN_EXCHANGE_TIMEOUT))
    return ApiKeyExchange(config.api_key, config, session.view(quick).call)
