"""Render `REPORT.md` and its plots from `report.json`: `python -m benchmarks.report`."""

from __future__ import annotations

import re
from pathlib import Path

from . import quotes
from .measure import Spread
from .plots import curve
from .results import EntryResult, FigureResult, ProcessorResult, Results, WorkloadResult

FOLDER = Path(__file__).parent
VERDICTS = {None: "", True: "met", False: "**missed**"}
HEAD = """# Benchmarks

Written by `python -m benchmarks`; not edited by hand. A run replaces the section of its own
processor and no other.

Every round runs each entry once, in random order, and ratios are computed per round. A figure such as
`1.38 [1.31, 1.42] (0.88 to 2.2) x` is the median of the runs' medians, in brackets the lowest and the
highest median if there are several runs, and in parentheses the lowest and the highest round. Processes
restart between runs. The median of the medians decides whether a target is met.

Rates of one table are comparable; those of two runs are not, since the machine may be shared. "A/A" compares
the same code with itself: a difference of that size is noise. Every run yielded all rows: their number and
the sum of their ids were compared, and in the first run of each entry the sum of the amounts too, to the
cent. Peak RSS is that of a process, which several entries may share."""


def write(folder: Path, results: Results) -> None:
    """Write the report and its plots to a folder; also the figures of the documentation, if it is ours."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    results.save(folder)
    (folder / "REPORT.md").write_text(render(results), encoding="utf-8")
    for name, result in results.processors.items():
        for workload in result.workloads.values():
            for title, points in workload.curve.items():
                (plots / _plot(name, title)).write_text(curve(title, points), encoding="utf-8")
    if folder.resolve() == FOLDER.resolve():
        quotes.write(results)


def render(results: Results) -> str:
    """Return the text of `REPORT.md`."""
    parts = [HEAD]
    for name, result in results.processors.items():
        parts += _processor(name, result)
    return "\n\n".join(parts) + "\n"


def _processor(name: str, result: ProcessorResult) -> list[str]:
    facts = "\n".join(f"- {title}: {value}" for title, value in result.about.items())
    parts = [f"## {name}", facts, *_summary(result)]
    for workload in result.workloads.values():
        parts += _workload(workload)
        parts += [f"![{title} by number of rows](plots/{_plot(name, title)})" for title in workload.curve]
    return parts


def _plot(processor: str, title: str) -> str:
    return "_".join(re.findall(r"\w+", f"{processor} {title}")) + ".svg"


def _summary(result: ProcessorResult) -> list[str]:
    figures = [figure for workload in result.workloads.values() for figure in workload.figures]
    figures = [figure for figure in figures if figure.target]
    met = sum(figure.is_met is True for figure in figures)
    failed = [workload.title for workload in result.workloads.values() if workload.failures]
    title = f"### Targets: {met} of {len(figures)} met"
    if failed:
        title += f", {len(failed)} of {len(result.workloads)} workloads failed"
    return [title, *([f"**Failed**: {', '.join(failed)}."] if failed else []), _figures(figures)]


def _workload(workload: WorkloadResult) -> list[str]:
    parts = [f"### {workload.title}", *(f"**Failed** in {failure}" for failure in workload.failures)]
    if workload.about:
        parts.append(workload.about)
    if workload.entries:
        parts.append(_rates(workload))
    if workload.figures:
        parts.append(_figures(workload.figures))
    if workload.notes:
        parts.append("\n".join(f"- {note}" for note in workload.notes))
    return parts


def _rates(workload: WorkloadResult) -> str:
    unit = workload.unit
    one = unit.removesuffix("s") if unit != "searches" else "search"
    head = f"| | {unit} per second | CPU us per {one} | peak RSS MB |\n|---|---|---|---|"
    return "\n".join([head, *(_rate(name, entry) for name, entry in workload.entries.items())])


def _rate(name: str, entry: EntryResult) -> str:
    rounds = [rate for rates in entry.rates for rate in rates]
    rate = _spread(entry.medians, (min(rounds), max(rounds)), len(entry.rates), ",.0f")
    return f"| {name} | {rate} | {Spread.of(entry.cpu).median:.2f} | {entry.peak:.0f} |"


def _figures(figures: list[FigureResult]) -> str:
    head = "| | median [medians of runs] (rounds) | target | |\n|---|---|---|---|"
    return "\n".join([head, *map(_figure, figures)])


def _figure(figure: FigureResult) -> str:
    value = f"{_spread(figure.medians, figure.rounds, len(figure.spreads), '.3g')} {figure.unit}"
    target = f"{figure.target.sense} {figure.target.bound:g}" if figure.target else ""
    return f"| {figure.name} | {value} | {target} | {VERDICTS[figure.is_met]} |"


def _spread(medians: Spread, rounds: tuple[float, float], runs: int, style: str) -> str:
    text = f"{medians.median:{style}}"
    if runs > 1:
        text += f" [{medians.minimum:{style}}, {medians.maximum:{style}}]"
    return f"{text} ({rounds[0]:{style}} to {rounds[1]:{style}})"


if __name__ == "__main__":
    write(FOLDER, Results.load(FOLDER))
