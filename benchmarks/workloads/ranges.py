"""`pull()` with several key ranges."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, in_turns, ratio

PAGES = 32
RANGES = (1, 2, 4, 8)
LATENCY = 50.0


def of_a_pull(bench: Bench) -> Section:
    section = Section(
        "Key ranges",
        f"`invoices.pull(ranges=N)`, {PAGES} pages per slice, without latency and with {LATENCY:g} ms.",
    )
    with bench.ours(steady=True) as worker:
        for latency in (0.0, LATENCY):
            label = f", {latency:g} ms"
            served = bench.pages(PAGES, latency=latency)
            entries = [
                Entry(f"pull(ranges={ranges}){label}", worker, "sdk.by_ranges", served, {"ranges": ranges})
                for ranges in RANGES
            ]
            entries.append(Entry(f"search(){label}", worker, "sdk.searched", served))
            entries.append(Entry(f"search(){label}, again", worker, "sdk.searched", served))
            found = in_turns(entries, bench.rounds_of(5))
            section.samples |= found
            section.figures += [
                ratio(found, f"pull(ranges={ranges}){label}", f"search(){label}") for ranges in RANGES
            ]
            name = f"A/A: search() / search(){label}"
            section.figures.append(ratio(found, f"search(){label}", f"search(){label}, again", name=name))
    return section
