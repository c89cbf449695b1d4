"""Run slices in rounds and compute the ratios between them.

Only ratios of one run are comparable, since the machine may be shared: each round runs every slice once, in
random order, and a ratio is computed per round. Every run must yield all rows, by their number and ids.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from .lines import ROOT, Child
from .specs import Served

HALF_A_CENT = Decimal("0.005")
"""The allowed error of a sum of floats."""


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
        """Rows per second."""
        return self.rows / self.wall


class Worker(Child):
    """A process that runs slices, by default on one core that is not the server's.

    After its warm-up, a steady worker freezes its objects, so that garbage collections skip them. Ratios of
    slices in one process vary less then; between processes this would hide the cost of collections.
    """

    def __init__(
        self,
        python: Path | str,
        module: str,
        *,
        cores: int = 1,
        steady: bool = False,
        folder: Path = ROOT,
    ) -> None:
        super().__init__(python, module, folder=folder)
        self._cores = cores
        self._steady = steady

    def pin(self) -> None:
        self.ask({"do": "pin", "cores": self._cores})

    def settle(self) -> None:
        """Freeze the objects of a steady worker; call it after the warm-up."""
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
        result = self.ask({"do": "run", "slice": name, "job": job})
        rows = options.get("calls", spec.rows)
        assert result["rows"] == rows, f"{name}: {result['rows']} of {rows} rows received"
        if "calls" not in options:
            assert result["ids"] in {None, served.ids}, f"{name}: the ids do not add up"
            if result["total"] is not None:
                off = abs(Decimal(result["total"]) - served.total)
                assert off < HALF_A_CENT, f"{name}: the amounts are off by {off}"
        return Sample(result["wall"], result["cpu"], rows, result["peak"], result["notes"])


@dataclass(frozen=True)
class Entry:
    """One participant: a slice of a worker, what it reads, and its name in the report."""

    name: str
    worker: Worker
    slice: str
    served: Served
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, *, verify: bool = False) -> Sample:
        return self.worker.run(self.slice, self.served, verify=verify, **self.options)


Samples = dict[str, list[Sample]]


def in_turns(entries: Sequence[Entry], rounds: int, *, restart: bool = False) -> Samples:
    """Run the entries in rounds and return the samples of each.

    Args:
        entries: run in another order in each round.
        rounds: samples per entry.
        restart: restart the processes in each round. If each entry has its own process, this makes rates
            comparable: the memory layout of a process affects its rate by up to a tenth, for its lifetime.
    """
    workers = {id(entry.worker): entry.worker for entry in entries}.values()
    samples: Samples = {entry.name: [] for entry in entries}
    for number in range(rounds):
        if restart and number:
            for worker in workers:
                worker.restart()
        if restart or not number:
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
    """A median with its minimum and maximum."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """The bound of a figure."""

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
    """One figure of the report, with its target if it has one."""

    name: str
    spread: Spread
    target: Target | None = None
    unit: str = "x"


def rate_of(sample: Sample) -> float:
    return sample.rate


def time_of(sample: Sample) -> float:
    """CPU seconds per row."""
    return sample.cpu / sample.rows


def thrift_of(sample: Sample) -> float:
    """Rows per CPU second, which depends less on other programs on the machine."""
    return sample.rows / sample.cpu


def best_of(samples: Samples, names: Sequence[str]) -> str:
    """Return the name with the highest median rate."""
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
    """Return the ratio of two entries, computed per round."""
    pairs = zip(samples[ours], samples[theirs], strict=True)
    values = [of(one) / of(other) for one, other in pairs]
    return Figure(name or f"{ours} / {theirs}", Spread.of(values), target)


@dataclass
class Section:
    """The section of a workload in the report."""

    title: str
    about: str
    unit: str = "rows"
    samples: Samples = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Measures by number of rows; each is a plot."""
