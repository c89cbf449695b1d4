"""Pieces of the SQL that makes the firm: picks, money, dates, and a row's JSON from its columns."""

from collections.abc import Iterable, Mapping

from .declare import Column, DateForm, Kind

__all__ = [
    "AS_OF",
    "DAY",
    "EPOCH_2019",
    "MICRO",
    "ONCE",
    "SPAN_SECONDS",
    "clock",
    "money",
    "pick",
    "row_json",
    "some_time",
]

EPOCH_2019 = 1_546_300_800
SPAN_SECONDS = 6 * 365 * 86_400
"""Six years of business, 2019 to the end of 2024, whatever the number of invoices."""
AS_OF = EPOCH_2019 + SPAN_SECONDS
"""The firm's today: what is due before it may be overdue."""
DAY = 86_400
MICRO = 1_000_000

ONCE = "LIMIT -1 OFFSET 0"
"""Keeps SQLite from merging a step into the next, which would compute a value again at each of its uses."""


def pick(expression: str, values: Iterable[str]) -> str:
    """A SQL CASE that turns an integer into one of a few texts."""
    quoted = ["'" + value.replace("'", "''") + "'" for value in values]
    arms = " ".join(f"WHEN {number} THEN {text}" for number, text in enumerate(quoted))
    return f"CASE ({expression}) % {len(quoted)} {arms} END"


def money(cents: str) -> str:
    """The two arguments of `%d.%02d`."""
    return f"{cents} / 100, {cents} % 100"


def clock(seconds: str) -> str:
    """The two arguments of `%sT%s`; strftime takes several times as long as date and time together."""
    return f"date({seconds}, 'unixepoch'), time({seconds}, 'unixepoch')"


def some_time(stream: str) -> str:
    """An instant within the firm's six years, in microseconds."""
    return f"({EPOCH_2019} + {stream} % {SPAN_SECONDS}) * {MICRO}"


def row_json(columns: Iterable[Column], objects: Mapping[str, str] | None = None, alias: str = "") -> str:
    """The SQL that writes a row's JSON from its columns and from expressions that are JSON already."""
    parts = [(column.key, _value(column, f"{alias}{column.sql}")) for column in columns if column.shown]
    parts += (objects or {}).items()
    fields = " || ',".join(f"""\"{key}":' || {value}""" for key, value in parts)
    return f"'{{{fields} || '}}'"


def _value(column: Column, name: str) -> str:
    match column.kind:
        case Kind.INTEGER | Kind.TEXT:
            return f"json_quote({name})"
        case Kind.BOOLEAN:
            return f"CASE {name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"
        case Kind.DECIMAL:
            unit = 10**column.scale
            text = f"printf('%d.%0{column.scale}d', {name} / {unit}, {name} % {unit})"
        case Kind.INSTANT:
            day = f"date({name} / {MICRO}, 'unixepoch')"
            text = f"""'"' || {day} || '"'"""
            if column.form is not DateForm.DATE:
                hour = f"time({name} / {MICRO}, 'unixepoch')"
                text = f"""'"' || {day} || 'T' || {hour} || '{column.form}"'"""
    return f"CASE WHEN {name} IS NULL THEN 'null' ELSE {text} END" if column.nullable else text
