"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async.errors import ConfigurationError


def _parse_whole_number(_type: Any, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"expected a whole number, got {tokens[0].value!r}") from None


def _parse_path(_type: Any, tokens: Sequence[Token]) -> Path:
    # Path("") is the current folder.
    if not tokens[0].value:
        raise ValueError("expected a path, got ''")
    return Path(tokens[0].value)


FilePath = Annotated[Path, Parameter(converter=_parse_path)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
WholeNumber = Annotated[int, Parameter(converter=_parse_whole_number)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListFilters:
    """Which rows of a list are read."""

    status: Annotated[str | None, Parameter(help="Only rows with this status.")] = None
    client_id: Annotated[str | None, Parameter(help="Only rows of this client.")] = None
    start_date: Annotated[str | None, Parameter(help="Only rows from this date on, ISO 8601.")] = None
    end_date: Annotated[str | None, Parameter(help="Only rows up to this date, ISO 8601.")] = None

    def given(self) -> dict[str, Any]:
        """Return the given filters of ``list()`` by name; a search does not support them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(ListFilters)}
        return {name: value for name, value in values.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FilterOptions(ListFilters):
    """Which rows are read."""

    where: Annotated[str | None, Parameter(help="Search with this condition, as JSON.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows and their values are written."""

    on_bad_row: Annotated[
        OnBadRow,
        Parameter(
            help="What to do with a row that does not decode: raise ends the command; skip and collect write "
            "the row to FILE.bad.jsonl, continue without it, and end with exit code 5."
        ),
    ] = "raise"
    extra_column: Annotated[
        Flag, Parameter(help="Add a column with the fields that have no column, as JSON.")
    ] = False
    round_money: Annotated[
        WholeNumber | None,
        Parameter(help="Round amounts to this many decimal places instead of refusing them."),
    ] = None
    date_columns: Annotated[
        str | None, Parameter(help="Columns to write as dates, separated by commas: issueDate,dueDate.")
    ] = None
    ids: Annotated[Literal["text"] | None, Parameter(help="Write ids as text.")] = None

    @property
    def skips_bad_rows(self) -> bool:
        """True if rows that do not decode are skipped."""
        return self.on_bad_row != "raise"

    def read_arguments(self) -> dict[str, Any]:
        """Return keyword arguments of a read, which collects bad rows for the file."""
        return {"on_bad_row": "collect"} if self.skips_bad_rows else {}

    def column_arguments(self) -> dict[str, Any]:
        """Return keyword arguments of ``export()`` and ``sync()`` for the given options."""
        values: dict[str, Any] = {
            "extra": "json" if self.extra_column else None,
            "round_money": self.round_money,
            "date_columns": split_names("--date-columns", self.date_columns),
            "ids": self.ids,
        }
        return {name: value for name, value in values.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """A sandbox to use instead of the configured server."""

    sandbox: Annotated[Flag, Parameter(help="Use a sandbox that is started for this command.")] = False
    sandbox_invoices: Annotated[
        WholeNumber | None, Parameter(help="Number of invoices in the sandbox; 10000 by default.")
    ] = None
    seed: Annotated[WholeNumber | None, Parameter(help="Seed of the sandbox's data; 7 by default.")] = None

    def arguments(self) -> dict[str, int]:
        """Return keyword arguments of ``Sandbox``."""
        return {
            "invoices": 10_000 if self.sandbox_invoices is None else self.sandbox_invoices,
            "seed": 7 if self.seed is None else self.seed,
        }


def split_names(flag: str, text: str | None) -> tuple[str, ...] | None:
    """Split the value of a flag at its commas, and refuse an empty name; None without a value."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigurationError(f"{flag} needs names separated by commas, such as issueDate,dueDate")
    return names
