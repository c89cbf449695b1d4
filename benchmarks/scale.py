"""100 million rows of 1,000 firms, in virtual time: `python -m benchmarks.scale` writes docs/scale.md.

CPU and memory are measured first, with real clients and the page server; then a run on loopback is compared
with its simulation. Every request of the pulls is simulated. Needs Linux and the extras `dev`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, product
from pathlib import Path
from typing import Any

from aiwyn_async import AiwynClient, PullReport
from aiwyn_async.sandbox import RateLimit, Sandbox

from .lines import ROOT
from .measure import Worker
from .scale_plot import picture
from .serving import PageServer
from .specs import Spec
from .virtual import Firm, Process

DEPTH = 8
"""`max_concurrency`: an adaptive limit would start lower or higher."""
OPTIONS: dict[str, Any] = {"max_concurrency": DEPTH}
KEY = 10
"""Rows that one simulated key represents: pages of 100 keys are as many requests as pages of 1,000 rows."""
PROCESSES, RATES, LATENCIES = (1, 8, 64), (5, 20, 100), (0.05, 0.2)
CLIENTS = 1000


def sizes_of(rows: int, firms: int) -> list[int]:
    """Divide rows among firms, the n-th in proportion to 1/n."""
    weights = list(accumulate(1 / number for number in range(1, firms + 1)))
    ends = [round(rows * weight / weights[-1]) for weight in weights]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def shards_of(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """Give each firm, the largest first, to the process with the fewest rows."""
    shards: list[list[int]] = [[] for _ in range(processes)]
    for size in sizes:
        min(shards, key=sum).append(size)
    return shards


@dataclass(frozen=True)
class Load:
    """The work of one process, and its results."""

    sizes: list[int]
    rate: int
    latency: float
    row_seconds: float
    at_once: int = 64

    def simulate(self) -> dict[str, Any]:
        limit = RateLimit(self.rate, burst=self.rate)
        firms = [Firm(range(1, size // KEY + 2), self.latency, limit) for size in self.sizes]
        process = Process(firms, self.row_seconds * KEY, self.at_once, 1000 // KEY, options=OPTIONS).run()
        most = max(len(firm.admitted) for firm in firms)
        return {
            "seconds": process.seconds,
            "admitted": sum(len(firm.admitted) for firm in firms),
            "throttled": sum(firm.throttled for firm in firms),
            "held": process.max_held,
            "clients": min(self.at_once, len(firms)),
            "rate limit": most / self.rate,
            "latency": most * self.latency / DEPTH,
            "CPU": sum(self.sizes) * self.row_seconds,
        }


BOUNDS = ("rate limit", "latency", "CPU")


def whole(parts: list[dict[str, Any]], memory: dict[str, float]) -> dict[str, Any]:
    """Combine the processes of a scenario: they share nothing, so the last one ends it."""
    result = {name: max(part[name] for part in parts) for name in ("seconds", *BOUNDS)}
    result |= {name: sum(part[name] for part in parts) for name in ("admitted", "throttled")}
    result["bound"] = max(BOUNDS, key=result.__getitem__)
    result["MB"] = max(
        memory["base"] + part["clients"] * DEPTH * memory["open"] + part["held"] * memory["page"]
        for part in parts
    )
    return result


def measure_cpu(server: PageServer) -> float:
    """Return the CPU seconds of a typed row, read over TLS."""
    served = server.serve(Spec(100_000, tls=True))
    with Worker(sys.executable, "benchmarks.slices") as worker:
        worker.pin()
        runs = [worker.run("sdk.by_ranges", served, ranges=DEPTH) for _ in range(9)]
    return statistics.median(run.cpu / run.rows for run in runs)


def measure_memory(server: PageServer) -> dict[str, float]:
    """Return MB: of a process, per idle client, per client with a connection, and per page in memory."""
    served = server.serve(Spec(100_000, tls=True))
    results = []
    for ranges in (0, 4, 24):
        job = json.dumps([served.url, served.api_key, served.authority, ranges])
        command = [sys.executable, "-m", "benchmarks.scale", "--memory-of", job]
        results.append(json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout))
    clients, few, many = results
    # Each page in flight has a connection too.
    return clients | {"page": (many["resident"] - few["resident"]) / 20 - clients["open"]}


async def memory_of(url: str, key: str, authority: str, ranges: int) -> dict[str, float]:
    context = ssl.create_default_context(cafile=authority)

    def client(depth: int) -> AiwynClient:
        return AiwynClient(base_url=url, api_key=key, ssl_context=context, max_concurrency=depth)

    async with client(max(1, ranges)) as first:
        await first.invoices.list(limit=1).collect()
        if ranges:
            pages = first.invoices.pull().pages()
            for _ in range(ranges):
                await anext(pages)
            await asyncio.sleep(2)  # all requests in flight are complete
            return {"resident": resident()}
        base = resident()
        clients = [client(DEPTH) for _ in range(CLIENTS)]
        idle = resident()
        for each in clients:
            await each.invoices.list(limit=1).collect()
        result = {"base": base, "idle": (idle - base) / CLIENTS, "open": (resident() - base) / CLIENTS}
        for each in clients:
            await each.aclose()
        return result


def resident() -> float:
    """Return the MB that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def validate() -> Iterator[list[str]]:
    """Return a table of pulls of three sandboxes on loopback and of their simulations."""
    yield ["latency", "requests/s", "real", "simulated", "ratio", "requests", "simulated", "429", "simulated"]
    for latency, rate in ((0.05, None), (0.2, None), (0.05, 20), (0.2, 5)):
        limit = None if rate is None else RateLimit(rate, burst=rate)
        seconds, cpu, reports, keys = asyncio.run(pull_sandboxes((20_000, 10_000, 5000), latency, limit))
        firms = [Firm(each, latency, limit) for each in keys]
        process = Process(firms, cpu / sum(map(len, keys)), page_size=100, options=OPTIONS).run()
        cells = [f"{latency * 1000:.0f} ms", str(rate or "no limit"), f"{seconds:.2f} s"]
        cells += [f"{process.seconds:.2f} s", f"{process.seconds / seconds:.2f}"]
        retries = [sum(report.retries for report in each) for each in (reports, process.reports)]
        requests = [sum(report.requests for report in each) for each in (reports, process.reports)]
        assert rate or requests[0] == requests[1], requests
        cells += [str(sent - again) for sent, again in zip(requests, retries, strict=True)]
        yield [*cells, *map(str, retries)]


