"""Latency: the remaining share of the rate, default options, and clients that send one request at a time."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, rivals_of
from benchmarks.environments import AIRBYTE, DLT, OPENAPI_PYTHON_CLIENT, SINGER
from benchmarks.measure import Entry, Section, at_least, best_of, in_turns, ratio

LATENCY = 50.0
DEPTH = 16
PAGES = 192
PAGES_IF_QUICK = 96
LATENCIES = (20.0, 50.0, 200.0)
LIMITS = (8, 16, 32, 64)
PAGES_IN_LINE = 8
"""For clients with one request in flight, whose rate does not depend on it."""
PAGES_SIDE_BY_SIDE = 48


def of_our_own(bench: Bench) -> Section:
    pages = PAGES_IF_QUICK if bench.quick else PAGES
    section = Section(
        f"{LATENCY:g} ms per request",
        f"Typed rows, {pages} pages per slice, one process. The SDK adjusts its prefetch depth, "
        "from 4 pages up to the limit of requests in flight.",
    )
    near, far = bench.pages(pages), bench.pages(pages, latency=LATENCY)
    deep = {"max_concurrency": DEPTH}
    ours, own, again = f"list(), {DEPTH} at most", "list(), no latency", f"list(), {DEPTH} at most, again"
    default, hand = "list(), default options", f"hand-written, tuned, {DEPTH} in flight"
    with bench.ours(steady=True) as worker:
        entries = [
            Entry(ours, worker, "sdk.typed", far, deep),
            Entry(again, worker, "sdk.typed", far, deep),
            Entry(own, worker, "sdk.typed", near, deep),
            Entry(default, worker, "sdk.typed", far),
            Entry(hand, worker, "hand.tuned", far, {"in_flight": DEPTH}),
        ]
        section.samples = in_turns(entries, bench.rounds_of(7))
    section.figures = [
        ratio(section.samples, ours, own, at_least(0.85), name=f"{ours}, {LATENCY:g} ms / no latency"),
        ratio(section.samples, ours, hand),
        ratio(section.samples, default, own),
        ratio(section.samples, ours, again, name="A/A: list() / list()"),
    ]
    return section


def default_options(bench: Bench) -> Section:
    """Compare the default limit, which adapts, with the best of several fixed ones."""
    pages = PAGES_IF_QUICK
    section = Section(
        "Default options with latency",
        f"Typed rows, {pages} pages per slice, one process. Without `max_concurrency`, the limit of requests "
        f"in flight adapts to the server; the others are fixed: {', '.join(map(str, LIMITS))}.",
    )
    with bench.ours(steady=True) as worker:
        for latency in LATENCIES:
            served = bench.pages(pages, latency=latency)
            for verb, slice_ in {"list()": "sdk.typed", "pull()": "sdk.pulled"}.items():
                default = f"{verb}, {latency:g} ms"
                entries = [Entry(default, worker, slice_, served)]
                entries += [
                    Entry(
                        f"{default}, max_concurrency={limit}",
                        worker,
                        slice_,
                        served,
                        {"max_concurrency": limit},
                    )
                    for limit in LIMITS
                ]
                found = in_turns(entries, bench.rounds_of(3))
                best = best_of(found, [each.name for each in entries[1:]])
                section.samples |= found
                name = f"{default} / the best fixed limit"
                section.figures.append(ratio(found, default, best, at_least(0.9), name=name))
    return section


def rivals(bench: Bench) -> Section:
    pages = PAGES_IF_QUICK if bench.quick else PAGES
    section = Section(
        f"{LATENCY:g} ms per request, compared with other clients",
        f"{pages} pages per slice for list() with at most {DEPTH} in flight, {PAGES_SIDE_BY_SIDE} for the "
        f"generated client with as many, {PAGES_IN_LINE} for those that request one page after another; "
        "processes restart in each round.",
    )
    far = bench.pages(pages, latency=LATENCY)
    side_by_side = bench.pages(PAGES_SIDE_BY_SIDE, latency=LATENCY)
    in_line = bench.pages(PAGES_IN_LINE, latency=LATENCY)
    ours, again, deep = "list()", "list() again", {"max_concurrency": DEPTH}
    deferred = "list() as deferred(Invoice), one amount read"
    with ExitStack() as stack:
        entries = [
            Entry(ours, stack.enter_context(bench.ours()), "sdk.typed", far, deep),
            Entry(again, stack.enter_context(bench.ours()), "sdk.typed", far, deep),
            Entry(deferred, stack.enter_context(bench.ours()), "sdk.when_read", far, deep | {"amounts": 1}),
        ]
        found = rivals_of(stack, section, DLT, SINGER, AIRBYTE, OPENAPI_PYTHON_CLIENT)
        for rival, worker in found.items():
            if rival is OPENAPI_PYTHON_CLIENT:
                entries.append(Entry(rival.title, worker, "pull_async", side_by_side, {"in_flight": DEPTH}))
            else:
                entries.append(Entry(rival.title, worker, "pull", in_line))
        section.samples = in_turns(entries, bench.rounds_of(5), restart=True)
    for name in (ours, deferred):
        for rival in found:
            target = at_least(5 if rival is OPENAPI_PYTHON_CLIENT else 10)
            label = f"{name} / {rival.title}, {LATENCY:g} ms"
            section.figures.append(ratio(section.samples, name, rival.title, target, name=label))
    section.figures.append(ratio(section.samples, ours, again, name="A/A: list() / list(), two processes"))
    return section
