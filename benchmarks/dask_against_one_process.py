"""Compare a Dask cluster with one process, and kill workers: `python benchmarks/dask_against_one_process.py`.

The sandbox is served by a process of its own, which counts the requests in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from aiohttp import web
from distributed import Client, LocalCluster, wait

from aiwyn_async import AiwynClient, Plan
from aiwyn_async.dask import export_parts, read_parts
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

LIMIT = 8
KILLS = 3
CONDITIONS: dict[str, dict[str, float]] = {
    "no latency": {},
    "20 ms latency": {"latency": 0.02},
    "30 requests/s": {"rate_limit": 30},
}


def serve(pipe: Connection, rows: int, path: str, options: dict[str, Any]) -> None:
    in_flight = {"now": 0, "max": 0}

    @web.middleware
    async def count(request: web.Request, handler: Callable[..., Any]) -> Any:
        in_flight["now"] += 1
        in_flight["max"] = max(in_flight.values())
        try:
            return await handler(request)
        finally:
            in_flight["now"] -= 1

    box = Sandbox(invoices=rows, path=path, log_bodies=False, **options)
    box._app.middlewares.insert(0, count)  # noqa: SLF001 (before all others)
    with box:
        pipe.send((box.url, box.api_key))
        while pipe.recv():
            pipe.send(in_flight["max"])
            in_flight["max"] = 0


@contextmanager
def server(rows: int, folder: Path, options: dict[str, Any]) -> Iterator[Callable[[], int]]:
    """Serve, set the environment of clients, and yield a function that returns the most requests at once."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, rows, str(folder / f"{rows}.sqlite"), options))
    process.start()
    os.environ["AIWYN_BASE_URL"], os.environ["AIWYN_API_KEY"] = pipe.recv()

    def peak() -> int:
        pipe.send("peak")
        return int(pipe.recv())

    try:
        yield peak
    finally:
        pipe.send("")
        process.join()


async def make_plan(parts: int) -> Plan:
    async with AiwynClient() as aiwyn:
        return await aiwyn.invoices.plan(parts=parts, strict=True)


async def export_alone(path: Path) -> None:
    async with AiwynClient(max_concurrency=LIMIT) as aiwyn:
        await export(aiwyn.invoices.pull(strict=True), path)


def seconds(work: Callable[[Path], object]) -> float:
    with tempfile.TemporaryDirectory() as target:
        start = time.perf_counter()
        work(Path(target))
        return time.perf_counter() - start


@contextmanager
def cluster() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=LIMIT // 2, dashboard_address=None) as workers,
        Client(workers) as client,
    ):
        yield client


def compare(rows: int, rounds: int, folder: Path) -> None:
    print(
        f"\n{rows:,} rows into Parquet, at most {LIMIT} requests in flight; seconds, the best of {rounds}\n"
    )
    print("| condition | one process | Dask, 2 workers | most requests in flight |")
    print("|---|---|---|---|")

    def alone(target: Path) -> None:
        asyncio.run(export_alone(target / "invoices.parquet"))

    def together(target: Path) -> None:
        export_parts(asyncio.run(make_plan(16)), target, client, limit=LIMIT)
        ids = pq.read_table(target, columns=["id"])["id"]
        assert len(ids) == len(pc.unique(ids)) == rows

    with cluster() as client:
        for name, options in CONDITIONS.items():
            with server(rows, folder, options) as peak:
                client.restart()  # new workers have the address of the new server
                times = [(seconds(alone), seconds(together)) for _ in range(rounds)]
                one, dask = map(min, zip(*times, strict=True))
                print(f"| {name} | {one:.1f} | {dask:.1f} | {peak()} |", flush=True)


def kill_workers(rows: int, folder: Path) -> None:
    print(f"\n{rows:,} rows into tables on 2 workers, which are killed in turn")
    rng = random.Random(7)
    with server(rows, folder, {}) as peak, cluster() as client:
        plan = asyncio.run(make_plan(64))
        peak()
        start = time.perf_counter()
        futures = read_parts(plan, client, limit=LIMIT)
        lost = 0
        for kill in range(KILLS):
            # The last worker is killed when all parts are read, the others between.
            wait(futures[: len(futures) * (kill + 1) // KILLS])
            pids = client.run(os.getpid)
            held = {key: holders for key, holders in client.who_has(futures).items() if len(holders) == 1}
            address = rng.choice(sorted(pids))
            lost += sum(address in holders for holders in held.values())
            os.kill(pids[address], signal.SIGKILL)
        parts = client.gather(futures)
        report = plan.commit({part.number: part.report for part in parts})
        ids = [key for part in parts for key in part.table["id"].to_pylist()]
        print(
            f"{len(ids):,} rows, {len(ids) - len(set(ids))} duplicates, {time.perf_counter() - start:.0f} s"
        )
        print(f"{KILLS} kills, {lost} of {len(futures)} results existed only on a killed worker")
        print(f"most requests in flight {peak()}, limit {LIMIT}; {report}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the killed read")
    parser.add_argument("--compared-rows", type=int, default=200_000, help="rows of the comparison")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison")
    parser.add_argument("--data", type=Path, help="a folder that keeps the sandbox's data for the next run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.data or Path(temporary)
        if options.rounds:
            compare(options.compared_rows, options.rounds, folder)
        if options.rows:
            kill_workers(options.rows, folder)


if __name__ == "__main__":
    main()
