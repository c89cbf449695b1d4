"""Building a search with many clauses, without sending it."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, in_turns, ratio

CLAUSES = 200
CALLS = 20


def many_clauses(bench: Bench) -> Section:
    section = Section(
        "Many filters",
        f"A search with {CLAUSES} clauses joined by `|`, not sent; the hand-written dict is not checked.",
        unit="searches",
    )
    served = bench.pages(1)
    names = {
        "F": "sdk.condition",
        "F again": "sdk.condition",
        "checked dict": "sdk.tree",
        "dict": "hand.tree",
    }
    with bench.ours(steady=True) as worker:
        options = {"calls": CALLS, "clauses": CLAUSES}
        entries = [Entry(name, worker, slice_, served, options) for name, slice_ in names.items()]
        section.samples = in_turns(entries, bench.rounds)
    section.figures = [
        ratio(section.samples, "F", "checked dict"),
        ratio(section.samples, "F", "dict"),
        ratio(section.samples, "F", "F again", name="A/A: F / F"),
    ]
    return section
