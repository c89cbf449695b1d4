"""Create the session of a client: its connections, limits and token."""

from __future__ import annotations

from typing import Final

import msgspec

from aiwyn_async._http.auth import ApiKeyExchange, ProvidedToken, ReadyToken
from aiwyn_async._http.concurrency import ConcurrencyLimiter
from aiwyn_async._http.retry import RetryBudget
from aiwyn_async._http.session import Session
from aiwyn_async._http.transport import Transport
from aiwyn_async.config import Config, Secret

TOKEN_EXCHANGE_TIMEOUT: Final = 30.0


def create_session(config: Config) -> Session:
    """Return the session of a new client. Opens nothing."""
    session = Session(
        config,
        Transport(config),
        ConcurrencyLimiter(config.max_concurrency, config.clock),
        RetryBudget(config.retry_budget),
    )
    if config.api_key is not None:
        quick = msgspec.structs.replace(config, deadline=TOKEN_EXCHANGE_TIMEOUT)
        session.tokens = ApiKeyExchange(config.api_key, config, session.view(quick).call)
    elif isinstance(config.token, Secret):
        session.tokens = ReadyToken(config.token)
    elif config.token is not None:
        session.tokens = ProvidedToken(config.token, config, TOKEN_EXCHANGE_TIMEOUT)
    return session
