"""What a client reads: the rows, how they are served, and the address."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Spec:
    """The content of one port of the page server. Latency is in milliseconds."""

    rows: int
    latency: float = 0.0
    gzip: bool = False
    tls: bool = False


@dataclass(frozen=True)
class Served:
    """An open port, and the sums that a complete pull must have."""

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
