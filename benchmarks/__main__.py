"""Run the benchmarks and write the report: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from . import machine, report
from .bench import Bench
from .measure import Section
from .results import ProcessorResult, Results, merged
from .serving import PageServer
from .workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds, no large pull")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="15, or 3 with --quick")
    parser.add_argument("--runs", type=int, default=1, help="run every workload this many times (default: 1)")
    parser.add_argument("--five-million", action="store_true", help="a point of 5,000,000 rows on the curve")
    parser.add_argument("--to", type=Path, default=report.FOLDER, help="the folder of the report")
    options = parser.parse_args()
    results = Results.load(options.to)  # before the runs, since it may fail
    outcomes: dict[str, list[Section | Exception]] = {name: [] for name in options.only or WORKLOADS}
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    rounds = options.rounds or (3 if options.quick else 15)
    began = time.monotonic()
    with PageServer() as server:
        bench = Bench(server, rounds, options.quick, options.five_million)
        for number in range(1, options.runs + 1):
            for name, runs in outcomes.items():
                print(f"{time.monotonic() - began:5.0f} s  run {number}  {name}", file=sys.stderr)
                runs.append(_run(name, bench))
            # After each run, so that an interrupted series leaves the runs that are complete.
            results.processors[machine.processor()] = ProcessorResult(
                about={
                    **machine.describe(),
                    "command": f"`{command}`",
                    "runs": f"{number} of {options.runs}, --rounds {rounds}",
                    "took": f"{time.monotonic() - began:.0f} s",
                },
                workloads={name: merged(name, runs) for name, runs in outcomes.items()},
            )
            report.write(options.to, results)
    failed = [name for name, runs in outcomes.items() if any(isinstance(run, Exception) for run in runs)]
    if failed:
        parser.exit(1, f"failed: {', '.join(failed)}\n")


def _run(name: str, bench: Bench) -> Section | Exception:
    try:
        section = WORKLOADS[name](bench)
    except Exception as error:  # noqa: BLE001 (shown in the report; the other workloads still run)
        print(f"         failed: {error}", file=sys.stderr)
        return error
    for figure in section.figures:
        print(f"         {figure.name}: {figure.spread.median:.3g} {figure.unit}", file=sys.stderr)
    return section


if __name__ == "__main__":
    main()
