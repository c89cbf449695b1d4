"""Compare two checkouts: `python -m benchmarks.compare OLD NEW list parquet`.

Each runs its own slices in a process of its own, which starts again in each round, against one server.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .bench import Bench
from .measure import Entry, Figure, Worker, in_turns, rate_of, ratio, thrift_of
from .serving import PageServer

PAGES = 40
CALLS = 500
SLICES: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("sdk.typed", {}),
    "raw": ("sdk.raw", {}),
    "pull": ("sdk.by_ranges", {"ranges": 1}),
    "search": ("sdk.searched", {}),
    "get": ("sdk.many_at_once", {"calls": CALLS, "max_concurrency": 32}),
    "jsonl": ("sdk.jsonl", {}),
    "csv": ("sdk.csv", {}),
    "parquet": ("sdk.parquet", {}),
    "dataset": ("sdk.dataset", {}),
    "five": ("sdk.five_columns", {}),
    "duckdb": ("sdk.duckdb", {}),
}


def compare(bench: Bench, name: str, old: Path, new: Path) -> list[Figure]:
    """Return new / old by CPU time and by time, and that of new with itself."""
    slice_, options = SLICES[name]
    served = bench.pages(PAGES)
    module = "benchmarks.slices"
    with (
        Worker(sys.executable, module, folder=old) as before,
        Worker(sys.executable, module, folder=new) as after,
        Worker(sys.executable, module, folder=new) as again,
    ):
        workers = {"old": before, "new": after, "again": again}
        entries = [Entry(label, worker, slice_, served, options) for label, worker in workers.items()]
        samples = in_turns(entries, bench.rounds, restart=True)
    return [
        ratio(samples, "new", "old", name=f"{name}: new / old, by CPU", of=thrift_of),
        ratio(samples, "new", "old", name=f"{name}: new / old", of=rate_of),
        ratio(samples, "new", "again", name=f"{name}: A/A, by CPU", of=thrift_of),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("names", nargs="+", choices=SLICES, metavar="NAME", help=", ".join(SLICES))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with PageServer() as server:
        bench = Bench(server, options.rounds, quick=False, five_million=False)
        for name in options.names:
            for figure in compare(bench, name, options.old.resolve(), options.new.resolve()):
                spread = figure.spread
                print(f"{figure.name}: {spread.median:.3f} [{spread.minimum:.3f} {spread.maximum:.3f}]")


if __name__ == "__main__":
    main()
