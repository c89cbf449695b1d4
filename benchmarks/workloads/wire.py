"""The cost of compression and TLS."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Section, in_turns, ratio

PAGES = 16


def gzip_and_tls(bench: Bench) -> Section:
    section = Section(
        "gzip and TLS", f"Typed rows, {PAGES} pages per slice, one process, no latency; gzip at level 6."
    )
    ways = {
        "plain": bench.pages(PAGES),
        "gzip": bench.pages(PAGES, gzip=True),
        "TLS": bench.pages(PAGES, tls=True),
    }
    with bench.ours(steady=True) as worker:
        entries = [Entry(f"list(), {way}", worker, "sdk.typed", served) for way, served in ways.items()]
        entries += [Entry(f"by hand, {way}", worker, "hand.tuned", served) for way, served in ways.items()]
        entries.append(Entry("list(), gzip, ISA-L", worker, "sdk.typed_with_isal", ways["gzip"]))
        entries.append(Entry("list(), plain, again", worker, "sdk.typed", ways["plain"]))
        section.samples = in_turns(entries, bench.rounds)
    found = section.samples
    section.figures = [ratio(found, f"list(), {way}", f"by hand, {way}") for way in ways]
    section.figures += [ratio(found, f"list(), {way}", "list(), plain") for way in ("gzip", "TLS")]
    section.figures.append(ratio(found, "list(), gzip, ISA-L", "list(), gzip"))
    section.figures.append(ratio(found, "list(), plain", "list(), plain, again", name="A/A: list() / list()"))
    return section
