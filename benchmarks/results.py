"""What `report.json` contains: the results of each processor, each of one or more runs."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from .measure import Figure, Sample, Section, Spread, Target

NAME = "report.json"
MAX_ERROR = 300


@dataclass
class FigureResult:
    """A figure with its spread over the rounds of each run. The median of the runs' medians decides."""

    name: str
    unit: str
    target: Target | None
    spreads: list[Spread]

    @property
    def medians(self) -> Spread:
        return Spread.of([spread.median for spread in self.spreads])

    @property
    def rounds(self) -> tuple[float, float]:
        """The lowest and the highest round of all runs."""
        return min(spread.minimum for spread in self.spreads), max(spread.maximum for spread in self.spreads)

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.target.is_met(self.medians.median)


@dataclass
class EntryResult:
    """The rates of each run's rounds, the median CPU time of each run in us per row, the peak RSS in MB."""

    rates: list[list[float]]
    cpu: list[float]
    peak: float

    @property
    def medians(self) -> Spread:
        return Spread.of([statistics.median(rates) for rates in self.rates])


@dataclass
class WorkloadResult:
    """The sections of one workload, merged over the runs."""

    title: str
    about: str
    unit: str
    entries: dict[str, EntryResult] = field(default_factory=dict)
    figures: list[FigureResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass
class ProcessorResult:
    about: dict[str, str]
    workloads: dict[str, WorkloadResult]


@dataclass
class Results:
    processors: dict[str, ProcessorResult] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read the results in a folder; none if it has no file of them."""
        path = folder / NAME
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def save(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1)
        # A list of numbers is one line, so that differences between two versions are legible.
        text = re.sub(r"\[[\d\s.,e+-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")


def merged(name: str, outcomes: Sequence[Section | Exception]) -> WorkloadResult:
    """Merge the outcomes of a workload's runs: a section, or the error that ended the run."""
    sections = [outcome for outcome in outcomes if isinstance(outcome, Section)]
    result = WorkloadResult(name, "", "rows")
    if sections:
        result = WorkloadResult(sections[0].title, sections[0].about, sections[0].unit)
    for section in sections:
        for entry, samples in section.samples.items():
            _add_samples(result.entries, entry, samples)
        _add_figures(result.figures, section.figures)
        result.notes += [note for note in section.notes if note not in result.notes]
        for title, points in section.curve.items():
            result.curve.setdefault(title, []).extend(points)
    result.curve = {title: _median_points(points) for title, points in result.curve.items()}
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Exception):
            error = " ".join(f"{type(outcome).__name__}: {outcome}".split())[:MAX_ERROR]
            result.failures.append(f"run {number} of {len(outcomes)}: {error}")
    return result


def _add_samples(entries: dict[str, EntryResult], name: str, samples: Sequence[Sample]) -> None:
    entry = entries.setdefault(name, EntryResult([], [], 0))
    entry.rates.append([round(sample.rate, 1) for sample in samples])
    entry.cpu.append(_rounded(statistics.median(sample.cpu / sample.rows for sample in samples) * 1e6))
    entry.peak = max(entry.peak, *(round(sample.peak / 1e6, 1) for sample in samples))


def _add_figures(results: list[FigureResult], figures: Sequence[Figure]) -> None:
    by_name = {result.name: result for result in results}
    for figure in figures:
        if figure.name not in by_name:
            by_name[figure.name] = FigureResult(figure.name, figure.unit, figure.target, [])
            results.append(by_name[figure.name])
        spread = figure.spread
        by_name[figure.name].spreads.append(
            Spread(_rounded(spread.median), _rounded(spread.minimum), _rounded(spread.maximum))
        )


def _median_points(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the median for each number of rows."""
    by_rows: dict[int, list[float]] = {}
    for rows, value in points:
        by_rows.setdefault(rows, []).append(value)
    return [(rows, _rounded(statistics.median(values))) for rows, values in by_rows.items()]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
