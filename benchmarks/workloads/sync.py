"""The first sync of many rows, and its memory."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Figure, Sample, Section, Spread, at_least, at_most, ratio

ROWS = 1_000_000
FEWER_ROWS = 100_000
MEGABYTE = 1_000_000
MAX_PEAK = 250


def beside_export(bench: Bench) -> Section:
    rows = FEWER_ROWS if bench.quick else ROWS
    section = Section(
        "sync()",
        f"The first `sync()` of {rows:,} rows beside an `export()` of a pull to DuckDB, each in a fresh "
        "process, on two cores, of which the server has one.",
    )
    ours, again, theirs = "sync()", "sync(), again", "export() to .duckdb"
    slices = {ours: "sdk.synced", again: "sdk.synced", theirs: "sdk.duckdb_pulled"}
    samples = section.samples = {name: [] for name in slices}
    for _ in range(bench.rounds_of(1)):  # of half a minute each; several runs have as many rounds
        for name, slice_ in slices.items():
            samples[name].append(_fresh(bench, slice_, rows))
    section.figures = [
        ratio(samples, ours, theirs, at_least(0.6)),
        Figure(
            "peak memory of sync()",
            Spread.of([_peak(sample) / MEGABYTE for sample in samples[ours]]),
            at_most(MAX_PEAK),
            "MB",
        ),
        ratio(samples, ours, theirs, name=f"peak memory, {ours} / {theirs}", of=_peak),
        ratio(samples, ours, again, name="A/A: sync() / sync()"),
    ]
    return section


def _fresh(bench: Bench, slice_: str, rows: int) -> Sample:
    with bench.ours(cores=2) as worker:
        worker.pin()
        return worker.run(slice_, bench.pages(rows // 1000))


def _peak(sample: Sample) -> float:
    return float(sample.notes["peak"])
