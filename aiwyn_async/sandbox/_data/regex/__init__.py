r"""The ``~`` and ``~*`` of Postgres, in time linear in the text.

The grammar follows section 9.7.3 of the Postgres manual and, where that is silent, Postgres 15:
``[[:digit:]]`` and its like, ``\d \s \w \m \M \y \Y \A \Z``, bounds, back references, lookahead and
lookbehind, embedded options and the ``***:`` and ``***=`` directors. Not supported: the embedded options
``b`` and ``e``, which select older syntaxes.
"""

import functools

from aiwyn_async.sandbox._data.regex.matcher import Regex, RegexTooComplexError
from aiwyn_async.sandbox._data.regex.parser import parse
from aiwyn_async.sandbox._data.regex.tree import RegexSyntaxError

__all__ = ["Regex", "RegexSyntaxError", "RegexTooComplexError", "compile_regex"]


@functools.lru_cache(maxsize=256)
def compile_regex(pattern: str, *, ignore_case: bool = False) -> Regex:
    """Compile a pattern.

    Raises:
        RegexSyntaxError: Postgres rejects it.
        RegexTooComplexError: It is too long once its repetitions are expanded.
    """
    node, options = parse(pattern, ignore_case=ignore_case)
    return Regex(node, ignore_case=options.ignore_case)
