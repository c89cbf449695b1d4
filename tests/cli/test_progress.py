"""Progress of a long command: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import io

from rich.console import Console

from aiwyn_async._cli.progress import ProgressBars, ProgressLines
from aiwyn_async._cli.waiting import WaitingMessages
from aiwyn_async._core.observer import AttemptEnd, CallEnd, ObservedCall
from aiwyn_async._pull.progress import Progress, RangeProgress


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def progress(rows: int, *ranges: RangeProgress, expected: int | None = 100_000, retries: int = 0) -> Progress:
    eta = None if expected is None else 2.0
    return Progress(rows, expected, 45_000.0, eta, retries, 1, ranges)


def test_progress_lines_are_written_every_five_seconds() -> None:
    watch, written = Watch(), list[str]()
    with ProgressLines("invoices", clock=watch, write=written.append) as lines:
        for seconds, rows in [(0.0, 1000), (4.9, 8000), (0.1, 12_000), (3.0, 20_000), (2.0, 30_000)]:
            watch.seconds += seconds
            lines.update(progress(rows))
    assert written == [
        "12,000 of 100,000 invoices, 45,000 rows/s, 2 s left",
        "30,000 of 100,000 invoices, 45,000 rows/s, 2 s left",
    ]


def test_progress_line_shows_retries_without_a_total() -> None:
    watch, written = Watch(), list[str]()
    with ProgressLines("payments", clock=watch, write=written.append) as lines:
        watch.seconds += 10
        lines.update(progress(1200, expected=None, retries=3))
        watch.seconds += 10
        lines.count(4000)
    assert written == ["1,200 payments, 45,000 rows/s, 3 retries", "4,000 payments, 200 rows/s"]


def test_progress_bars_follow_the_key_ranges() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    low, high = RangeProgress("keys up to 50", 0.5, 20), RangeProgress("keys above 50", 0.1, 5)
    with ProgressBars("invoices", console=terminal) as bar:
        bar.update(progress(10, low))
        assert shown(bar) == ["invoices"]
        bar.update(progress(25, low, high))
        assert shown(bar) == ["invoices", "  keys up to 50", "  keys above 50"]
        bar.update(progress(30, RangeProgress("keys up to 20", 0.9, 20), high))
        assert shown(bar) == ["invoices", "  keys above 50", "  keys up to 20"]
        bar.update(progress(100_000))
        assert shown(bar) == ["invoices"]
        bar.count(7)


def test_waiting_messages_are_written_after_ten_seconds_without_output() -> None:
    watch, written, output = Watch(), list[str](), [100.0]
    messages = WaitingMessages(clock=watch, last_output=lambda: output[0], write=written.append)
    call = ObservedCall(kind="request", method="GET", path="/", template=None, base_url="https://host")
    attempt = AttemptEnd(
        number=1, status=200, error_type=None, elapsed=1, queued=0, waited=0, request_id=None, bytes=0
    )
    messages.call_started(call)
    for seconds, receives in [(9, False), (1, False), (9, True), (1, False)]:
        watch.seconds += seconds
        if receives:
            messages.attempt_ended(call, attempt)
        messages.check()
    output[0] = watch.seconds + 5
    watch.seconds += 14
    messages.check()
    assert written == [
        "waiting for the server: no response for 10 s",
        "reading: 1 response in 20 s",
    ]


def test_waiting_messages_are_not_written_while_no_call_is_in_flight() -> None:
    watch, written = Watch(), list[str]()
    messages = WaitingMessages(clock=watch, last_output=lambda: 0.0, write=written.append)
    call = ObservedCall(kind="request", method="GET", path="/", template=None, base_url="https://host")
    end = CallEnd(
        status=200, error_type=None, attempts=1, elapsed=1, queued=0, waited=0, request_id=None, bytes=0
    )
    for seconds in (30, 9, 3):
        watch.seconds += 60
        messages.check()
        messages.call_started(call)
        watch.seconds += seconds
        messages.check()
        messages.call_ended(call, end)
    assert written == ["waiting for the server: no response for 30 s"]


def shown(bar: ProgressBars) -> list[str]:
    return [task.description for task in bar._bars.tasks]  # pyright: ignore[reportPrivateUsage]
