"""Instants as a server shows them, maybe coarser than it compares: text in, text out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from aiwyn_async.filters._values import parse_iso

DAY_LENGTH: Final = len("2024-01-15")
DIGITS: Final = 6
"""Of a second's fraction, in Postgres and in Python."""

_PARTS: Final = re.compile(
    r"\s*(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:(?P<time>[Tt ]\d\d:\d\d)(?P<seconds>:\d\d(?:[.,](?P<fraction>\d+))?)?"
    r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?\s*"
)


def instant_of(text: str) -> datetime:
    """Parse a text to compare it with others; one without a zone counts as UTC.

    Raises:
        ValueError: it is not an ISO 8601 date-time.
    """
    instant = _parse(text)
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def has_zone(text: str) -> bool:
    """Return whether the text of an instant has a time zone."""
    return _parse(text).tzinfo is not None


def _parse(text: str) -> datetime:
    return parse_iso(text.strip())


def instant_or_none(value: object) -> datetime | None:
    """Parse a value as ``instant_of()`` does; None if it is not the text of an instant."""
    try:
        return instant_of(value) if isinstance(value, str) else None
    except ValueError:
        return None


def is_instant(value: object) -> bool:
    """Return whether a value is the text of an instant."""
    return instant_or_none(value) is not None


def shown_unit(text: str) -> timedelta:
    """Return the step between instants of as many digits: a day, a second or less.

    Example:
        >>> shown_unit("2024-01-15T10:30:00.12Z")
        datetime.timedelta(microseconds=10000)
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        return timedelta(microseconds=1)
    if match["time"] is None:
        return timedelta(days=1)
    if match["seconds"] is None:
        return timedelta(minutes=1)
    return timedelta(microseconds=10 ** max(0, DIGITS - len(match["fraction"] or "")))


def digits_shown(text: str) -> int:
    """Return how many digits of the second's fraction a text has; -1 if it has no seconds."""
    match = _PARTS.fullmatch(text)
    return -1 if match is None or match["seconds"] is None else len(match["fraction"] or "")


def with_digits(text: str, digits: int) -> str:
    """Return the same instant with at least so many digits, if it has a time; -1 is without seconds.

    Example:
        >>> with_digits("2024-01-15T10:30:00.5Z", 3)
        '2024-01-15T10:30:00.500Z'
    """
    match = _PARTS.fullmatch(text)
    fraction = "" if match is None else match["fraction"] or ""
    if match is None or match["time"] is None or digits_shown(text) >= digits:
        return text
    time, zone = match["time"] + (match["seconds"] or ":00")[:3], match["zone"] or ""
    return f"{match['day']}{time}{f'.{fraction:0<{digits}}' if digits else ''}{zone}"


def first_shown_as(text: str) -> str:
    """Return the earliest instant shown by this text, even if rounded up.

    Example:
        >>> first_shown_as("2024-01-15T10:30:00Z")
        '2024-01-15T10:29:59Z'
    """
    first = subtract(text, shown_unit(text))
    return first[:DAY_LENGTH] if len(text.strip()) == DAY_LENGTH else first


def subtract(text: str, by: timedelta) -> str:
    """Move a timestamp back, not before year 1. Its zone is preserved."""
    if not by:
        return text
    timestamp = _parse(text)
    try:
        moved = (timestamp - by).isoformat()
    except OverflowError:
        moved = datetime.min.replace(tzinfo=timestamp.tzinfo).isoformat()
    return f"{moved.removesuffix('+00:00')}Z" if text[-1] in "Zz" else moved


def last_shown_as(text: str) -> str:
    """Return the last instant shown by this text, if columns hold microseconds.

    Example:
        >>> last_shown_as("2024-01-15T10:30:00.12Z")
        '2024-01-15T10:30:00.129999Z'
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        return text
    time, seconds, zone = match["time"], match["seconds"], match["zone"] or ""
    if time is None:
        return f"{match['day']}T23:59:59.{'9' * DIGITS}"
    if seconds is None:
        return f"{match['day']}{time}:59.{'9' * DIGITS}{zone}"
    if len(match["fraction"] or "") >= DIGITS:
        return text
    return f"{match['day']}{time}{seconds[:3]}.{(match['fraction'] or '').ljust(DIGITS, '9')}{zone}"
