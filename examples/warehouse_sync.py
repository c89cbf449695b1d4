"""Keep engagements, invoices and payments in a DuckDB file up to date.

Against a sandbox, twice, so that the second run reads only the invoices that changed:

    python examples/in_sandbox.py examples/warehouse_sync.py examples/warehouse_sync.py

Against a tenant, as often as you need:

    AIWYN_BASE_URL=https://... AIWYN_API_KEY=... WAREHOUSE=/data/firm.duckdb python warehouse_sync.py

Changes do not show deletions, so once a week all keys are compared, and deleted rows get a `_deleted_at`.
A run that is killed is continued by the next one.

Exit codes: 0 complete; 5 a table is not proven complete, for the reasons on stderr.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import duckdb

from aiwyn_async import AiwynClient, AiwynError
from aiwyn_async.sync import sync

WEEK = 7 * 86400


async def sync_all(path: Path, *, reconcile_deletes: bool) -> bool:
    """Return True if every table is proven complete."""
    complete = True
    async with AiwynClient() as aiwyn:
        for resource in (aiwyn.engagements, aiwyn.invoices, aiwyn.payments):
            try:
                result = await sync(resource, path, reconcile_deletes=reconcile_deletes)
            except AiwynError as error:  # rows received before are in the table
                print(error, file=sys.stderr)
                complete = False
                continue
            print(f"{result.table}: {result.inserted} inserted, {result.updated} updated")
            if result.deleted is not None:
                print(f"{result.table}: {result.deleted} deleted on the server")
            for problem in result.problems:
                print(f"{result.table}: {problem}", file=sys.stderr)
            complete = complete and result.complete
    return complete


def print_totals(path: Path) -> None:
    """Print sums of DECIMAL columns, which DuckDB computes exactly and Python receives as Decimal."""
    with duckdb.connect(path, read_only=True) as file:
        totals = file.sql("""
            SELECT currency, status, count(*), sum(totalAmount), sum(outstandingAmount)
            FROM invoices WHERE _deleted_at IS NULL GROUP BY ALL ORDER BY ALL
        """)
        for currency, status, count, total, outstanding in totals.fetchall():
            print(f"{status:10} {count:6} invoices  {total:20,.2f}  {outstanding:20,.2f} open  {currency}")


def main() -> int:
    path = Path(os.environ.get("WAREHOUSE", "warehouse.duckdb"))
    reconciled = path.with_suffix(".reconciled")  # its time is that of the last run that looked for deletions
    is_due = not reconciled.exists() or time.time() - reconciled.stat().st_mtime > WEEK
    if not asyncio.run(sync_all(path, reconcile_deletes=is_due)):
        return 5
    if is_due:
        reconciled.touch()
    print_totals(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
