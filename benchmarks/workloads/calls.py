"""Small calls: one invoice, one call after another and many at once; a few invoices."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, rivals_of
from benchmarks.environments import OPENAPI_PYTHON_CLIENT
from benchmarks.measure import Entry, Section, at_least, at_most, in_turns, ratio, thrift_of, time_of

MANY = 32
CALLS = {1: 100, MANY: 500}
RIVAL_CALLS = {1: 30, MANY: 100}
ROWS_OF_A_SEARCH = 20
ROUNDS = 6
"""Factor of the rounds: slices are short, and two ratios are near 1."""


def one_and_many(bench: Bench) -> Section:
    section = Section(
        "get()",
        "Compared with a default aiohttp session and one msgspec decoder (one process), and the "
        "generated client (in its own process).",
        unit="calls",
    )
    served = bench.pages(2)
    client = OPENAPI_PYTHON_CLIENT.title
    with ExitStack() as stack:
        worker = stack.enter_context(bench.ours(steady=True))
        rival = rivals_of(stack, section, OPENAPI_PYTHON_CLIENT).get(OPENAPI_PYTHON_CLIENT)
        for depth, calls in CALLS.items():
            options = {"calls": calls, "max_concurrency": depth}
            names = {who: f"{who}, {depth} in flight" for who in ("get()", "aiohttp", client, "get() again")}
            entries = [
                Entry(names["get()"], worker, "sdk.many_at_once", served, options),
                Entry(names["get() again"], worker, "sdk.many_at_once", served, options),
                Entry(names["aiohttp"], worker, "hand.many_at_once", served, options),
            ]
            if rival is not None:
                slice_ = "many_at_once" if depth > 1 else "one_by_one"
                fewer = options | {"calls": RIVAL_CALLS[depth]}
                entries.append(Entry(names[client], rival, slice_, served, fewer))
            found = in_turns(entries, ROUNDS * bench.rounds)
            section.samples |= found
            section.figures.append(ratio(found, names["get()"], names["aiohttp"], at_least(0.90)))
            name = f"{names['get()']} / {names['aiohttp']}, by CPU"
            section.figures.append(ratio(found, names["get()"], names["aiohttp"], name=name, of=thrift_of))
            if rival is not None:
                target = at_least(8) if depth > 1 else None
                section.figures.append(ratio(found, names["get()"], names[client], target))
            name = f"A/A: get() / get(), {depth} in flight"
            section.figures.append(ratio(found, names["get()"], names["get() again"], name=name))
    return section


def small_searches(bench: Bench) -> Section:
    section = Section(
        f"Searches of {ROWS_OF_A_SEARCH} rows",
        "`search()` with two clauses and `collect()`, compared with a default aiohttp session, one msgspec "
        "decoder and the condition as a dict; one process. A ratio is of CPU: below 1 is faster than "
        "by hand.",
        unit="searches",
    )
    served = bench.pages(2)
    names = {"search()": "sdk", "search() again": "sdk", "search by hand": "hand"}
    with bench.ours(steady=True) as worker:
        options = {"calls": CALLS[1], "rows": ROWS_OF_A_SEARCH}
        entries = [
            Entry(name, worker, f"{who}.small_searches", served, options) for name, who in names.items()
        ]
        section.samples = in_turns(entries, ROUNDS * bench.rounds)
    sdk, again, by_hand = names
    section.figures = [
        ratio(section.samples, sdk, by_hand, at_most(1.3), of=time_of),
        ratio(section.samples, sdk, again, name="A/A: search() / search()", of=time_of),
    ]
    return section
