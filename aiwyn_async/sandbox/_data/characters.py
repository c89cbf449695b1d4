"""Character classes and case mappings of Postgres with glibc in a UTF-8 locale.

Compared with Postgres 15 over the Basic Multilingual Plane. About 850 combining marks and circled letters
(Other_Alphabetic of Unicode, which Python does not expose) are punctuation here and letters in Postgres.
"""

import unicodedata
from collections.abc import Callable, Mapping

_NO_BREAK_SPACES = "\u00a0\u2007\u202f"


def _lower(char: str) -> str:
    lowered = char.lower()
    if len(lowered) == 1:
        return lowered
    return "i" if char == "\u0130" else char


def _upper(char: str) -> str:
    for mapped in (char.upper(), char.title()):
        if len(mapped) == 1:
            return mapped
    return char


def fold(text: str) -> str:
    """Lower each character separately, as the ``lower()`` of Postgres does.

    ``str.lower`` may return several characters for one and has a rule for the final sigma.
    """
    lowered = text.lower()
    if len(lowered) == len(text) and "\u03a3" not in text:
        return lowered
    return "".join(map(_lower, text))


def case_variants(char: str) -> frozenset[str]:
    """Return the characters that a character of a pattern matches in either case."""
    return frozenset((char, _lower(char), _upper(char)))


def _is_alpha(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "L" or category == "Nl" or (category == "Nd" and not char.isascii())


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"


def _is_alnum(char: str) -> bool:
    return _is_alpha(char) or _is_digit(char)


def is_word(char: str) -> bool:
    r"""Whether ``\w`` matches."""
    return char == "_" or _is_alnum(char)


def _is_space(char: str) -> bool:
    return char in " \t\n\v\f\r" or (unicodedata.category(char)[0] == "Z" and char not in _NO_BREAK_SPACES)


def _is_print(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cn", "Cs", "Zl", "Zp"}


def _is_graph(char: str) -> bool:
    return _is_print(char) and not _is_space(char)


CLASSES: Mapping[str, Callable[[str], bool]] = {
    "alnum": _is_alnum,
    "alpha": _is_alpha,
    "ascii": str.isascii,
    "blank": lambda char: char == "\t" or (_is_space(char) and unicodedata.category(char) == "Zs"),
    "cntrl": lambda char: unicodedata.category(char) in {"Cc", "Zl", "Zp"},
    "digit": _is_digit,
    "graph": _is_graph,
    "lower": lambda char: char.islower() or _upper(char) != char,
    "print": _is_print,
    "punct": lambda char: _is_graph(char) and not _is_alnum(char),
    "space": _is_space,
    "upper": lambda char: char.isupper() or _lower(char) != char,
    "word": is_word,
    "xdigit": lambda char: char in "0123456789abcdefABCDEF",
}
"""The test of ``[[:name:]]`` by name."""
