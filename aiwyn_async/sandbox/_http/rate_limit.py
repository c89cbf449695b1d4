"""The rate limit over all routes."""

from collections.abc import Callable
from dataclasses import dataclass

from aiwyn_async.sandbox._checks import check_fields

MAX_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rate limit over all routes.

    Args:
        per_second: Requests per second.
        burst: Maximum number of requests at once.
    """

    per_second: float
    burst: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.per_second <= MAX_PER_SECOND or self.burst < 1:
            raise ValueError(f"per_second must be above 0, at most {MAX_PER_SECOND}, and burst at least 1")


class TokenBucket:
    """The remaining requests of a ``RateLimit``."""

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self.refill()

    def refill(self) -> None:
        """Allow a whole burst again."""
        self._level = float(self._limit.burst)
        self._filled = self._monotonic()

    def take(self) -> float:
        """Return 0 if the request is allowed, or the seconds until one is."""
        now = self._monotonic()
        self._level = min(self._limit.burst, self._level + (now - self._filled) * self._limit.per_second)
        self._filled = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._limit.per_second
