"""The wait that a server requests, in any of the usual headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

SANE_RETRY_AFTER: Final = 31 * 24 * 3600.0
"""Seconds; a longer wait is ignored as invalid."""
# float() would take inf, nan, 1_0 and digits of other scripts as well.
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]*)?")
# Smaller numbers are seconds from now, larger ones are times since 1970.
FIRST_EPOCH_SECOND: Final = 1e9
FIRST_EPOCH_MILLISECOND: Final = 1e12
THROTTLED_STATUSES: Final = {429, 503, 529}
"""Statuses with which the reset of a rate limit is a reason to wait."""
RESET_HEADERS: Final = ("RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset")


def requested_wait(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the requested wait of a response in seconds; None if there is none.

    ``Retry-After`` takes precedence over a rate limit reset, which counts only if the server throttles.

    Args:
        status: of the response.
        headers: of the response.
        now: wall-clock seconds, for a response without a ``Date``.
    """
    wait = parse_retry_after(headers, now)
    if wait is not None or status not in THROTTLED_STATUSES:
        return wait
    resets = (_until(headers, name, now) for name in RESET_HEADERS)
    return next((seconds for seconds in resets if seconds is not None), None)


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of ``retry-after-ms`` or ``Retry-After``, or None.

    A date is compared with the response's own ``Date``, so that a wrong clock on either side does not matter.
    ``now`` is wall-clock seconds, for a response without one.
    """
    milliseconds = _number(_header(headers, "retry-after-ms"))
    if milliseconds is not None and milliseconds / 1000 <= SANE_RETRY_AFTER:
        return milliseconds / 1000
    return _until(headers, "Retry-After", now)


def asks_to_come_back(headers: Mapping[str, str]) -> bool:
    """Return whether ``Retry-After`` or ``retry-after-ms`` is valid, however long."""
    text = _header(headers, "Retry-After")
    return (
        _number(text) is not None
        or _time_in(text) is not None
        or _number(_header(headers, "retry-after-ms")) is not None
    )


def timestamp_of(text: str) -> float | None:
    """Return the seconds since 1970 of an HTTP date; None if the text is not a date."""
    try:
        date = parsedate_to_datetime(text)
        # The asctime form and the zone -0000 come out naive; HTTP dates are UTC, whatever zone is set here.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _until(headers: Mapping[str, str], name: str, now: float) -> float | None:
    """Return the seconds until what a header names: a delay, a time since 1970 or a date."""
    text = _header(headers, name)
    value = _number(text)
    if value is None:
        value = _time_in(text)
    elif value < FIRST_EPOCH_SECOND:
        return value if value <= SANE_RETRY_AFTER else None
    elif value >= FIRST_EPOCH_MILLISECOND:
        value /= 1000
    if value is None:
        return None
    seconds = max(0.0, value - _server_time(headers, now))
    return seconds if seconds <= SANE_RETRY_AFTER else None


def _time_in(text: str) -> float | None:
    """Return the seconds since 1970 of an HTTP date, or of an ISO 8601 time with an offset or ``Z``."""
    seconds = timestamp_of(text)
    if seconds is None:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return None
        seconds = time.timestamp() if time.tzinfo else None
    return seconds


def _server_time(headers: Mapping[str, str], now: float) -> float:
    sent_at = timestamp_of(_header(headers, "Date"))
    return now if sent_at is None else sent_at


def _header(headers: Mapping[str, str], name: str) -> str:
    # Those of a real response have no case; those of a plain dict do.
    return (headers.get(name) or headers.get(name.lower(), "")).strip()


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None
