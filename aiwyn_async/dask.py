"""Read the partitions of a plan with the workers of a Dask cluster. Needs the extra ``dask``."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

try:
    import pyarrow as pa
    from dask.base import tokenize
    from distributed import Client, Future, Semaphore, Worker, WorkerPlugin, get_worker
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] not in {"dask", "distributed", "pyarrow"}:
        raise
    raise ModuleNotFoundError(
        'aiwyn_async.dask is an extra; run: pip install "aiwyn-async[dask]"', name=_error.name
    ) from None

from aiwyn_async._core.checks import check_callback, check_kind, check_positive
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._pull.plan import Partition, Plan
from aiwyn_async._pull.pull import Pull
from aiwyn_async.client import AiwynClient
from aiwyn_async.export import DatasetManifest, commit_parts, export, part_name

__all__ = ["Part", "export_parts", "read_parts"]

Connect = Callable[[], AiwynClient]


class Part(NamedTuple):
    """The rows of a partition, and the report of their read."""

    number: int
    table: pa.Table
    report: PullReport


def export_parts(
    plan: Plan,
    folder: str | Path,
    cluster: Client,
    *,
    limit: int = 8,
    connect: Connect = AiwynClient,
    retries: int = 3,
    **options: Any,
) -> DatasetManifest:
    """Write each partition to a Parquet file, and return the manifest of the dataset that they are.

    Run again with the same plan after an error: finished parts send no request, and unfinished ones are
    continued. The files of another plan are refused.

    Args:
        plan: what to read.
        folder: an existing folder that all workers and this process reach, one per plan.
        cluster: a synchronous ``distributed.Client``.
        limit: maximum number of requests in flight, over all workers.
        connect: makes the client of a worker, by default from its environment or profile; picklable.
        retries: how often a partition is read again after an error. A lost worker is not an error.
        **options: of ``export()``, such as ``date_columns``.

    Raises:
        AiwynError: a partition failed after its retries, or ``connect`` raised it.
    """
    consume = partial(_to_file, folder=Path(folder).absolute(), **options)
    futures = _submit(consume, plan, cluster, limit=limit, connect=connect, retries=retries)
    reports: Any = cluster.gather(futures)
    numbers = [each.number for each in plan.partitions]
    return commit_parts(plan, dict(zip(numbers, reports, strict=True)), folder)


def read_parts(
    plan: Plan, cluster: Client, *, limit: int = 8, connect: Connect = AiwynClient, retries: int = 3
) -> list[Future[Any]]:
    """Read each partition into an Arrow table on a worker, and return the futures of its ``Part``.

    A table that is lost with its worker is read again. Pass the reports of all parts to ``plan.commit()``.
    """
    return _submit(_to_table, plan, cluster, limit=limit, connect=connect, retries=retries)


class _ClientPlugin(WorkerPlugin):
    """The client of one worker, closed when the worker ends."""

    idempotent = True

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 (the signature of dask)
        self.client = self._connect()

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 (the signature of dask)
        await self.client.aclose()


def _submit(
    consume: Any, plan: Plan, cluster: Client, *, limit: int, connect: Connect, retries: int
) -> list[Future[Any]]:
    check_kind("plan", plan, Plan, "a Plan")
    check_positive("limit", limit)
    check_callback("connect", connect)
    plugin, run = f"aiwyn-{tokenize(connect)}", f"aiwyn-{uuid4().hex}"
    cluster.register_plugin(_ClientPlugin(connect), name=plugin)
    submit = partial(cluster.submit, _run, consume, plugin, limit, run, retries=retries, pure=False)
    return [submit(each, key=f"{run}-{each.number}") for each in plan.partitions]


async def _run(consume: Any, plugin: str, limit: int, run: str, partition: Partition) -> Any:
    """Read a partition with one request at a time, while it has one of the leases of the run."""
    # Created here: a semaphore that is unpickled outside of a task does not renew its leases.
    async with Semaphore(limit, run):
        worker_plugin: Any = get_worker().plugins[plugin]
        return await consume(worker_plugin.client.read(partition, ranges=1), partition.number)


async def _to_file(pull: Pull[Any], number: int, folder: Path, **options: Any) -> PullReport:
    await export(pull, folder / part_name(number), resume=True, **options)
    return pull.report


async def _to_table(pull: Pull[Any], number: int) -> Part:
    table: Any = await asyncio.to_thread(pa.table, pull)
    return Part(number, table, pull.report)
