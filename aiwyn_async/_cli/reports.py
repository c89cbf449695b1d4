"""Messages that ``export`` and ``sync`` share.

They name problems, and values that were changed or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.output import write_error, write_message
from aiwyn_async._cli.translations import to_flags
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async.export._formats import suffix_of

MAX_NAMED_FIELDS: Final = 10


def write_notes(
    report: ListReport | PullReport, plural: str, to: Path, rows: RowOptions, *, is_one_of_many: bool = False
) -> None:
    """Name the fields without a column, and count the rounded amounts."""
    is_jsonl = suffix_of(to).startswith((".jsonl", ".ndjson"))
    if report.unknown_fields and not rows.extra_column and not is_jsonl:
        fields = [
            name if key is None else f"{name} (first at key {key})"
            for name, key in report.unknown_fields.items()
        ]
        more = len(fields) - MAX_NAMED_FIELDS
        named = ", ".join(fields[:MAX_NAMED_FIELDS]) + (f", and {more} more" if more > 0 else "")
        write_message(
            f"note: {plural} have no column for the fields {named}; pass --extra-column to keep them"
        )
    if report.rounded_amounts:
        amounts = "1 amount was" if report.rounded_amounts == 1 else f"{report.rounded_amounts} amounts were"
        subject = f"{plural}: " if is_one_of_many else ""
        write_message(f"note: {subject}{amounts} rounded to {rows.round_money} decimal places")


def write_problems(problems: Sequence[str], *, of: str | None = None) -> ExitCode:
    """Write why a result is not proven complete, and return the exit code."""
    subject = "" if of is None else f"{of}: "
    for problem in problems:
        write_error(f"{subject}not proven complete: {to_flags(problem)}")
    return ExitCode.INCOMPLETE if problems else ExitCode.OK
