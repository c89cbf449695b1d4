"""Timestamps in the form of the wire. Pure: form and microseconds are preserved."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiwyn_async._core.checks import shown
from aiwyn_async._pagination.timestamps import instant_of
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._values import encode_datetime, normalize_timestamp


def to_wire(name: str, value: datetime | str) -> str:
    """Return a timestamp in the form of the wire: in UTC with ``Z``, or naive.

    Args:
        name: the argument, for the error.
        value: a datetime or ISO 8601 text.

    Raises:
        ConfigurationError: it is ``NaT``, or its text is not an ISO 8601 date-time.
    """
    if isinstance(value, datetime):
        return encode_datetime(value, name)
    try:
        instant_of(value)
        return normalize_timestamp(value, name)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{name} must be a datetime or ISO 8601 text, got {shown(value)}") from None


def to_timedelta(value: float | timedelta) -> timedelta:
    """Return an overlap, in seconds or a timedelta, as a timedelta.

    Raises:
        ConfigurationError: it is neither, or negative.
    """
    try:
        overlap = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        overlap = timedelta(-1)
    if overlap < timedelta(0):
        raise ConfigurationError(f"overlap must be a timedelta or seconds, at least 0, got {shown(value)}")
    return overlap


def subtract(text: str, by: timedelta) -> str:
    """Move a timestamp back, not before year 1. Its zone is preserved."""
    if not by:
        return text
    timestamp = datetime.fromisoformat(text)
    try:
        moved = (timestamp - by).isoformat()
    except OverflowError:
        moved = datetime.min.replace(tzinfo=timestamp.tzinfo).isoformat()
    return f"{moved.removesuffix('+00:00')}Z" if text[-1] in "Zz" else moved
