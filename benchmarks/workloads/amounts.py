"""The cost of exact amounts compared with floats, by the number of amounts that are read."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, at_most, in_turns, ratio, time_of

PAGES = 24
READ = (0, 1, 3, 5)
MOST_READ_WITHIN_THE_TARGET = 1
ROUNDS = 3
"""Factor of the rounds: slices are short."""


def exact_and_float(bench: Bench) -> Section:
    section = Section(
        "Exact amounts beside floats",
        f"Reads of {PAGES} pages in one process. Of each row, none, one, three or all five amounts "
        "are read; its lines and payments are not. A ratio is of CPU: below 1 is faster than floats.",
    )
    served = bench.pages(PAGES)
    slices = {
        "list()": "sdk.exact",
        "list() as deferred(Invoice)": "sdk.when_read",
        "list() with floats": "sdk.floats",
    }
    with bench.ours(steady=True) as worker:
        entries = [
            Entry(f"{name}, {read} read", worker, slice_, served, {"amounts": read})
            for read in READ
            for name, slice_ in slices.items()
        ]
        section.samples = in_turns(entries, ROUNDS * bench.rounds)
    exact, when_read, floats = slices
    for read in READ:
        target = at_most(1.15) if read <= MOST_READ_WITHIN_THE_TARGET else None
        for name, wanted in ((when_read, target), (exact, None)):
            section.figures.append(
                ratio(section.samples, f"{name}, {read} read", f"{floats}, {read} read", wanted, of=time_of)
            )
    return section
