"""Options that several commands share, and the kinds of their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async.errors import ConfigurationError

__all__ = ["Flag", "RowOptions", "Whole"]


def _whole(_type: Any, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"expected a whole number, got {tokens[0].value!r}") from None


Flag = Annotated[bool, Parameter(negative=())]
Whole = Annotated[int, Parameter(converter=_whole)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows and their values are written."""

    on_bad_row: Annotated[
        OnBadRow,
        Parameter(
            help="What to do with a row that does not decode: raise ends the command; skip and collect write "
            "the row into FILE.bad.jsonl, continue without it, and end with exit code 5."
        ),
    ] = "raise"
    extra_column: Annotated[Flag, Parameter(help="Keep fields that the row type does not know, as JSON.")] = (
        False
    )
    round_money: Annotated[
        Whole | None, Parameter(help="Round amounts to this many decimal places instead of refusing them.")
    ] = None
    date_columns: Annotated[
        str | None,
        Parameter(help="Columns to write as dates, separated by commas: issueDate,dueDate."),
    ] = None
    ids: Annotated[Literal["text"] | None, Parameter(help="Write ids as text.")] = None

    @property
    def skips(self) -> bool:
        """True if rows that do not decode are skipped."""
        return self.on_bad_row != "raise"

    def of_read(self) -> dict[str, Any]:
        """Keyword arguments of a read. Skipped rows are collected, to be written into a file."""
        return {"on_bad_row": "collect"} if self.skips else {}

    def of_values(self) -> dict[str, Any]:
        """Keyword arguments of ``export()`` and ``sync()``, of the options that were given.

        Raises:
            ConfigurationError: no column is named.
        """
        given: dict[str, Any] = {
            "extra": "json" if self.extra_column else None,
            "round_money": self.round_money,
            "date_columns": None if self.date_columns is None else _names(self.date_columns),
            "ids": self.ids,
        }
        return {name: value for name, value in given.items() if value is not None}


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigurationError("--date-columns needs names separated by commas, such as issueDate,dueDate")
    return names
