"""What clients still have to pay. ``python receivables.py`` prints the sum."""

import asyncio
from decimal import Decimal

from aiwyn_async import AiwynClient


async def outstanding(aiwyn: AiwynClient) -> Decimal:
    """Return what is left to pay of all posted invoices."""
    total = Decimal(0)
    async for invoice in aiwyn.invoices.list(status="POSTED", page_size=10):
        total += invoice.outstanding_amount or 0
    return total


async def main() -> None:
    """Print the sum; AIWYN_BASE_URL and AIWYN_API_KEY name the server and the key."""
    async with AiwynClient() as aiwyn:
        print(await outstanding(aiwyn))


if __name__ == "__main__":
    asyncio.run(main())
