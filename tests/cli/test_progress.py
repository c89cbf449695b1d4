"""What a person sees of a long command: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from aiwyn_async._cli.progress import PlainLines, ProgressBar
from aiwyn_async._pull.progress import Progress, RangeProgress


class Watch:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def progress(rows: int, *ranges: RangeProgress, expected: int | None = 100_000, retries: int = 0) -> Progress:
    eta = None if expected is None else 2.0
    return Progress(rows, expected, 45_000.0, eta, retries, 1, ranges)


def test_a_line_every_few_seconds_of_work_and_none_for_what_is_done_sooner() -> None:
    watch, told = Watch(), list[str]()
    with PlainLines("invoices", now=watch, tell=told.append) as lines:
        for seconds, rows in [(0.0, 1000), (4.9, 8000), (0.1, 12_000), (3.0, 20_000), (2.0, 30_000)]:
            watch.seconds += seconds
            lines.update(progress(rows))
    assert told == [
        "12,000 of 100,000 invoices, 45,000 rows/s, 2 s left",
        "30,000 of 100,000 invoices, 45,000 rows/s, 2 s left",
    ]


def test_a_line_without_a_count_and_with_retries() -> None:
    watch, told = Watch(), list[str]()
    with PlainLines("payments", now=watch, tell=told.append) as lines:
        watch.seconds += 10
        lines.update(progress(1200, expected=None, retries=3))
        watch.seconds += 10
        lines.count(4000)
    assert told == ["1,200 payments, 45,000 rows/s, 3 retries", "4,000 payments, 200 rows/s"]


def test_ranges_have_bars_that_come_and_go_as_ranges_are_cut() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    low, high = RangeProgress("keys up to 50", 0.5, 20), RangeProgress("keys above 50", 0.1, 5)
    with ProgressBar("invoices", to=terminal) as bar:
        bar.update(progress(10, low))
        assert shown(bar) == ["invoices"]
        bar.update(progress(25, low, high))
        assert shown(bar) == ["invoices", "  keys up to 50", "  keys above 50"]
        bar.update(progress(30, RangeProgress("keys up to 20", 0.9, 20), high))
        assert shown(bar) == ["invoices", "  keys above 50", "  keys up to 20"]
        bar.update(progress(100_000))
        assert shown(bar) == ["invoices"]
        bar.count(7)


def shown(bar: ProgressBar) -> list[str]:
    return [task.description for task in bar._bars.tasks]  # pyright: ignore[reportPrivateUsage]
