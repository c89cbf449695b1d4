"""Typed rows of many pages without latency, compared with hand-written clients and rivals."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench, rivals_of
from benchmarks.environments import (
    AIRBYTE,
    DLT,
    HTTPX_PYDANTIC,
    OPENAPI_GENERATOR,
    OPENAPI_PYTHON_CLIENT,
    SINGER,
    STAINLESS,
    Rival,
)
from benchmarks.measure import Entry, Section, Target, Worker, at_least, best_of, in_turns, ratio, thrift_of
from benchmarks.specs import Served

PAGES = 24
PAGES_SIDE_BY_SIDE = 40
PAGES_OF_A_RIVAL = 8
"""Some clients take seconds for these; the first and last request hardly matter."""
ROUNDS_IN_ONE_PROCESS = 6
"""Factor of the rounds: slices are short, and ratios are near 1."""
SDK, AGAIN, PRIMED = "list()", "list() again", "list() after prime_allocator()"
DEFERRED = "list() as deferred(Invoice), one amount read"
TUNED, OBVIOUS = "hand-written, tuned", "hand-written, obvious"
IN_BLOCKS = "hand-written, tuned, in blocks"
IN_FLIGHT = 8


def by_hand(bench: Bench) -> Section:
    section = Section(
        "Typed rows beside a hand-written client",
        f"`async for` over exact, typed rows; one process, slices of {PAGES} pages in turns, no latency.",
    )
    served = bench.pages(PAGES)
    with bench.ours(steady=True) as worker:
        slices = {SDK: "sdk.typed", AGAIN: "sdk.typed", TUNED: "hand.tuned", IN_BLOCKS: "hand.in_blocks"}
        entries = [Entry(name, worker, slice_, served) for name, slice_ in slices.items()]
        section.samples = in_turns(entries, ROUNDS_IN_ONE_PROCESS * bench.rounds)
    section.figures = [
        ratio(section.samples, SDK, TUNED, at_least(0.95)),
        ratio(section.samples, SDK, TUNED, name=f"{SDK} / {TUNED}, by CPU", of=thrift_of),
        ratio(section.samples, SDK, IN_BLOCKS),
        ratio(section.samples, SDK, IN_BLOCKS, name=f"{SDK} / {IN_BLOCKS}, by CPU", of=thrift_of),
        ratio(section.samples, SDK, AGAIN, name="A/A: list() / list()"),
        ratio(section.samples, SDK, AGAIN, name="A/A: list() / list(), by CPU", of=thrift_of),
    ]
    section.notes = [
        "Tuned: the SDK's own Struct, one decoder built once, ordered prefetch, four in flight.",
        "In blocks: the same, decoded in blocks as `list()` does; for pages in exactly this format.",
    ]
    return section


TARGETS: dict[Rival, Target | None] = {
    OPENAPI_PYTHON_CLIENT: at_least(4.5),
    OPENAPI_GENERATOR: at_least(6),
    HTTPX_PYDANTIC: at_least(5),
    STAINLESS: at_least(35),
    DLT: at_least(3),
    AIRBYTE: at_least(2.5),
    SINGER: None,
}
TARGETS_OF_DEFERRED: dict[Rival, Target | None] = {OPENAPI_PYTHON_CLIENT: at_least(8)}


def rivals(bench: Bench) -> Section:
    section = Section(
        "Typed rows beside other clients",
        f"Each in its own environment and process, restarted in each round; {PAGES_SIDE_BY_SIDE} "
        f"pages per slice, {PAGES_OF_A_RIVAL} for clients that are not written here, no latency.",
    )
    served, less = bench.pages(PAGES_SIDE_BY_SIDE), bench.pages(PAGES_OF_A_RIVAL)
    with ExitStack() as stack:
        own = {
            SDK: "sdk.typed",
            AGAIN: "sdk.typed",
            PRIMED: "sdk.typed_primed",
            TUNED: "hand.tuned",
            OBVIOUS: "hand.obvious",
        }
        entries = [
            Entry(name, stack.enter_context(bench.ours()), slice_, served) for name, slice_ in own.items()
        ]
        entries.append(
            Entry(DEFERRED, stack.enter_context(bench.ours()), "sdk.when_read", served, {"amounts": 1})
        )
        names: dict[Rival, list[str]] = {}
        for rival, worker in rivals_of(stack, section, *TARGETS).items():
            joined = _ways(rival, worker, less)
            names[rival] = [entry.name for entry in joined]
            entries += joined
        section.samples = in_turns(entries, bench.rounds, restart=True)
    section.figures = [
        ratio(section.samples, SDK, TUNED),
        ratio(section.samples, PRIMED, SDK),
        ratio(section.samples, SDK, OBVIOUS, at_least(1.05)),
        ratio(section.samples, DEFERRED, OBVIOUS, at_least(1.5)),
    ]
    # With the switch, ratios have no target: targets are for the default.
    all_targets = {SDK: TARGETS, PRIMED: dict.fromkeys(TARGETS), DEFERRED: TARGETS | TARGETS_OF_DEFERRED}
    for ours, targets in all_targets.items():
        section.figures += [
            ratio(
                section.samples,
                ours,
                best_of(section.samples, names[rival]),
                target,
                name=f"{ours} / {rival.title}",  # the same in all runs, whichever way is faster
            )
            for rival, target in targets.items()
            if rival in names
        ]
    section.figures.append(ratio(section.samples, SDK, AGAIN, name="A/A: list() / list(), two processes"))
    section.notes += [
        "Obvious: a plain Struct with lists, a decoder per page, eight pages gathered at a time.",
        "Money is exact for list() and httpx+pydantic, and float for the generated clients and Stainless.",
        "Rows of dlt, singer-sdk and airbyte-cdk are unchecked dicts.",
        "If a client has two ways, the faster one counts.",
    ]
    return section


def _ways(rival: Rival, worker: Worker, served: Served) -> list[Entry]:
    """Entries for each way to pull with a rival."""

    def way(label: str, slice_: str, in_flight: int) -> Entry:
        return Entry(f"{rival.title}, {label}", worker, slice_, served, {"in_flight": in_flight})

    if rival is OPENAPI_PYTHON_CLIENT:
        return [way("blocking", "pull", 1), way("async, 8 in flight", "pull_async", IN_FLIGHT)]
    if rival is OPENAPI_GENERATOR:
        return [way("1 in flight", "pull", 1), way("8 in flight", "pull", IN_FLIGHT)]
    if rival is HTTPX_PYDANTIC:
        return [way("8 in flight", "pull", IN_FLIGHT)]
    return [way("1 in flight", "pull", 1)]
