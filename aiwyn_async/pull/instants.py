"""Instants as the wire spells them. Pure: text in, text of the same form out, not a microsecond lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from aiwyn_async.errors import ConfigurationError

__all__ = ["as_overlap", "as_text", "earlier", "instant_of", "last_shown_as", "moved_back"]

DIGITS: Final = 6
"""Of a second's fraction, in Postgres and in Python."""

_PARTS: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:(?P<time>[Tt ]\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?"
)


def as_text(name: str, value: datetime | str) -> str:
    """A caller's instant as the wire has it; a naive one stays naive.

    Raises:
        ConfigurationError: the text is no ISO 8601 date-time.
    """
    if isinstance(value, datetime):
        text = value.isoformat()
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
    try:
        instant_of(value)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(f"{name} must be a datetime or ISO 8601 text, not {value!r}") from None
    return value


def as_overlap(value: float | timedelta) -> timedelta:
    """Seconds or a timedelta as the latter.

    Raises:
        ConfigurationError: it is neither, or negative.
    """
    try:
        found = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (TypeError, ValueError, OverflowError):
        found = timedelta(-1)
    if found < timedelta(0):
        raise ConfigurationError(f"overlap must be seconds or a timedelta, of at least 0, not {value!r}")
    return found


def instant_of(text: str) -> datetime:
    """What a text means, to compare it with others: one without a zone counts as UTC.

    Raises:
        ValueError: it is no ISO 8601 date-time.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def earlier(one: str, other: str) -> str:
    """The text that means the earlier instant; the first when both mean the same."""
    return other if instant_of(other) < instant_of(one) else one


def moved_back(text: str, by: timedelta) -> str:
    """An instant so much earlier, or the first there is; naive if it was, in the zone it had."""
    if not by:
        return text
    found = datetime.fromisoformat(text)
    try:
        moved = (found - by).isoformat()
    except OverflowError:
        moved = datetime.min.replace(tzinfo=found.tzinfo).isoformat()
    return f"{moved.removesuffix('+00:00')}Z" if text[-1] in "Zz" else moved


def last_shown_as(text: str) -> str:
    """The last instant that a server may show by this text, whose own columns hold microseconds.

    Example:
        >>> last_shown_as("2024-01-15T10:30:00.12Z")
        '2024-01-15T10:30:00.129999Z'
    """
    found = _PARTS.fullmatch(text)
    if found is None:
        return text
    time, fraction, zone = found["time"], found["fraction"] or "", found["zone"] or ""
    if time is None:
        return f"{text}T23:59:59.{'9' * DIGITS}"
    if len(fraction) >= DIGITS:
        return text
    return f"{found['day']}{time}.{fraction.ljust(DIGITS, '9')}{zone}"
