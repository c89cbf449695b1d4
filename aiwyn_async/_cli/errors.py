"""The exit codes of errors of the library."""

from __future__ import annotations

import enum
from typing import Final

from aiwyn_async._cli.translations import to_flags
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


class ExitCode(enum.IntEnum):
    """The exit codes of all commands, besides those of ``Termination``."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CREDENTIALS = 3
    NOT_FOUND = 4
    INCOMPLETE = 5
    RATE_LIMIT = 6
    NETWORK = 7
    BROKEN_PIPE = 141


_EXIT_CODES: Final[tuple[tuple[type[AiwynError], ExitCode], ...]] = (
    (ConfigurationError, ExitCode.USAGE),
    (AuthenticationError, ExitCode.CREDENTIALS),
    (PermissionDeniedError, ExitCode.CREDENTIALS),
    (NotFoundError, ExitCode.NOT_FOUND),
    (IncompleteError, ExitCode.INCOMPLETE),
    (RateLimitError, ExitCode.RATE_LIMIT),
    (TransportError, ExitCode.NETWORK),
)


def exit_code_for(error: AiwynError) -> ExitCode:
    """Return the exit code of an error, or of the cause of a failed token exchange."""
    if isinstance(error, TokenExchangeError) and isinstance(error.__cause__, AiwynError):
        return exit_code_for(error.__cause__)
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILURE)


def error_text(error: AiwynError) -> str:
    """Return the text of an error with its notes, and with flags instead of arguments."""
    return "; ".join([to_flags(str(error)), *getattr(error, "__notes__", ())])
