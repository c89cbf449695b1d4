"""Run the benchmarks and write the report: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from . import machine, report
from .bench import Bench
from .lines import ChildFailed
from .measure import Section
from .serving import PageServer
from .workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds, no large pull")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="15, or 3 with --quick")
    parser.add_argument("--five-million", action="store_true", help="a point of 5,000,000 rows on the curve")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="the folder of the report")
    options = parser.parse_args()
    sections: dict[str, Section] = {}
    failed: list[str] = []
    began = time.monotonic()
    with PageServer() as server:
        bench = Bench(
            server, options.rounds or (3 if options.quick else 15), options.quick, options.five_million
        )
        for name in options.only or WORKLOADS:
            print(f"{time.monotonic() - began:5.0f} s  {name}", file=sys.stderr)
            try:
                sections[name] = WORKLOADS[name](bench)
            except (ChildFailed, AssertionError) as error:
                # The other workloads still run.
                failed.append(name)
                sections[name] = Section(name, "", notes=[f"Failed: {error}"])
            for figure in sections[name].figures:
                print(f"         {figure.name}: {figure.spread.median:.3g} {figure.unit}", file=sys.stderr)
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    about = {**machine.describe(), "command": f"`{command}`", "took": f"{time.monotonic() - began:.0f} s"}
    report.write(options.to, about, sections)
    if failed:
        parser.exit(1, f"failed: {', '.join(failed)}\n")


if __name__ == "__main__":
    main()
