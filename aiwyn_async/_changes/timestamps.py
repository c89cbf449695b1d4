"""Instants as the wire spells them. Pure: text in, text of the same form out, not a microsecond lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiwyn_async._pagination.timestamps import first_shown_as, instant_of, last_shown_as, shown_unit
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._values import encode_datetime, normalize_timestamp

__all__ = [
    "earliest",
    "first_shown_as",
    "instant_of",
    "last_shown_as",
    "shown_unit",
    "subtract",
    "to_timedelta",
    "to_wire",
]


def to_wire(name: str, value: datetime | str) -> str:
    """Return a caller's instant as it is sent: in UTC with ``Z``, or naive if it has no offset.

    Raises:
        ConfigurationError: it is not a time (``NaT``), or the text is not an ISO 8601 date-time.
    """
    if isinstance(value, datetime):
        return encode_datetime(value, name)
    try:
        instant_of(value)
        return normalize_timestamp(value, name)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{name} must be a datetime or ISO 8601 text, not {value!r}") from None


def to_timedelta(value: float | timedelta) -> timedelta:
    """Seconds or a timedelta as the latter.

    Raises:
        ConfigurationError: it is neither, or negative.
    """
    try:
        found = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        found = timedelta(-1)
    if found < timedelta(0):
        raise ConfigurationError(f"overlap must be seconds or a timedelta, of at least 0, not {value!r}")
    return found


def earliest(one: str, other: str) -> str:
    """The text that means the earlier instant; the first when both mean the same."""
    return other if instant_of(other) < instant_of(one) else one


def subtract(text: str, by: timedelta) -> str:
    """An instant so much earlier, or the first there is; naive if it was, in the zone it had."""
    if not by:
        return text
    found = datetime.fromisoformat(text)
    try:
        moved = (found - by).isoformat()
    except OverflowError:
        moved = datetime.min.replace(tzinfo=found.tzinfo).isoformat()
    return f"{moved.removesuffix('+00:00')}Z" if text[-1] in "Zz" else moved
