"""A table of rows on a terminal: columns that fit its width, and no character that controls it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aiwyn_async._cli.output import escape_control_characters, write_rows
from aiwyn_async._cli.rows import Fields
from aiwyn_async._decoding.values import DECODING_ERRORS

GAP: Final = 2
MAX_TEXT_WIDTH: Final = 20
"""Of a column when columns are chosen; what is left of the width is added."""
MIN_TEXT_WIDTH: Final = 8
MAX_EXPONENT: Final = 40
_MIDNIGHT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T00:00:00(\.0+)?Z?")
_NUMBER_START: Final = frozenset(b"-0123456789")
_NESTED_START: Final = frozenset(b"[{")


class _Column(NamedTuple):
    name: str
    natural_width: int
    is_number: bool
    rank: int


class RowTable:
    """Writes rows to stdout, a page at a time; the first page decides columns and widths."""

    def __init__(self, types: dict[str, Any], key: str | None, columns: Sequence[str] | None) -> None:
        self._money = {name for name, kind in types.items() if "Decimal" in str(kind)}
        self._declared = list(types)
        self._key = key
        self._chosen = columns
        # rich takes 80 columns for a terminal of the kind "dumb", whatever its size.
        width, height = shutil.get_terminal_size()
        self._console = Console(width=width, height=height, highlight=False, markup=False, emoji=False)
        self._columns: list[tuple[_Column, int]] = []
        self.hidden = 0
        """The number of fields that are not shown."""

    def write(self, rows: Sequence[Fields]) -> None:
        """Write rows; nothing for none, since they would decide the columns."""
        if not rows:
            return
        is_first = not self._columns
        if is_first:
            self._columns = self._choose(rows)
        table = Table(box=None, show_header=is_first, pad_edge=False, padding=(0, GAP, 0, 0))
        for column, width in self._columns:
            table.add_column(
                Text(_escape(column.name)),
                width=width,
                justify="right" if column.is_number else "left",
                no_wrap=not column.is_number,
                # Digits continue on the next line: an amount is never cut.
                overflow="fold" if column.is_number else "ellipsis",
            )
        for row in rows:
            table.add_row(*(Text(self._cell(column.name, row)) for column, _ in self._columns))
        with self._console.capture() as capture:
            self._console.print(table)
        lines = [line.rstrip() for line in capture.get().splitlines()]
        write_rows("".join(f"{line}\n" for line in lines).encode())

    def _choose(self, rows: Sequence[Fields]) -> list[tuple[_Column, int]]:
        """Return the columns and their widths."""
        sent = list(dict.fromkeys(name for row in rows for name in row))
        names = [name for name in self._declared if name in sent]
        names += [name for name in sent if name not in names]
        width = self._console.width
        if self._chosen is not None:
            return self._shrink([self._measure(name, rows) for name in self._chosen], width)
        candidates = [self._measure(name, rows) for name in names if self._has_scalars(name, rows)]
        taken: dict[str, int] = {}
        for column in sorted(candidates, key=lambda each: (each.rank, each.natural_width)):
            own = min(column.natural_width, MAX_TEXT_WIDTH)
            if not taken or own + GAP <= width:
                taken[column.name] = own
                width -= own + GAP
        self.hidden = len(names) - len(taken)
        shown = [column for column in candidates if column.name in taken]
        for column in shown:  # what is left
            more = max(0, min(column.natural_width - taken[column.name], width + GAP))
            taken[column.name] += more
            width -= more
        return [(column, taken[column.name]) for column in shown]

    def _shrink(self, columns: Sequence[_Column], width: int) -> list[tuple[_Column, int]]:
        """Fit chosen columns into a width by shortening texts, the longest first."""
        widths = [column.natural_width for column in columns]
        excess = sum(widths) + GAP * (len(widths) - 1) - width
        while excess > 0:
            texts = [index for index, column in enumerate(columns) if not column.is_number]
            widest = max(texts, key=lambda index: widths[index], default=None)
            if widest is None or widths[widest] <= MIN_TEXT_WIDTH:
                break  # longer lines are wrapped by the terminal
            widths[widest] -= 1
            excess -= 1
        return list(zip(columns, widths, strict=True))

    def _measure(self, name: str, rows: Sequence[Fields]) -> _Column:
        tokens = [row[name] for row in rows if row.get(name, b"null") != b"null"]
        is_number = name in self._money or (bool(tokens) and all(t[0] in _NUMBER_START for t in tokens))
        natural = max((cell_len(self._cell(name, row)) for row in rows), default=0)
        return _Column(name, max(natural, cell_len(_escape(name))), is_number, self._rank(name))

    def _rank(self, name: str) -> int:
        """Return how early a column is chosen, by what its name says; 0 is the first."""
        word = name.lower()
        if name == self._key:
            return 0
        if word.endswith(("id", "at", "email", "notes", "description")):
            return 5
        if word in {"name", "title", "status", "amount", "total", "totalamount"} or word.endswith("number"):
            return 1
        if word.endswith(("name", "date")):
            return 2
        return 3 if name in self._money or word.endswith("status") else 4

    def _has_scalars(self, name: str, rows: Sequence[Fields]) -> bool:
        tokens = [row[name] for row in rows if row.get(name, b"null") != b"null"]
        return name == self._key or (bool(tokens) and not any(token[0] in _NESTED_START for token in tokens))

    def _cell(self, name: str, row: Fields) -> str:
        token = row.get(name, b"null")
        if token == b"null":
            return ""
        text = token.decode("utf-8", "replace")
        if text.startswith('"'):
            try:
                text = msgspec.json.decode(token, type=str)
            except DECODING_ERRORS:
                return _escape(text)
            if day := _MIDNIGHT.fullmatch(text):
                return day[1]
        return _amount(text) if name in self._money else _escape(text)


def _amount(text: str) -> str:
    """Return an amount with at least two decimal places; no digit changes."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return _escape(text)
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or abs(amount.adjusted()) > MAX_EXPONENT:
        return _escape(text)
    return format(amount, ".2f" if exponent > -2 else "f")


def _escape(text: str) -> str:
    return escape_control_characters(text, harmless="")