async def pull_sandboxes(
    sizes: Sequence[int], latency: float, limit: RateLimit | None
) -> tuple[float, float, list[PullReport], list[list[int]]]:
    """Return seconds, CPU seconds with those of the servers, reports, and the keys of each firm."""
    with ExitStack() as stack:
        boxes = [
            stack.enter_context(Sandbox(invoices=size, latency=latency, rate_limit=limit, log_bodies=False))
            for size in sizes
        ]

        async def pull(box: Sandbox) -> PullReport:
            async with AiwynClient(base_url=box.url, api_key=box.api_key, **OPTIONS) as client:
                pull = client.invoices.pull(page_size=100, strict=True)
                async for _ in pull.pages():
                    pass
                return pull.report

        began, used = time.perf_counter(), time.process_time()
        reports = await asyncio.gather(*map(pull, boxes))
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        keys = [[row[0] for row in box.query("SELECT id FROM invoices ORDER BY id")] for box in boxes]
        return seconds, cpu, reports, keys


def settings() -> Iterator[list[str]]:
    """Return a table of options for one firm of a million rows, without CPU time."""
    depths = (None, 1, 2, 8, 32)
    yield ["requests/s", "latency", "default", *(f"`max_concurrency={depth}`" for depth in depths[1:])]
    for rate, latency in product(RATES, LATENCIES):
        row = [str(rate), f"{latency * 1000:.0f} ms"]
        for depth in depths:
            firm = Firm(range(1, 1_000_000 // KEY + 1), latency, RateLimit(rate, burst=rate))
            options = {} if depth is None else {"max_concurrency": depth}
            process = Process([firm], page_size=1000 // KEY, options=options)
            row.append(f"{process.run().seconds:.0f} s, {firm.throttled}")
        yield row


def as_table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


Results = dict[tuple[int, int, float, int], dict[str, Any]]


def simulate(sizes: list[int], row_seconds: float, memory: dict[str, float], workers: int) -> Results:
    """Return the results by processes, rate, latency and firms at once."""
    cases = [(*case, 64) for case in product(PROCESSES, RATES, LATENCIES)]
    cases += [(1, 20, 0.05, at_once) for at_once in (4, 16, 1000)]
    with ProcessPoolExecutor(workers) as pool:
        loads = {
            case: [
                pool.submit(Load(shard, rate, latency, row_seconds, at_once).simulate)
                for shard in shards_of(sizes, processes)
            ]
            for case in cases
            for processes, rate, latency, at_once in [case]
        }
        results: Results = {}
        for case, parts in loads.items():
            results[case] = whole([part.result() for part in parts], memory)
            print(case, results[case], flush=True)
    return results


def rows_of(results: Results, rows: int, *, at_once: bool) -> Iterator[list[str]]:
    first = "firms at once" if at_once else "processes"
    yield [
        first,
        "requests/s",
        "latency",
        "time",
        "rows/s",
        "requests",
        "429",
        "MB per process",
        "bounded by",
    ]
    for (processes, rate, latency, clients), result in results.items():
        is_variant = (processes, rate, latency) == (1, 20, 0.05)
        if is_variant if at_once else clients == 64:
            cells = [str(clients if at_once else processes), str(rate), f"{latency * 1000:.0f} ms"]
            cells += [f"{result['seconds'] / 60:.1f} min", f"{rows / result['seconds']:,.0f}"]
            cells += [f"{result['admitted']:,}", f"{result['throttled']:,}", f"{result['MB']:,.0f}"]
            yield [*cells, f"{result['bound']}, {result[result['bound']] / 60:.1f} min"]


def measured(row_seconds: float, memory: dict[str, float]) -> str:
    rows = [
        ["measured", ""],
        [
            "CPU per row, typed, over TLS",
            f"{row_seconds * 1e6:.1f} µs, {1 / row_seconds:,.0f} rows/s per core",
        ],
        ["a process with one client", f"{memory['base']:.0f} MB"],
        ["an idle client", f"{memory['idle'] * 1000:.0f} kB"],
        ["an open TLS connection of a client", f"{memory['open'] * 1000:.0f} kB"],
        ["a page of 1,000 invoices of 1.07 kB", f"{memory['page']:.1f} MB"],
    ]
    return as_table(rows)


def write(tables: dict[str, str]) -> None:
    """Replace the tables of the page, each between a comment with its name and an end."""
    page = ROOT / "docs" / "scale.md"
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        pattern = rf"(?s)(?<=<!-- {name} -->).*?(?=<!-- end -->)"
        text, count = re.subn(pattern, lambda _, table=table: f"\n{table}\n\n", text)  # type: ignore[misc]
        assert count == 1, name
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--firms", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate")
    parser.add_argument("--memory-of", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(asyncio.run(memory_of(*options.memory_of))))
        return
    with PageServer() as server:
        row_seconds, memory = measure_cpu(server), measure_memory(server)
    tables = {"measured": measured(row_seconds, memory), "validation": as_table(list(validate()))}
    tables["settings"] = as_table(list(settings()))
    print(*tables.values(), sep="\n\n", flush=True)
    results = simulate(sizes_of(options.rows, options.firms), row_seconds, memory, options.workers)
    tables["results"] = as_table(list(rows_of(results, options.rows, at_once=False)))
    tables["clients"] = as_table(list(rows_of(results, options.rows, at_once=True)))
    write(tables)
    (ROOT / "docs" / "pictures" / "scale.svg").write_text(picture(results), encoding="utf-8")


if __name__ == "__main__":
    main()
