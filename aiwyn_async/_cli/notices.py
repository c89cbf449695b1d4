"""Notes on stderr about values that a file does not hold as they were received."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.output import say
from aiwyn_async._core.reports import ListReport, PullReport

__all__ = ["say_noticed"]

MOST_NAMED: Final = 10


def say_noticed(report: ListReport | PullReport, plural: str, to: Path, rows: RowOptions) -> None:
    """Say which fields have no column, and how many amounts were rounded.

    Args:
        report: of an export or a sync.
        plural: names the rows.
        to: the file; JSONL holds every field.
        rows: the options of the command.
    """
    if report.unknown_fields and not rows.extra_column and to.suffix.lower() != ".jsonl":
        fields = [
            name if key is None else f"{name} (first in row {key})"
            for name, key in report.unknown_fields.items()
        ]
        more = len(fields) - MOST_NAMED
        named = ", ".join(fields[:MOST_NAMED]) + (f", and {more} more" if more > 0 else "")
        say(f"note: fields that {plural} have no column for: {named}; --extra-column keeps them")
    if report.rounded_amounts:
        amounts = "1 amount was" if report.rounded_amounts == 1 else f"{report.rounded_amounts} amounts were"
        say(f"note: {amounts} rounded to {rows.round_money} decimal places")
