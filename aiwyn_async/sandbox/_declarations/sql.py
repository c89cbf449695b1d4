"""SQL fragments of the generation: choices, money, dates, and the JSON of a row."""

from collections.abc import Iterable, Mapping

from aiwyn_async.sandbox._declarations.declarations import Column, DateForm, Kind

EPOCH_2019 = 1_546_300_800
SPAN_SECONDS = 6 * 365 * 86_400
"""Six years, 2019 to the end of 2024, whatever the number of invoices."""
AS_OF = EPOCH_2019 + SPAN_SECONDS
"""The present of the firm: invoices due before may be overdue."""
DAY = 86_400
MICRO = 1_000_000
RANDOM_INSTANT = f"({EPOCH_2019} + s5 % {SPAN_SECONDS}) * {MICRO}"
"""The SQL of an instant within the six years, in microseconds."""

MATERIALIZED = "LIMIT -1 OFFSET 0"
"""Prevents SQLite from merging a step into the next, which would compute a value at each use."""


def pick(expression: str, values: Iterable[str]) -> str:
    """Return a SQL CASE that maps an integer to one of the values."""
    quoted = ["'" + value.replace("'", "''") + "'" for value in values]
    arms = " ".join(f"WHEN {number} THEN {text}" for number, text in enumerate(quoted))
    return f"CASE ({expression}) % {len(quoted)} {arms} END"


def money(cents: str) -> str:
    """Return the two arguments of ``%d.%02d``."""
    return f"{cents} / 100, {cents} % 100"


def clock(seconds: str) -> str:
    """Return the arguments of ``%sT%s``; strftime is several times slower."""
    return f"date({seconds}, 'unixepoch'), time({seconds}, 'unixepoch')"


def row_json_sql(columns: Iterable[Column], objects: Mapping[str, str] | None = None, alias: str = "") -> str:
    """Return the SQL of a row's JSON, from columns and expressions of JSON."""
    parts = [(column.key, _value_sql(column, f"{alias}{column.sql}")) for column in columns if column.shown]
    parts += (objects or {}).items()
    fields = " || ',".join(f"""\"{key}":' || {value}""" for key, value in parts)
    return f"'{{{fields} || '}}'"


def _value_sql(column: Column, name: str) -> str:
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
