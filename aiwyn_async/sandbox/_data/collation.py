"""Text order by code points, or about as ``en_US.UTF-8`` of glibc.

Postgres uses these orders.

The approximation needs no locale on the machine. It compares base letters, then accents, then case (lower
before upper), then spaces and punctuation, each over the whole text, and finally code points. So ``ab`` sorts
before ``a-c``, and ``a b`` before ``ab``. Currency signs sort before digits, digits before letters. It agrees
with Postgres 15 (glibc 2.36) on Latin letters, digits and common punctuation. Fractions, rare symbols, other
scripts, and punctuation between a digit and a letter may sort differently.
"""

import functools
import unicodedata
from typing import Literal

from aiwyn_async.sandbox._data.characters import fold

Collation = Literal["C", "en_US"]

_MARKS = (
    "\u0301\u0300\u0306\u0302\u030c\u030a\u0308\u030b\u0303\u0307\u0338\u0327\u0328\u0304\u0335\u0337\u0305"
    "\u0309\u030f\u0311\u031b\u0323\u0324\u0325\u0326\u032d\u032e\u0330\u0331"
)
"""Accents, ascending."""
_SYMBOLS = (
    "\t\n\v\f\r \u00a0!\"#%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    "\u00a1\u00a6\u00a7\u00a8\u00a9\u00ab\u00ac\u00ae\u00af\u00b0"
    "\u00b1\u00b4\u00b6\u00b7\u00b8\u00bb\u00bf\u00d7\u00f7\u2010\u2011\u2012\u2013\u2014\u2015\u2016\u2017\u2018"
    "\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2020\u2021\u2022\u2023\u2024\u2025\u2026\u2027"
)
_EQUIVALENTS = {
    "\u00e6": "ae",
    "\u0153": "oe",
    "\u00df": "ss",
    "\u00f8": "o\u0338",
    "\u0111": "d\u0338",
    "\u00f0": "d\u0335",
    "\u0127": "h\u0338",
    "\u0142": "l\u0328",
}
"""Letters that sort as others, although Unicode does not decompose them."""
_SUCCESSORS = {"\u0131": "i", "\u014b": "n", "\u0138": "q", "\u0167": "t", "\u00fe": "z"}
"""Letters that sort immediately after another."""

_LOWER, _UPPER, _VARIANT = 2, 3, 4
_FIRST_CURRENCY, _FIRST_DIGIT, _FIRST_LETTER = 0x200000, 0x210000, 0x220000

_Weight = tuple[int, bytes, int]
"""The rank and the case of a base character, or the bytes of an accent. A symbol has a rank only."""


def _primary(char: str) -> int:
    """Return the rank of a lower-case base character."""
    category = unicodedata.category(char)
    if category == "Sc":
        return _FIRST_CURRENCY + ord(char)
    if category == "Nd":
        return _FIRST_DIGIT + unicodedata.decimal(char)
    if category[0] in "LN":
        # Twice the code point leaves room for the successors.
        follows = _SUCCESSORS.get(char)
        return _FIRST_LETTER + 2 * ord(follows or char) + (follows is not None)
    index = _SYMBOLS.find(char)
    return 1 + index if index >= 0 else 1 + len(_SYMBOLS) + ord(char)


@functools.lru_cache(maxsize=4096)
def _weights(char: str) -> tuple[_Weight, ...]:
    """Return the weights of a character; none for a control character."""
    if unicodedata.category(char) in {"Cc", "Cf"} and char not in _SYMBOLS:
        return ()
    lowered = fold(char)
    case = _LOWER if lowered == char else _UPPER
    text = _EQUIVALENTS.get(lowered)
    if text is None:
        # A symbol such as the acute accent decomposes to a space and a mark; it must not.
        is_letter = unicodedata.category(char)[0] in "LN" or char.isalnum()
        text = unicodedata.normalize("NFKD", lowered) if is_letter else lowered
        if is_letter and text != unicodedata.normalize("NFD", lowered):
            case = _VARIANT
    elif lowered in "\u00e6\u0153\u00df":
        case = _VARIANT + (lowered != char)
    weights: list[_Weight] = []
    for part in text:
        if unicodedata.combining(part):
            index = _MARKS.find(part)
            weights.append((0, bytes((2 + index,)) if index >= 0 else b"\xff" + part.encode(), 0))
        else:
            rank = _primary(part)
            weights.append((rank, b"", case if rank >= _FIRST_CURRENCY else 0))
    return tuple(weights)


def sort_key(text: str) -> bytes:
    """Return the bytes by which ``en_US`` sorts a text."""
    letters, accents, cases, symbols = bytearray(), bytearray(), bytearray(), bytearray()
    for char in text:
        for rank, accent, case in _weights(char):
            if accent:
                accents += accent
                continue
            packed = rank.to_bytes(3, "big")
            symbols += packed
            if case:
                letters += packed
                accents.append(1)
                cases.append(case)
    # No weight starts with the bytes that separate the levels.
    return b"".join((letters, b"\0\0\0", accents, b"\0", cases, b"\0", symbols, b"\0\0\0", text.encode()))
