"""Raw rows and files."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, at_least, in_turns, ratio, thrift_of

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
        f"Beside the same by hand; {PAGES} pages a slice, one process on one core.",
    )
    served = bench.pages(PAGES)
    reading, again = "bytes alone, by hand", "bytes alone, again"
    raw, jsonl = "decode_as(msgspec.Raw)", "export() to .jsonl"
    split, lines = "raw rows, by hand, unchecked", "JSONL, by hand, unchecked"
    checked_split, checked_lines = "raw rows, by hand", "JSONL, by hand"
    with bench.ours(steady=True) as worker:
        slices = {
            reading: "hand.raw",
            again: "hand.raw",
            raw: "sdk.raw",
            jsonl: "sdk.jsonl",
            checked_split: "hand.checked_raw_rows",
            checked_lines: "hand.checked_jsonl",
            split: "hand.raw_rows",
            lines: "hand.jsonl",
        }
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, ROUNDS_OF_RAW * bench.rounds)
    for ours, theirs, bound in ((raw, checked_split, 0.85), (jsonl, checked_lines, 0.75)):
        section.figures += [
            ratio(section.samples, ours, theirs, at_least(bound)),
            ratio(
                section.samples,
                ours,
                theirs,
                at_least(bound),
                name=f"{ours} / {theirs}, by CPU",
                of=thrift_of,
            ),
        ]
    section.figures += [
        ratio(section.samples, raw, split, name=f"{raw} / {split}, by CPU", of=thrift_of),
        ratio(section.samples, jsonl, lines, name=f"{jsonl} / {lines}, by CPU", of=thrift_of),
        ratio(section.samples, raw, reading),
        ratio(section.samples, jsonl, reading),
        ratio(section.samples, reading, again, name="A/A: bytes / bytes"),
        ratio(section.samples, reading, again, name="A/A: bytes / bytes, by CPU", of=thrift_of),
    ]
    section.notes = [
        "Ids of raw rows and of lines are added up outside the time that is taken.",
        "By hand: msgspec splits the pages; ids are compared, and their number with the server's count.",
        "Lines by hand are searched for newlines; the file is synced and renamed once, and not resumable.",
        "Unchecked: the pages are split, and that is all. Lines are not on the disk when it ends.",
    ]
    return section


TYPED_ROWS = {1: at_least(2), 2: at_least(3.5)}
"""The targets of files of columns, by number of cores."""


def parquet(bench: Bench) -> Section:
    section = _beside_typed_rows(bench, "Parquet", "export()", "sdk.parquet")
    with bench.ours() as worker:
        compared = worker.run("same_values", bench.pages(PAGES_COMPARED))
    section.notes = [f"Both files hold the same values in all {compared.notes['columns']} columns."]
    return section


def dataset(bench: Bench) -> Section:
    return _beside_typed_rows(bench, "Parquet dataset", "export() to a dataset", "sdk.dataset")


def _beside_typed_rows(bench: Bench, title: str, name: str, slice_: str) -> Section:
    section = Section(
        title,
        "`export()` beside typed rows turned into columns for pyarrow and one file, both with zstd and ten "
        f"pages a row group; {PAGES_OF_PARQUET} pages a slice, on one core and on two, of which the server "
        "has one.",
    )
    served = bench.pages(PAGES_OF_PARQUET)
    with ExitStack() as stack:
        for cores, target in TYPED_ROWS.items():
            worker = stack.enter_context(bench.ours(cores=cores, steady=True))
            on = _cores(cores)
            ours, again, theirs = f"{name}, {on}", f"{name}, {on}, again", f"typed rows, {on}"
            slices = {ours: slice_, again: slice_, theirs: "hand.parquet"}
            entries = [Entry(name, worker, called, served) for name, called in slices.items()]
            samples = in_turns(entries, bench.rounds_of(7))
            section.samples |= samples
            section.figures.append(ratio(samples, ours, theirs, target))
            section.figures.append(
                ratio(samples, ours, theirs, name=f"{ours} / {theirs}, by CPU", of=thrift_of)
            )
            section.figures.append(ratio(samples, ours, again, name=f"A/A: export() / export(), {on}"))
    return section


def _cores(number: int) -> str:
    return f"{number} core{'s' if number > 1 else ''}"


def columns(bench: Bench) -> Section:
    section = Section(
        "A choice of columns",
        "`export()` to Parquet of 5 fields beside all 24, of `list()` and of `pull()`; "
        f"{PAGES} pages a slice, on one core and on two, of which the server has one.",
    )
    served = bench.pages(PAGES)
    slices = {
        "list()": ("sdk.parquet", "sdk.five_columns"),
        "pull()": ("sdk.parquet_pulled", "sdk.five_columns_pulled"),
    }
    with ExitStack() as stack:
        for cores in TYPED_ROWS:
            worker = stack.enter_context(bench.ours(cores=cores, steady=True))
            on = _cores(cores)
            names = {read: (f"{read}, all fields, {on}", f"{read}, 5 fields, {on}") for read in slices}
            entries = [
                Entry(name, worker, called, served)
                for read, pair in names.items()
                for name, called in zip(pair, slices[read], strict=True)
            ]
            samples = in_turns(entries, bench.rounds_of(7))
            section.samples |= samples
            for every, few in names.values():
                section.figures += [
                    ratio(samples, few, every, at_least(2)),
                    ratio(samples, few, every, name=f"{few} / {every}, by CPU", of=thrift_of),
                ]
    section.notes = [
        "Both read the same pages, which the server has in memory.",
        "The event loop's thread has two thirds of the work on 5 fields, so a second core gains little.",
    ]
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
