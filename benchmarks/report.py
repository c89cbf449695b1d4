"""Write the report: `REPORT.md`, its plots, and its figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .measure import Figure, Sample, Section, Spread
from .plots import curve

VERDICTS = {None: "", True: "met", False: "**missed**"}


def write(folder: Path, about: Mapping[str, str], sections: Mapping[str, Section]) -> None:
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    parts = [_head(about), _summary(sections)]
    for section in sections.values():
        parts.append(_section(section))
        for title, points in section.curve.items():
            name = f"{title.replace(',', '').replace(' ', '_')}.svg"
            (plots / name).write_text(curve(title, points))
            parts.append(f"![{title} over rows](plots/{name})")
    (folder / "REPORT.md").write_text("\n\n".join(parts) + "\n")
    (folder / "report.json").write_text(json.dumps(_raw(about, sections), indent=1) + "\n")


def _head(about: Mapping[str, str]) -> str:
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    return f"""# Benchmarks

Written by a run of the command below; not edited by hand.

{facts}

Every round runs each entry once, in random order, and ratios are computed per round: median [minimum
maximum]. Rates of one table are comparable; those of two runs are not, since the machine may be shared.
"A/A" compares the same code with itself: a difference of that size is noise. Every run yielded all rows:
their number and the sum of their ids were compared, and in the first run of each entry the sum of the
amounts too, to the cent. The median decides whether a target is met. Peak RSS is that of a process, which
several entries may share."""


def _summary(sections: Mapping[str, Section]) -> str:
    figures = [figure for section in sections.values() for figure in section.figures if figure.target]
    met = sum(figure.is_met is True for figure in figures)
    return f"## Targets: {met} of {len(figures)} met\n\n{_figures(figures)}"


def _section(section: Section) -> str:
    parts = [f"## {section.title}", section.about]
    if section.samples:
        parts.append(_rates(section))
    if section.figures:
        parts.append(_figures(section.figures))
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join(parts)


def _rates(section: Section) -> str:
    one = section.unit.removesuffix("s") if section.unit != "searches" else "search"
    head = f"| | {section.unit} per second | CPU us per {one} | peak RSS MB |\n|---|---|---|---|"
    return "\n".join([head, *(_rate(name, value) for name, value in section.samples.items())])


def _rate(name: str, samples: list[Sample]) -> str:
    rates = Spread.of([sample.rate for sample in samples])
    cost = Spread.of([sample.cpu / sample.rows * 1e6 for sample in samples])
    peak = max(sample.peak for sample in samples) / 1e6
    rate = f"{rates.median:,.0f} [{rates.minimum:,.0f} {rates.maximum:,.0f}]"
    return f"| {name} | {rate} | {cost.median:.2f} | {peak:.0f} |"


def _figures(figures: list[Figure]) -> str:
    head = "| | median [minimum maximum] | target | |\n|---|---|---|---|"
    return "\n".join([head, *map(_figure, figures)])


def _figure(figure: Figure) -> str:
    spread = figure.spread
    value = f"{spread.median:.3g} [{spread.minimum:.3g} {spread.maximum:.3g}] {figure.unit}"
    target = f"{figure.target.sense} {figure.target.bound:g}" if figure.target else ""
    return f"| {figure.name} | {value} | {target} | {VERDICTS[figure.is_met]} |"


def _raw(about: Mapping[str, str], sections: Mapping[str, Section]) -> dict[str, Any]:
    return {
        "about": dict(about),
        "workloads": {
            name: {
                "rates": {
                    entry: [round(sample.rate, 1) for sample in value]
                    for entry, value in section.samples.items()
                },
                "figures": [asdict(figure) | {"met": figure.is_met} for figure in section.figures],
                "notes": section.notes,
            }
            for name, section in sections.items()
        },
    }
