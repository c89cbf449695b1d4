"""What a pull makes of a request that failed after its attempts."""

from __future__ import annotations

from typing import Final

import msgspec

from aiwyn_async._http.session import Session
from aiwyn_async.errors import (
    ApiError,
    DecodeError,
    RequestError,
    ResponseTooLargeError,
    StatusError,
    TransportError,
)

__all__ = ["ATTEMPTS_PER_PAGE", "can_be_the_size", "summary", "with_attempts"]

ATTEMPTS_PER_PAGE: Final = 6
"""A page of a pull may cost more patience than a single request: so much more is lost with it."""


def with_attempts(session: Session, attempts: int) -> Session:
    """A view with as many attempts; who turned retries off gets none."""
    config = session.config
    retries = 0 if config.retries == 0 else max(config.retries, attempts - 1)
    return session.view(msgspec.structs.replace(config, retries=retries))


def can_be_the_size(error: RequestError) -> bool:
    """True for what a smaller page may not run into."""
    if isinstance(error, StatusError):
        return error.status >= 500 or error.status in {408, 413}
    return isinstance(error, (TransportError, ResponseTooLargeError, ApiError, DecodeError))


def summary(error: RequestError) -> str:
    """The error in one line, for a report."""
    return f"{type(error).__name__}: {error.args[0]}"
