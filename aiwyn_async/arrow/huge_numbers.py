# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Numbers that pyarrow's reader of JSON (26.0.1) lets wrap around without a word.

3.5e29 came out as 9717633079061536536625392568.231788544. Such a number, 10**29 or more, holds 21 digits in a
row or an exponent of two digits.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["may_hold_huge_number"]

HUGE_NUMBER: Final = r"[0-9]{21}|[0-9][eE]\+?[0-9][0-9]"
TAIL: Final = 64
"""Bytes at the end that are looked at by the expression, since eight at a time leave some of them over."""

compute: Any = pc  # its functions are made at run time, which no type checker sees

_HIGH_NIBBLES: Final = pa.scalar(0xF0F0F0F0F0F0F0F0, pa.uint64())
_DIGITS: Final = pa.scalar(0x3030303030303030, pa.uint64())
_LOWER_CASE: Final = pa.scalar(0x2020202020202020, pa.uint64())
_LETTERS_E: Final = pa.scalar(0x6565656565656565, pa.uint64())
_FOUR_DIGITS: Final = pa.scalar(0, pa.uint32())


def may_hold_huge_number(text: bytes) -> bool:
    """True when a number in the text may be too large for a decimal; text that looks like one counts too.

    Few pages have anything alike, which shows in a quarter of the time that the expression takes.
    """
    return (_is_alike(text) or _matches(text[-TAIL:])) and _matches(text)


def _matches(text: bytes) -> bool:
    found: Any = compute.match_substring_regex(pa.array([text], pa.large_binary()), HUGE_NUMBER)
    return bool(found[0].as_py())


def _is_alike(text: bytes) -> bool:
    """False when nothing but what is at its very end can match; eight bytes are looked at together.

    A digit is taken for any of ``0123456789:;<=>?`` here, which differ in the lower half of their byte.
    """
    not_digits = compute.bit_wise_xor(compute.bit_wise_and(_words(text), _HIGH_NIBBLES), _DIGITS)
    not_e = compute.bit_wise_xor(compute.bit_wise_or(_words(text[1:]), _LOWER_CASE), _LETTERS_E)
    # Each byte is 0 where a digit and then an e stand.
    length = len(not_e)
    exponents = compute.bit_wise_or(not_digits.slice(0, length), not_e)
    if compute.min(_seen_as(pa.uint8(), exponents)).as_py() == 0:
        return True
    # Of 21 digits in a row, 16 fill four words of four bytes.
    four = compute.equal(_seen_as(pa.uint32(), not_digits), _FOUR_DIGITS)
    eight = _both(four, 1)
    return bool(compute.any(_both(eight, 2)).as_py())


def _words(text: bytes) -> Any:
    """Eight bytes each, without copying them; what is left over is left out."""
    return pa.Array.from_buffers(pa.uint64(), len(text) // 8, [None, pa.py_buffer(text)])


def _seen_as(kind: Any, words: Any) -> Any:
    return pa.Array.from_buffers(kind, len(words) * 8 // (kind.bit_width // 8), [None, words.buffers()[1]])


def _both(flags: Any, distance: int) -> Any:
    """Where a flag is set, and that so many places further too."""
    return compute.and_(flags.slice(0, max(0, len(flags) - distance)), flags.slice(distance))
