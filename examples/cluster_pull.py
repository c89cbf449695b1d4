"""Read all invoices with several worker processes, each of which writes its part of a dataset.

Against a sandbox:

    python examples/in_sandbox.py examples/cluster_pull.py

Against a tenant:

    AIWYN_BASE_URL=https://... AIWYN_API_KEY=... DATASETS=/data/invoices WORKERS=4 python cluster_pull.py

Each run makes a folder such as `20261128T020000Z`, which has a `_manifest.json` once it is complete. After an
error or a kill, run it again: it continues the same plan, and requests nothing for finished parts. To start
again instead, delete the folder.

One process is fast enough in nearly every case; see docs/partitions.md.

Exit codes: 0 complete; 5 rows are missing, from the partitions named on stderr.
"""

import asyncio
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import duckdb

from aiwyn_async import AiwynClient, AiwynError, IncompleteError, Partition, Plan
from aiwyn_async.export import commit_parts, export, part_name


async def make_plan(parts: int) -> Plan:
    async with AiwynClient() as aiwyn:
        return await aiwyn.invoices.plan(parts=parts, strict=True)


def open_run(root: Path, parts: int) -> tuple[Path, Plan]:
    """Return the folder and the plan of the unfinished run, or of a new one."""
    for path in root.glob("*/plan.json"):
        if not path.with_name("_manifest.json").exists():
            return path.parent, Plan.from_json(path.read_text())
    plan = asyncio.run(make_plan(parts))
    folder = root / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True)
    (folder / "plan.tmp").write_text(plan.to_json())
    (folder / "plan.tmp").rename(folder / "plan.json")
    return folder, plan


async def export_part(partition: Partition, folder: Path) -> str:
    async with AiwynClient(max_concurrency=4) as aiwyn:  # per worker; a rate limit is one of all workers
        pull = aiwyn.read(partition)
        try:
            await export(pull, folder / part_name(partition.number), resume=True, ids="text")
        except AiwynError as error:  # the report says what is missing
            print(f"partition {partition.number}: {error}", file=sys.stderr)
        return pull.report.to_json()


def run_part(folder: Path, text: str) -> str:
    """Run in a worker: partitions and reports are text, and credentials those of its environment."""
    return asyncio.run(export_part(Partition.from_json(text), folder))


def main() -> int:
    workers = int(os.environ.get("WORKERS", "2"))
    folder, plan = open_run(Path(os.environ.get("DATASETS", "invoices")), 4 * workers)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        reports = pool.map(partial(run_part, folder), [each.to_json() for each in plan.partitions])
        reports_by_number = dict(enumerate(reports))
    try:
        manifest = commit_parts(plan, reports_by_number, folder)
    except IncompleteError as error:
        print(error, file=sys.stderr)
        return 5
    print(manifest.report)  # every partition was read to its end, with the rows that the server counts
    [(rows, total)] = duckdb.read_parquet(manifest.paths).aggregate("count(*), sum(totalAmount)").fetchall()
    print(f"{folder}: {rows} rows, {total:,.2f} in total")
    return 0 if (rows, total) == (manifest.rows, manifest.sums["totalAmount"]) else 5


if __name__ == "__main__":
    sys.exit(main())
