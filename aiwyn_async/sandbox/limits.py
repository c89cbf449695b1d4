"""The rate limit: a token bucket over all routes."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bucket", "RateLimit"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket over all routes.

    Args:
        per_second: Requests refilled each second.
        burst: Requests the full bucket holds.
    """

    per_second: float
    burst: int = 1

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("a rate limit needs per_second above 0 and a burst of at least 1")


class Bucket:
    """What a `RateLimit` has left."""

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._level = float(limit.burst)
        self._filled = monotonic()

    def take(self) -> float:
        """Zero when the request may pass, else the seconds until one may."""
        now = self._monotonic()
        self._level = min(self._limit.burst, self._level + (now - self._filled) * self._limit.per_second)
        self._filled = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._limit.per_second
