"""The report has one section per processor, merged over runs, and the documentation quotes it."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import benchmarks.__main__ as program
from benchmarks import machine, quotes, report
from benchmarks.bench import Bench
from benchmarks.measure import Figure, Sample, Section, Spread, at_least
from benchmarks.results import ProcessorResult, Results, merged


def section(*rounds: float, name: str = "list() / dlt 1.31.0", entry: str = "list()") -> Section:
    """Return a section with one figure, whose target is 2, and one entry, both with these rounds."""
    samples = [
        Sample(wall=1 / value, cpu=1 / value, rows=1000, peak=80_000_000, notes={}) for value in rounds
    ]
    figure = Figure(name, Spread.of(rounds), at_least(2))
    return Section("Typed rows", "Pages of rows.", samples={entry: samples}, figures=[figure])


def processor(*sections: Section | Exception) -> ProcessorResult:
    return ProcessorResult({"system": "any"}, {"rivals": merged("rivals", sections)})


def section_of(text: str, name: str) -> str:
    """Return the part of a report below the heading of a processor."""
    return re.split(r"^## ", text.partition(f"\n## {name}\n")[2], flags=re.MULTILINE)[0]


def run_program(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    outcomes: dict[str, list[Section | BaseException]],
    *options: str,
) -> None:
    """Run the program with workloads that return or raise one outcome per run."""

    def workload(name: str) -> object:
        def run(_: Bench) -> Section:
            outcome = outcomes[name].pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return run

    monkeypatch.setattr(program, "WORKLOADS", {name: workload(name) for name in outcomes})
    monkeypatch.setattr(program, "PageServer", nullcontext)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--to", str(folder), *options])
    program.main()


def test_report_has_a_section_per_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("EPYC", 3.25), ("Xeon", 1.75)):
        monkeypatch.setattr(machine, "processor", lambda name=name: name)
        run_program(monkeypatch, tmp_path, {"rivals": [section(value)]})
    text = (tmp_path / "REPORT.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["EPYC", "Xeon"]
    assert "| list() / dlt 1.31.0 | 3.25 (3.25 to 3.25) x | >= 2 | met |" in section_of(text, "EPYC")
    assert "| list() / dlt 1.31.0 | 1.75 (1.75 to 1.75) x | >= 2 | **missed** |" in section_of(text, "Xeon")


def test_run_replaces_only_the_section_of_its_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = Results({"EPYC": processor(section(3.25)), "Xeon": processor(section(1.75))})
    report.write(tmp_path, old)
    before = (tmp_path / "REPORT.md").read_text()
    monkeypatch.setattr(machine, "processor", lambda: "EPYC")
    run_program(monkeypatch, tmp_path, {"rivals": [section(4.5)]})
    after = (tmp_path / "REPORT.md").read_text()
    assert section_of(after, "Xeon") == section_of(before, "Xeon")
    assert "4.5" in section_of(after, "EPYC")
    assert "3.25" not in section_of(after, "EPYC")
    assert Results.load(tmp_path).processors["Xeon"] == old.processors["Xeon"]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        # All rounds together, the mean of the medians and the last run would each decide otherwise.
        (((1, 2.1, 2.1), (1, 2.2, 2.2), (1, 1, 1)), "2.1 [1, 2.2] (1 to 2.2) x | >= 2 | met"),
        (((9, 1.9, 1.9), (9, 1.8, 1.8), (9, 9, 9)), "1.9 [1.8, 9] (1.8 to 9) x | >= 2 | **missed**"),
    ],
)
def test_target_is_decided_by_the_median_of_the_medians_of_runs(
    runs: tuple[tuple[float, ...], ...], verdict: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_program(monkeypatch, tmp_path, {"rivals": [section(*rounds) for rounds in runs]}, "--runs", "3")
    text = (tmp_path / "REPORT.md").read_text()
    assert text.count(f"| list() / dlt 1.31.0 | {verdict} |") == 2
    assert f"### Targets: {int(verdict.endswith('| met'))} of 1 met" in text
    assert "- runs: 3 of 3, --rounds 15" in text


def test_figure_that_a_run_lacks_has_the_median_of_the_others() -> None:
    results = Results({"EPYC": processor(section(3.0), Section("Typed rows", ""), section(5.0))})
    assert "| list() / dlt 1.31.0 | 4 [3, 5] (3 to 5) x | >= 2 | met |" in report.render(results)


def test_failed_workload_is_shown_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outcomes: dict[str, list[Section | BaseException]] = {
        "raw": [KeyError("lost"), KeyError("lost")],
        "rivals": [section(3), RuntimeError("dlt:\n no memory")],
    }
    with pytest.raises(SystemExit) as ended:
        run_program(monkeypatch, tmp_path, outcomes, "--runs", "2")
    assert ended.value.code == 1
    text = (tmp_path / "REPORT.md").read_text()
    assert "### Targets: 1 of 1 met, 2 of 2 workloads failed\n\n**Failed**: raw, Typed rows." in text
    assert "### raw\n\n**Failed** in run 1 of 2: KeyError: 'lost'\n\n**Failed** in run 2 of 2:" in text
    assert (
        "### Typed rows\n\n**Failed** in run 2 of 2: RuntimeError: dlt: no memory\n\nPages of rows." in text
    )


def test_interrupted_series_leaves_its_complete_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_program(monkeypatch, tmp_path, {"rivals": [section(3), KeyboardInterrupt()]}, "--runs", "3")
    assert "- runs: 1 of 3, --rounds 15" in (tmp_path / "REPORT.md").read_text()


def test_results_are_the_same_after_a_round_trip(tmp_path: Path) -> None:
    with_curve = section(3.0, 4.0)
    with_curve.curve["peak memory, MB"] = [(1000, 80.5), (10_000, 81.0)]
    results = Results({"EPYC": processor(with_curve, with_curve, ValueError("x"))})
    report.write(tmp_path, results)
    assert Results.load(tmp_path) == results
    plots = re.findall(r"\]\((plots/.+?\.svg)\)", (tmp_path / "REPORT.md").read_text())
    assert len(plots) == 1
    assert "80.5" in (tmp_path / plots[0]).read_text()


@pytest.mark.parametrize(
    ("values", "quoted"), [((3.29, 2.99), "2.9"), ((0.29,), "0.29"), ((31.9, 55), "31"), ((10.0, 12), "10")]
)
def test_documentation_quotes_the_lowest_processor_rounded_down(
    values: tuple[float, ...], quoted: str
) -> None:
    results = Results({str(value): processor(section(value)) for value in values})
    text = quotes.filled(f"Before.\n\n{quotes.BEGIN}\nold\n{quotes.END}\n\nAfter.\n", results)
    assert f"| dlt (dicts) | {quoted} |" in text
    assert text.startswith("Before.\n\n")
    assert text.endswith("\n\nAfter.\n")
    assert "old" not in text


def test_documentation_quotes_the_highest_growth_of_memory() -> None:
    name = "growth of the peak over 200,000 rows, at most 8 pages in flight"
    results = Results(
        {
            key: ProcessorResult({}, {"growth": merged("growth", [section(value, name=name)])})
            for key, value in {"EPYC": 8.0, "Xeon": 11.2}.items()
        }
    )
    assert "grows by 12 MB at most" in quotes.filled(quotes.BEGIN + quotes.END, results)


def test_committed_report_and_documentation_are_those_of_the_results() -> None:
    results = Results.load(report.FOLDER)
    written = (report.FOLDER / "REPORT.md").read_text("utf-8")
    assert written == report.render(results), "run python -m benchmarks.report"
    page = quotes.PAGE.read_text("utf-8")
    assert page == quotes.filled(page, results), "run python -m benchmarks.report"
    labels = [*quotes.CLIENTS, *quotes.RATES, *quotes.RATIOS]
    unquoted = [
        label
        for label in labels
        if not re.search(rf"^\| {re.escape(label)} \| [\d.,]+ \|", page, re.MULTILINE)
    ]
    assert not unquoted, "the report has no figure of this name"


@pytest.mark.parametrize(
    ("size", "cache"), [("1024K", "1 MB of L2 per core, "), ("512K", "512 KB of L2 per core, "), (None, "")]
)
def test_processor_is_its_model_cache_and_cores(
    size: str | None, cache: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC\ncache size\t: 9 KB\n")
    for index, (level, bytes_) in enumerate({"1": "32K", "2": size, "3": "32768K"}.items()):
        if bytes_ is not None:
            folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
            folder.mkdir(parents=True)
            (folder / "level").write_text(f"{level}\n")
            (folder / "size").write_text(f"{bytes_}\n")
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert machine.processor(tmp_path) == f"AMD EPYC, {cache}4 cores"
