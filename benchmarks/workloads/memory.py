"""Rows in memory, and how cost and memory grow with the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Figure, Sample, Section, Spread, at_least, at_most, in_turns, ratio

MEGABYTE = 1_000_000
STREAMED = 200_000
DEPTH = 16
"""The limit of requests in flight at first; without latency, it hardly grows."""
LEAST_ROWS = 100_000
"""A small pull is repeated up to this many rows, so that its cost exceeds the noise."""


def kept(bench: Bench) -> Section:
    pages = 50 if bench.quick else STREAMED // 1000
    section = Section(
        "Retained rows",
        f"`collect()` of {pages},000 rows, compared with garbage collection off, and with a read "
        "that drops its rows; one process.",
    )
    served = bench.pages(pages)
    ours, again, quiet, dropped = "collect()", "collect() again", "collect(), no gc", "list(), rows dropped"
    with bench.ours() as worker:
        slices = {
            ours: "sdk.kept",
            again: "sdk.kept",
            quiet: "sdk.kept_without_gc",
            dropped: "sdk.typed",
        }
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, bench.rounds_of(7))
    section.figures = [
        ratio(section.samples, ours, quiet, at_least(0.95)),
        ratio(section.samples, ours, dropped),
        ratio(section.samples, ours, again, name="A/A: collect() / collect()"),
    ]
    return section


def growth(bench: Bench) -> Section:
    sizes = [10_000, 100_000, STREAMED, 1_000_000]
    sizes += [5_000_000] if bench.five_million else []
    sizes = sizes[:3] if bench.quick else sizes
    section = Section(
        "Growth with the number of rows",
        "`async for` over typed rows that are dropped, in a fresh process each; growth is that of its peak "
        "memory since before the read, after imports and one call.",
    )
    entrants = [*((_name(size), size) for size in sizes), (AGAIN, sizes[1])]
    section.samples = {name: [] for name, _ in entrants}
    for _ in range(bench.rounds_of(3)):
        for name, size in entrants:
            section.samples[name].append(_fresh(bench, size))
    found = section.samples
    least, middle, most = _name(sizes[0]), _name(sizes[1]), _name(sizes[-1] if bench.quick else 1_000_000)
    grown = [sample.notes["growth"] / MEGABYTE for sample in found[_name(STREAMED)]]
    section.figures = [
        Figure(
            f"growth of the peak over {STREAMED:,} rows, at most {DEPTH} pages in flight",
            Spread.of(grown),
            at_most(20 + 1.2 * DEPTH),
            "MB",
        ),
        ratio(found, most, middle, at_most(1.10), name=f"peak memory, {most} / {middle}", of=_peak),
        ratio(found, most, least, at_most(1.10), name=f"CPU per row, {most} / {least}", of=_cost),
        ratio(found, middle, AGAIN, name=f"A/A: CPU per row, {middle}", of=_cost),
    ]
    for title, of in CURVES.items():
        section.curve[title] = [
            (size, Spread.of([of(s) for s in found[_name(size)]]).median) for size in sizes
        ]
    return section


AGAIN = "100,000 rows, again"


def _name(size: int) -> str:
    return f"{size:,} rows"


def _fresh(bench: Bench, rows: int) -> Sample:
    repeats = max(1, LEAST_ROWS // rows)
    with bench.ours() as worker:
        worker.pin()
        found = worker.run("sdk.growth", bench.pages(rows // 1000), repeats=repeats)
    return replace(found, wall=found.notes["wall"] / repeats, cpu=found.notes["cpu"] / repeats)


def _peak(sample: Sample) -> float:
    return sample.peak


def _cost(sample: Sample) -> float:
    return sample.cpu / sample.rows


CURVES: dict[str, Callable[[Sample], float]] = {
    "thousand rows per second": lambda sample: sample.rate / 1000,
    "microseconds of CPU per row": lambda sample: _cost(sample) * 1e6,
    "peak memory, MB": lambda sample: sample.peak / MEGABYTE,
}
