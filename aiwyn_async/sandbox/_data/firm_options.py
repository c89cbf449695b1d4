"""Options of a firm's data: currencies, refunds, missing clients and syncs.

The vendor's public help centre describes each of these for the product. How the API shows them is inferred.
"""

import zlib
from dataclasses import dataclass

from aiwyn_async.sandbox._checks import check_fields
from aiwyn_async.sandbox._declarations.sql import MICRO

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class FirmOptions:
    """Special properties of a firm; none changes the number of invoices.

    Args:
        currencies: The currencies of the clients, in turn. All invoices and payments of a client share its
            currency; never sum amounts across currencies.
        refunds: Share of the paid invoices, 0 to 1, that are partly refunded: they have a negative line and a
            negative payment. A draft shows its invoice without the refund.
        missing_clients: Share of the clients, 0 to 1, that do not exist: their invoices have a ``clientId``
            without a client.
        sync_minutes: Minutes between two syncs with the practice management system, 1 to 1440. Usual are 5 to
            10, for some systems 4 to 24 hours. ``updatedAt`` is the time of the sync that wrote a change, so
            many rows share one. The rows of one call of ``Sandbox.insert`` belong to one sync.
        full_refresh: The last sync was a full refresh: all rows of a resource share one ``updatedAt``.
    """

    currencies: tuple[str, ...] = ("USD",)
    refunds: float = 0.0
    missing_clients: float = 0.0
    sync_minutes: int | None = None
    full_refresh: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.currencies or not all(len(code) == 3 and code.isupper() for code in self.currencies):
            raise ValueError("currencies must be codes of three capital letters, such as USD, CAD or GBP")
        for name, share in (("refunds", self.refunds), ("missing_clients", self.missing_clients)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}")
        if self.sync_minutes is not None and not 1 <= self.sync_minutes <= _DAY_MINUTES:
            raise ValueError(f"sync_minutes must be between 1 and {_DAY_MINUTES}, got {self.sync_minutes}")

    @property
    def fingerprint(self) -> int:
        """A checksum stored in the file of a firm; 0 without options."""
        return 0 if self == FirmOptions() else zlib.crc32(repr(self).encode())

    @property
    def step_us(self) -> int:
        """Microseconds from the latest change to the next one."""
        return MICRO if self.sync_minutes is None else self.sync_minutes * 60 * MICRO
