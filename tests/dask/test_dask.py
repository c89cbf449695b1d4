"""Reads by the workers of a Dask cluster in processes, one of which is killed."""

# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, ClientClosedError, ConfigurationError, Plan
from aiwyn_async.export import read_manifest
from aiwyn_async.sandbox import Sandbox
from in_flight import InFlight

distributed: Any = pytest.importorskip("distributed")

from aiwyn_async.dask import _ClientPlugin, export_parts, read_parts  # noqa: E402 (it needs an extra)

LIMIT = 3


class Firm(NamedTuple):
    box: Sandbox
    in_flight: InFlight
    plan: Plan
    ids: list[int]


@pytest.fixture(scope="module")
def firm() -> Iterator[Firm]:
    box = Sandbox(invoices=6000, seed=7, latency=0.01)
    in_flight = InFlight(box)

    async def make_plan() -> Plan:
        async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
            return await aiwyn.invoices.plan(parts=12, page_size=100, strict=True)

    with box:
        plan = asyncio.run(make_plan())
        ids = sorted(int(str(key)) for (key,) in box.query("SELECT id FROM invoices"))
        yield Firm(box, in_flight, plan, ids)


@pytest.fixture(scope="module")
def cluster(firm: Firm) -> Iterator[Any]:
    """A cluster in processes; its workers alone have the credentials."""
    environment = {"AIWYN_BASE_URL": firm.box.url, "AIWYN_API_KEY": firm.box.api_key}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=4, dashboard_address=":0", silence_logs=50, env=environment
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


def ids_of(parts: list[Any]) -> list[int]:
    return sorted(key for part in parts for key in part.table["id"].to_pylist())


def test_parts_are_the_pull_within_the_limit_of_requests(cluster: Any, firm: Firm) -> None:
    assert "AIWYN_API_KEY" not in os.environ
    firm.in_flight.peak = 0
    parts = cluster.gather(read_parts(firm.plan, cluster, limit=LIMIT))
    assert ids_of(parts) == firm.ids
    report = firm.plan.commit({part.number: part.report for part in parts})
    assert report.complete
    assert firm.in_flight.peak == LIMIT
    exchanges = firm.box.token_exchanges
    cluster.gather(read_parts(firm.plan, cluster, limit=LIMIT))
    assert firm.box.token_exchanges == exchanges, "each worker keeps its client"


def test_results_of_a_killed_worker_are_read_again(cluster: Any, firm: Firm) -> None:
    futures = read_parts(firm.plan, cluster, limit=LIMIT)
    distributed.wait(futures)
    address, pid = next(iter(cluster.run(os.getpid).items()))
    lost = [key for key, holders in cluster.who_has(futures).items() if tuple(holders) == (address,)]
    assert lost
    firm.in_flight.peak = 0
    os.kill(pid, signal.SIGKILL)
    parts = cluster.gather(futures)
    assert ids_of(parts) == firm.ids
    assert firm.plan.commit({part.number: part.report for part in parts}).complete
    assert 0 < firm.in_flight.peak <= LIMIT


def test_exported_parts_send_no_request_again(cluster: Any, firm: Firm, tmp_path: Path) -> None:
    first = export_parts(firm.plan, tmp_path, cluster, limit=LIMIT, ids="text")
    sent = len(firm.box.requests)
    again = export_parts(firm.plan, tmp_path, cluster, limit=LIMIT, ids="text")
    assert len(firm.box.requests) == sent
    assert (again.files, again.report) == (first.files, first.report)
    assert first.report is not None and first.report.complete  # noqa: PT018 (for the type checker)
    assert read_manifest(tmp_path).paths == first.paths
    table = pq.read_table(tmp_path)
    assert sorted(table["id"].to_pylist()) == sorted(map(str, firm.ids))


def test_error_of_a_worker_is_raised(cluster: Any, firm: Firm, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="limit must be an integer"):
        export_parts(firm.plan, tmp_path, cluster, limit=0)
    with pytest.raises(ConfigurationError, match="profile"):
        read_parts(firm.plan, cluster, connect=lambda: AiwynClient(profile="missing"))


async def test_client_is_closed_when_its_worker_ends(firm: Firm) -> None:
    plugin = _ClientPlugin(lambda: AiwynClient(base_url=firm.box.url, api_key=firm.box.api_key))
    worker: Any = None
    plugin.setup(worker)
    await plugin.client.invoices.list().first()
    await plugin.teardown(worker)
    with pytest.raises(ClientClosedError):
        await plugin.client.invoices.list().first()
