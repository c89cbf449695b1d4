"""What a firm's data may hold besides the plain case: currencies, refunds, missing clients, syncs in bursts.

The vendor's public help centre describes each of these for the product. How the API shows them is not
documented; these forms are our inference.
"""

import zlib
from dataclasses import dataclass

from .sql import MICRO

__all__ = ["FirmOptions"]

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class FirmOptions:
    """What is special about a firm. Each option is off by default, and none changes the number of invoices.

    Args:
        currencies: The currencies of the clients, which take turns. A client has one, and so have its
            invoices and their payments; never sum amounts across currencies.
        refunds: The share of the paid invoices, 0 to 1, of which a part was refunded: a negative line, and a
            negative payment. A draft shows its invoice without the refund.
        missing_clients: The share of the clients, 0 to 1, that were never taken in: their invoices have a
            `clientId` that leads to no client.
        sync_minutes: The minutes between two syncs with the practice management system, 1 to 1440. Five to
            ten are usual, for some systems four to 24 hours. `updatedAt` is the time of the sync that brought
            a change, so many rows share one. The rows of one call of `Sandbox.insert` arrive in one sync.
        full_refresh: The last sync was a full refresh: all rows of a resource share one `updatedAt`.
    """

    currencies: tuple[str, ...] = ("USD",)
    refunds: float = 0.0
    missing_clients: float = 0.0
    sync_minutes: int | None = None
    full_refresh: bool = False

    def __post_init__(self) -> None:
        if not self.currencies or not all(len(code) == 3 and code.isupper() for code in self.currencies):
            raise ValueError("currencies must be codes of three capital letters, such as USD, CAD or GBP")
        for name, share in (("refunds", self.refunds), ("missing_clients", self.missing_clients)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {share}")
        if self.sync_minutes is not None and not 1 <= self.sync_minutes <= _DAY_MINUTES:
            raise ValueError(f"sync_minutes must be from 1 to {_DAY_MINUTES}, got {self.sync_minutes}")

    @property
    def fingerprint(self) -> int:
        """A number that a file keeps, to be opened with the same options only; 0 for the plain case."""
        return 0 if self == FirmOptions() else zlib.crc32(repr(self).encode())

    @property
    def step_us(self) -> int:
        """Microseconds from the latest change to the next one."""
        return MICRO if self.sync_minutes is None else self.sync_minutes * 60 * MICRO
