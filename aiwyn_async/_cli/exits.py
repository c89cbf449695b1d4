"""Exit codes."""

from __future__ import annotations

import enum
from typing import Final

from aiwyn_async.errors import (
    AiwynError,
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    TokenExchangeError,
    TransportError,
)

__all__ = ["Exit", "exit_of"]


class Exit(enum.IntEnum):
    """What the process ends with."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CREDENTIALS = 3
    NOT_FOUND = 4
    INCOMPLETE = 5
    RATE_LIMIT = 6
    NETWORK = 7
    INTERRUPTED = 130
    TERMINATED = 143


_EXITS: Final[tuple[tuple[type[AiwynError], Exit], ...]] = (
    (ConfigurationError, Exit.USAGE),
    (AuthenticationError, Exit.CREDENTIALS),
    (PermissionDeniedError, Exit.CREDENTIALS),
    (NotFoundError, Exit.NOT_FOUND),
    (IncompleteError, Exit.INCOMPLETE),
    (RateLimitError, Exit.RATE_LIMIT),
    (TransportError, Exit.NETWORK),
)


def exit_of(error: AiwynError) -> Exit:
    """The exit code of an error; a failed token exchange ends as its cause would."""
    if isinstance(error, TokenExchangeError) and isinstance(error.__cause__, AiwynError):
        return exit_of(error.__cause__)
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILURE)
