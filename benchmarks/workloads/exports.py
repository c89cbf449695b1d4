"""Raw rows and files."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, at_least, in_turns, ratio

PAGES = 40
ROUNDS_OF_RAW = 4
"""As many times the rounds: slices are short."""
PAGES_OF_PARQUET = 80
"""Eight parts, so that what is written side by side is more than the beginning and the end."""
PAGES_OF_CSV = 200
PAGES_COMPARED = 12


def raw_and_jsonl(bench: Bench) -> Section:
    section = Section(
        "Raw rows and JSONL",
        f"Beside reading the bytes of the pages and doing nothing with them; {PAGES} pages a slice, one "
        "process on one core.",
    )
    served = bench.pages(PAGES)
    reading, again = "bytes alone, by hand", "bytes alone, again"
    raw, jsonl = "decode_as(msgspec.Raw)", "export() to .jsonl"
    split, lines = "raw rows, by hand", "JSONL, by hand"
    with bench.ours(steady=True) as worker:
        slices = {
            reading: "hand.raw",
            again: "hand.raw",
            raw: "sdk.raw",
            jsonl: "sdk.jsonl",
            split: "hand.raw_rows",
            lines: "hand.jsonl",
        }
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, ROUNDS_OF_RAW * bench.rounds)
    section.figures = [
        ratio(section.samples, raw, reading, at_least(0.30)),
        ratio(section.samples, jsonl, reading, at_least(0.25)),
        ratio(section.samples, split, reading),
        ratio(section.samples, raw, split),
        ratio(section.samples, lines, reading),
        ratio(section.samples, jsonl, lines),
        ratio(section.samples, reading, again, name="A/A: bytes / bytes"),
    ]
    section.notes = [
        "Ids of raw rows and of lines are added up outside the time that is taken.",
        "By hand: msgspec takes the pages apart, and that is all. Lines are not on the disk when it ends.",
    ]
    return section


def parquet(bench: Bench) -> Section:
    section = Section(
        "Parquet",
        "`export()` beside typed rows turned into columns for pyarrow, both with zstd and ten pages a row "
        f"group; {PAGES_OF_PARQUET} pages a slice, on one core and on two, of which the server has one.",
    )
    served = bench.pages(PAGES_OF_PARQUET)
    targets = {1: at_least(2), 2: at_least(3.5)}
    with ExitStack() as stack:
        for cores, target in targets.items():
            worker = stack.enter_context(bench.ours(cores=cores, steady=True))
            told = f"{cores} core{'s' if cores > 1 else ''}"
            ours, again, theirs = f"export(), {told}", f"export(), {told}, again", f"typed rows, {told}"
            slices = {ours: "sdk.parquet", again: "sdk.parquet", theirs: "hand.parquet"}
            entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
            found = in_turns(entries, bench.rounds_of(7))
            section.samples |= found
            section.figures.append(ratio(found, ours, theirs, target))
            section.figures.append(ratio(found, ours, again, name=f"A/A: export() / export(), {told}"))
        compared = worker.run("same_values", bench.pages(PAGES_COMPARED))
    section.notes = [f"Both files hold the same values in all {compared.notes['columns']} columns."]
    return section


def duckdb(bench: Bench) -> Section:
    section = Section("DuckDB", f"`export()` to a database file; {PAGES} pages a slice.")
    served = bench.pages(PAGES)
    ours, again, parquet_ = "export() to .duckdb", "export() to .duckdb, again", "export() to .parquet"
    with bench.ours(cores=2, steady=True) as worker:
        slices = {ours: "sdk.duckdb", again: "sdk.duckdb", parquet_: "sdk.parquet"}
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, bench.rounds_of(5))
    section.figures = [
        ratio(section.samples, ours, parquet_),
        ratio(section.samples, ours, again, name="A/A: export() / export()"),
    ]
    return section


def csv(bench: Bench) -> Section:
    pages = PAGES if bench.quick else PAGES_OF_CSV
    section = Section(
        "CSV",
        f"`export()` by threads, which Python's lock limits to one core; {pages} pages a slice, on two "
        "cores, of which the server has one.",
    )
    served = bench.pages(pages)
    ours, again = "export() to .csv", "export() to .csv, again"
    with bench.ours(cores=2, steady=True) as worker:
        entries = [
            Entry(ours, worker, "sdk.csv", served),
            Entry(again, worker, "sdk.csv", served),
        ]
        section.samples = in_turns(entries, bench.rounds_of(5))
    section.figures = [ratio(section.samples, ours, again, name="A/A: export() / export()")]
    return section
