"""Make a dataset of files that several processes wrote, one for each partition of a plan."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiwyn_async._core.checks import check_kind, needs_extra
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._pull.plan import Plan, to_report
from aiwyn_async.errors import ExportError
from aiwyn_async.export._dataset.folder import open_folder
from aiwyn_async.export._dataset.manifest import DatasetFile, DatasetManifest, add_sums
from aiwyn_async.export._dataset.state import MANIFEST, read_manifest
from aiwyn_async.export._manifest import encode_checked


def part_name(number: int) -> str:
    """Return the name of the file of a partition, such as ``part-000007.parquet``."""
    return f"part-{number:06}.parquet"


def commit_parts(
    plan: Plan, reports: Mapping[int, PullReport | str | bytes], to: str | Path
) -> DatasetManifest:
    """Name the files of all partitions in the manifest of a dataset, after reading and verifying them.

    Each partition was exported to ``part_name(partition.number)`` in the folder. Blocks; sends nothing.

    Args:
        plan: the plan.
        reports: the report of each partition, or its JSON, by the number of the partition.
        to: the folder or URL of the files.

    Raises:
        IncompleteError: see ``Plan.commit()``; no manifest is written.
        ExportError: a file is missing, damaged, or does not have exactly the rows of its report.
        ConfigurationError: a report is not valid, or of another plan; or pyarrow is not installed.
    """
    with needs_extra("a dataset needs pyarrow", "arrow"):
        from aiwyn_async.export._dataset.files import read_table, sum_money  # noqa: PLC0415 (needs an extra)
    check_kind("plan", plan, Plan, "a Plan")
    report = plan.commit(reports)
    folder = open_folder(to)
    files: list[DatasetFile] = []
    sums: dict[str, Decimal] = {}
    schema: Any = None
    for partition in plan.partitions:
        name = part_name(partition.number)
        content = folder.read(name) or b""
        table = read_table(content)
        _check_part(f"{folder.name}/{name}", table, schema, partition.number, reports)
        schema = table.schema
        files.append(DatasetFile(name, table.num_rows, len(content), zlib.crc32(content)))
        sums = add_sums(sums, sum_money(table))
    manifest = DatasetManifest(
        run="plan",
        columns=str(schema),
        server="",
        endpoint=plan.partitions[0].endpoint,
        query=plan.partitions[0].fingerprint,
        files=tuple(files),
        sums=sums,
        pull_report=report,
        finished_at=time.time(),
    )
    folder.write(MANIFEST, encode_checked(manifest))
    return read_manifest(to)


def _check_part(
    path: str, table: Any, schema: Any, number: int, reports: Mapping[int, PullReport | str | bytes]
) -> None:
    """Refuse the table of a file that does not have the rows of its report, or has another schema."""
    if table is None:
        raise ExportError(f"{path} is missing or damaged; export partition {number} again")
    report = to_report(number, reports[number])
    rows = report.rows_yielded - report.bad_rows
    if table.num_rows != rows:
        raise ExportError(
            f"{path} has {table.num_rows} rows, but its report has {rows}; export partition {number} again"
        )
    if schema is not None and table.schema != schema:
        raise ExportError(
            f'{path} has other columns than the files before it; pass ids="text" to each export()'
        )
