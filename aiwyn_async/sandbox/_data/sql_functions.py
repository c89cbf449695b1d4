"""SQL functions of compiled conditions: patterns, instants and sort keys."""

import functools
import re
import sqlite3
from collections.abc import Callable

from aiwyn_async.sandbox._data.characters import fold
from aiwyn_async.sandbox._data.collation import sort_key
from aiwyn_async.sandbox._data.regex import RegexTooComplexError, compile_regex
from aiwyn_async.sandbox._data.values import instant_us
from aiwyn_async.sandbox._declarations.declarations import DateForm, SqlValue


class LikeSyntaxError(Exception):
    """A LIKE pattern that Postgres rejects."""


@functools.lru_cache(maxsize=256)
def compile_like(pattern: str) -> re.Pattern[str]:
    r"""Compile a LIKE pattern: ``%``, ``_``, and ``\`` before a literal character.

    The text between two ``%`` may match at its first position: a later one is never better. Each such text
    is an atomic group, so many ``%`` do not backtrack.

    Raises:
        LikeSyntaxError: The pattern ends with its escape character.
    """
    parts = [""]
    chars = iter(pattern)
    for char in chars:
        if char == "%":
            parts.append("")
            continue
        literal = next(chars, None) if char == "\\" else char
        if literal is None:
            raise LikeSyntaxError("LIKE pattern must not end with escape character")
        parts[-1] += "." if char == "_" else re.escape(literal)
    first, *middle = parts
    if not middle:
        return re.compile(first, re.DOTALL)
    *middle, last = middle
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}", re.DOTALL)


def _match_like(value: str | None, pattern: str) -> bool | None:
    return None if value is None else compile_like(pattern).fullmatch(value) is not None


def _match_ilike(value: str | None, pattern: str) -> bool | None:
    return None if value is None else compile_like(fold(pattern)).fullmatch(fold(value)) is not None


def _parse_instant(value: str | None, form: str) -> int | None:
    return None if value is None else instant_us(value, "row", DateForm(form))


def _nullable_sort_key(value: str | None) -> bytes | None:
    return None if value is None else sort_key(value)


class SqlFunctions:
    """Registers the functions; ``failure`` is an error that SQLite does not report."""

    def __init__(self) -> None:
        self.failure: str | None = None

    def register(self, connection: sqlite3.Connection) -> None:
        functions: list[tuple[str, int, Callable[..., SqlValue]]] = [
            ("like_match", 2, _match_like),
            ("ilike_match", 2, _match_ilike),
            ("regex_match", 2, functools.partial(self._match_regex, ignore_case=False)),
            ("iregex_match", 2, functools.partial(self._match_regex, ignore_case=True)),
            ("instant_us", 2, _parse_instant),
            ("sort_key", 1, _nullable_sort_key),
        ]
        for name, arity, function in functions:
            connection.create_function(name, arity, function, deterministic=True)

    def _match_regex(self, value: str | None, pattern: str, *, ignore_case: bool) -> bool | None:
        try:
            return None if value is None else compile_regex(pattern, ignore_case=ignore_case).search(value)
        except RegexTooComplexError as error:
            self.failure = str(error)
            raise
