"""Check that the page server does not limit the measurements."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measure import Entry, Figure, Section, Spread, in_turns, ratio

PAGES = 40
PULLS = 5


def is_no_bottleneck(bench: Bench) -> Section:
    section = Section(
        "The server",
        "A hand-written reader that decodes nothing, and the CPU share of the server during it "
        "and while `list()` reads.",
    )
    served = bench.pages(PAGES)
    with bench.ours(steady=True) as worker:
        slices = {"bytes alone": "hand.raw", "bytes alone, again": "hand.raw", "list()": "sdk.typed"}
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, bench.rounds_of(7))
        section.figures = [
            Figure(f"busy server, {entry.name}", Spread.of(_shares(bench, entry)), unit="of a core")
            for entry in entries
            if not entry.name.endswith("again")
        ]
    section.figures += [
        ratio(section.samples, "bytes alone", "list()"),
        ratio(section.samples, "bytes alone", "bytes alone, again", name="A/A: bytes / bytes"),
    ]
    return section


def _shares(bench: Bench, entry: Entry) -> list[float]:
    shares = []
    for _ in range(PULLS):
        before = bench.server.seconds_of_cpu()
        sample = entry.run()
        shares.append((bench.server.seconds_of_cpu() - before) / sample.wall)
    return shares
