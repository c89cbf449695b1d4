"""Rounds of slices in turns, and the ratios that come of them.

Only ratios of one run count: the machine may be shared, so each round runs every slice once, in random
order, and a ratio is taken round by round. Every run must give all rows, by their number and their ids.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from .lines import Child
from .specs import Served

HALF_A_CENT = Decimal("0.005")
"""What a sum of floats may be off by."""


@dataclass(frozen=True)
class Sample:
    """One run of a slice: seconds, rows, bytes."""

    wall: float
    cpu: float
    rows: int
    peak: int
    notes: dict[str, Any]

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.wall


class Worker(Child):
    """A process with slices in it, by default on one core that is not the server's.

    After the warm-up of a steady one, what exists is left out of all later collections of garbage. Ratios of
    slices in one process are closer for it; between processes it would hide what collections cost.
    """

    def __init__(self, python: Path | str, module: str, *, cores: int = 1, steady: bool = False) -> None:
        super().__init__(python, module)
        self._cores = cores
        self._steady = steady

    def pin(self) -> None:
        self.ask({"do": "pin", "cores": self._cores})

    def settle(self) -> None:
        """To be called after the warm-up."""
        if self._steady:
            self.ask({"do": "freeze"})

    def run(self, name: str, served: Served, *, verify: bool = False, **options: Any) -> Sample:
        spec = served.spec
        job = {
            "url": served.url,
            "api_key": served.api_key,
            "authority": served.authority,
            "rows": spec.rows,
            "first_id": served.first_id,
            "verify": verify,
            "options": options,
        }
        told = self.ask({"do": "run", "slice": name, "job": job})
        rows = options.get("calls", spec.rows)
        assert told["rows"] == rows, f"{name}: {told['rows']} rows came of {rows}"
        if "calls" not in options:
            assert told["ids"] in {None, served.ids}, f"{name}: the ids do not add up"
            if told["total"] is not None:
                off = abs(Decimal(told["total"]) - served.total)
                assert off < HALF_A_CENT, f"{name}: the amounts are off by {off}"
        return Sample(told["wall"], told["cpu"], rows, told["peak"], told["notes"])


@dataclass(frozen=True)
class Entry:
    """One who takes part: a slice of a worker on what is served, under a name for the report."""

    name: str
    worker: Worker
    slice: str
    served: Served
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, *, verify: bool = False) -> Sample:
        return self.worker.run(self.slice, self.served, verify=verify, **self.options)


Samples = dict[str, list[Sample]]


def in_turns(entries: Sequence[Entry], rounds: int, *, anew: bool = False) -> Samples:
    """The samples of each entry, in rounds.

    Args:
        entries: in each round they run in another order.
        rounds: samples of each.
        anew: processes begin anew with each round. Where each entry has its own, that is what makes their
            rates comparable: how memory happens to lie in one holds as long as it lives, up to a tenth.
    """
    workers = {id(entry.worker): entry.worker for entry in entries}.values()
    samples: Samples = {entry.name: [] for entry in entries}
    for number in range(rounds):
        if anew and number:
            for worker in workers:
                worker.begin_anew()
        if anew or not number:
            _warm_up(entries, workers)
        for entry in random.sample(entries, len(entries)):
            samples[entry.name].append(entry.run())
    return samples


def _warm_up(entries: Sequence[Entry], workers: Iterable[Worker]) -> None:
    for entry in entries:
        entry.worker.pin()
        entry.run(verify=True)
    for worker in workers:
        worker.settle()


@dataclass(frozen=True)
class Spread:
    """A median between the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """What a figure should be: at least, or at most."""

    sense: Literal[">=", "<="]
    bound: float

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.sense == ">=" else value <= self.bound


def at_least(bound: float) -> Target:
    return Target(">=", bound)


def at_most(bound: float) -> Target:
    return Target("<=", bound)


@dataclass(frozen=True)
class Figure:
    """One figure of the report, beside its target where it has one."""

    name: str
    spread: Spread
    target: Target | None = None
    unit: str = "x"

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.target.is_met(self.spread.median)


def rate_of(sample: Sample) -> float:
    return sample.rate


def time_of(sample: Sample) -> float:
    """Seconds of CPU a row."""
    return sample.cpu / sample.rows


def thrift_of(sample: Sample) -> float:
    """Rows a second of CPU, which others on the machine disturb less."""
    return sample.rows / sample.cpu


def best_of(samples: Samples, names: Sequence[str]) -> str:
    """The name with the highest median rate."""
    return max(names, key=lambda name: statistics.median(map(rate_of, samples[name])))


def ratio(
    samples: Samples,
    ours: str,
    theirs: str,
    target: Target | None = None,
    *,
    name: str | None = None,
    of: Callable[[Sample], float] = rate_of,
) -> Figure:
    """How many times theirs ours is, round by round."""
    pairs = zip(samples[ours], samples[theirs], strict=True)
    values = [of(one) / of(other) for one, other in pairs]
    return Figure(name or f"{ours} / {theirs}", Spread.of(values), target)


@dataclass
class Section:
    """A workload's part of the report."""

    title: str
    about: str
    unit: str = "rows"
    samples: Samples = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Measures over a number of rows, for a plot each."""
