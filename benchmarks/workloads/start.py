"""What a user waits for at the start: processes of the command line, of a client, and of the sandbox.

Each is a process of its own, which writes its wall and CPU seconds and its peak memory when it ends.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.lines import ROOT
from benchmarks.measure import Figure, Sample, Section, Spread, at_most, ratio
from benchmarks.specs import Served

CLI = "import sys; sys.argv[1:] = {!r}; from aiwyn_async._cli import main; main()"
READ = """
import asyncio
from aiwyn_async import AiwynClient
async def main():
    async with AiwynClient(base_url={url!r}, api_key={key!r}, max_concurrency=1) as aiwyn:
        {body}
asyncio.run(main())
"""
FIRST_BYTE = "await aiwyn.invoices.list(page_size=1)"
FIRST_ROW = "await anext(aiter(aiwyn.invoices.list()))"
SANDBOX = """
import asyncio
from aiwyn_async.sandbox import Sandbox
async def main():
    async with Sandbox(invoices={}):
        pass
asyncio.run(main())
"""
SANDBOXES = ((100_000, 4, 300), (1_000_000, 8, 800))
"""Invoices, with the CPU seconds and the megabytes that a sandbox may take until it serves them."""
MEGABYTE = 1_000_000


def of_processes(bench: Bench) -> Section:
    section = Section(
        "What a user waits for at the start",
        "Processes in rounds, their CPU compared with imports; the first byte is that of a page of one row, "
        "the first row that of a page of a thousand.",
        unit="processes",
    )
    compile_package()
    served = bench.pages(1)
    programs = {
        "pass": "pass",
        "import msgspec": "import msgspec",
        "import aiohttp": "import aiohttp",
        "import aiohttp, again": "import aiohttp",
        "aiwyn --version": CLI.format(["--version"]),
        "aiwyn --help": CLI.format(["--help"]),
        "aiwyn list --help": CLI.format(["list", "--help"]),
        "import aiwyn_async": "import aiwyn_async",
        "first byte": _read(served, FIRST_BYTE),
        "first row": _read(served, FIRST_ROW),
    }
    section.samples = {name: [] for name in programs}
    for _ in range(bench.rounds_of(9)):
        for name in random.sample([*programs], len(programs)):
            section.samples[name].append(run(programs[name]))
    section.figures = [
        ratio(section.samples, name, other, target, of=_cpu)
        for name, other, target in (
            ("aiwyn --version", "import msgspec", at_most(1.0)),
            ("aiwyn --help", "import msgspec", at_most(1.0)),
            ("aiwyn list --help", "import msgspec", at_most(1.0)),
            ("import aiwyn_async", "pass", at_most(1.5)),
            ("first byte", "import aiohttp", at_most(2.0)),
            ("first row", "import aiohttp", at_most(2.0)),
            ("import aiohttp", "import aiohttp, again", None),
        )
    ]
    for size, seconds, megabytes in SANDBOXES[: 1 if bench.quick else None]:
        name = f"sandbox of {size:,}"
        section.samples[name] = [run(SANDBOX.format(size), rows=size) for _ in range(bench.rounds_of(1))]
        section.figures += [
            Figure(f"{name}, CPU", _spread(section, name, "cpu"), at_most(seconds), "s"),
            Figure(f"{name}, wall", _spread(section, name, "wall"), unit="s"),
            Figure(f"{name}, peak memory", _spread(section, name, "peak"), at_most(megabytes), "MB"),
        ]
    return section


def compile_package() -> None:
    """Write the bytecode, which an installation holds, too."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", ROOT / "aiwyn_async"], check=True)


def run(program: str, *, rows: int = 1) -> Sample:
    """Run a program to its end in a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, env=environment, cwd=Path.home()
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"exit code {process.returncode} of {program!r}"
    return Sample(wall, usage.ru_utime + usage.ru_stime, rows, _peak(usage), {})


def _peak(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _read(served: Served, body: str) -> str:
    return READ.format(url=served.url, key=served.api_key, body=body)


def _cpu(sample: Sample) -> float:
    return sample.cpu


def _spread(section: Section, name: str, what: str) -> Spread:
    unit = MEGABYTE if what == "peak" else 1
    return Spread.of([getattr(sample, what) / unit for sample in section.samples[name]])
