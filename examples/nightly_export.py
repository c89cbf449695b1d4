"""Export invoices and payments to Parquet files, every night.

Against a sandbox:

    python examples/in_sandbox.py examples/nightly_export.py

Against a tenant, from cron or a systemd timer:

    AIWYN_BASE_URL=https://... AIWYN_API_KEY=... EXPORT_FOLDER=/data/aiwyn python nightly_export.py

A file is replaced only after every row of the new one is written. After an error or a SIGTERM, it is still
that of the night before, and the next run within 12 hours continues where this one stopped.

Exit codes: 0 complete; 16 invoices are missing, 32 payments, 48 both; 2 configuration; 143 terminated.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from enum import IntFlag
from pathlib import Path

from aiwyn_async import AiwynClient, AiwynError, ConfigurationError, Progress
from aiwyn_async.export import Readable, export

SECONDS_PER_LINE = 5

log = logging.getLogger("nightly_export")


class Missing(IntFlag):
    """The files that are not of this run. Python itself never exits with these codes."""

    INVOICES = 16
    PAYMENTS = 32


def progress_of(name: str) -> Callable[[Progress], None]:
    """Return a function that logs the progress of an export, but not for each page."""
    next_line = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + SECONDS_PER_LINE
            log.info("%s: %d rows of %s", name, progress.rows, progress.total or "?")

    return on_progress


async def export_all(folder: Path) -> Missing:
    missing = Missing(0)
    async with AiwynClient() as aiwyn:
        # With strict=True, a read that is not proven complete is an error: no file is replaced.
        reads: dict[Missing, Readable] = {
            Missing.INVOICES: aiwyn.invoices.pull(strict=True),
            Missing.PAYMENTS: aiwyn.payments.pull(strict=True),
        }
        for resource, rows in reads.items():
            name = str(resource.name).lower()
            path = folder / f"{name}.parquet"
            try:
                result = await export(rows, path, replace=True, ids="text", on_progress=progress_of(name))
            except AiwynError as error:  # the next resource may still succeed
                log.error("%s: %s", name, error)
                missing |= resource
            else:
                log.info("%s: %s", path, result.report)
    return missing


async def main() -> int:
    exporting = asyncio.create_task(export_all(Path(os.environ.get("EXPORT_FOLDER", "."))))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, exporting.cancel)
    try:
        return await exporting
    except ConfigurationError as error:
        log.error("%s", error)
        return 2
    except asyncio.CancelledError:
        log.warning("terminated; the next run continues")
        return 128 + signal.SIGTERM


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)  # without the log of each request
    sys.exit(asyncio.run(main()))
