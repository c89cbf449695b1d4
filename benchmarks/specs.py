"""What a client is given: which rows are served, how, and under which address."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Spec:
    """What one port of the page server serves. Latency is in milliseconds."""

    rows: int
    latency: float = 0.0
    gzip: bool = False
    tls: bool = False


@dataclass(frozen=True)
class Served:
    """A port that serves, and what a whole pull of it has to add up to."""

    spec: Spec
    url: str
    api_key: str
    authority: str | None
    first_id: int
    total: Decimal

    @property
    def ids(self) -> int:
        """The sum of all ids."""
        return self.spec.rows * (2 * self.first_id + self.spec.rows - 1) // 2
