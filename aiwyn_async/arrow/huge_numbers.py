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
"""Bytes at the end that are looked at by the expression, since four at a time leave some of them over."""

compute: Any = pc  # its functions are made at run time, which no type checker sees

_HIGH_NIBBLES: Final = pa.scalar(0x70707070, pa.uint32())
_DIGITS: Final = pa.scalar(0x30303030, pa.uint32())
_UPPER_CASE: Final = pa.scalar(0x5F5F5F5F, pa.uint32())
_LETTERS_E: Final = pa.scalar(0x45454545, pa.uint32())


def may_hold_huge_number(text: bytes) -> bool:
    """True when a number in the text may be too large for a decimal; text that looks like one counts too.

    Few pages have anything alike, which shows in a quarter of the time that the expression takes.
    """
    return (_is_alike(text) or _matches(text[-TAIL:])) and _matches(text)


def _matches(text: bytes) -> bool:
    found: Any = compute.match_substring_regex(pa.array([text], pa.large_binary()), HUGE_NUMBER)
    return bool(found[0].as_py())


def _is_alike(text: bytes) -> bool:
    """False when nothing but what is at its very end can match; four bytes are looked at together.

    A digit is taken for any of ``0123456789:;<=>?`` here, which differ in the lower half of their byte; of
    bytes that are not ASCII the highest bit is passed over.
    """
    not_digits = compute.bit_wise_xor(compute.bit_wise_and(_words(text), _HIGH_NIBBLES), _DIGITS)
    not_e = compute.bit_wise_xor(compute.bit_wise_and(_words(text[1:]), _UPPER_CASE), _LETTERS_E)
    # Each byte is 0 where a digit and then an e stand. For "or" pyarrow takes three times as long as it does
    # to add, and no sum is too large for its byte.
    exponents = compute.add(not_digits.slice(0, len(not_e)), not_e)
    bytes_of_them = pa.Array.from_buffers(pa.uint8(), 4 * len(exponents), [None, exponents.buffers()[1]])
    # Of 21 digits in a row, 16 fill four words.
    return _has_zero(bytes_of_them) or _has_zero(_with_later(_with_later(not_digits, 1), 2))


def _words(text: bytes) -> Any:
    """Four bytes each, without copying them; what is left over is left out."""
    return pa.Array.from_buffers(pa.uint32(), len(text) // 4, [None, pa.py_buffer(text)])


def _with_later(numbers: Any, distance: int) -> Any:
    """The sum of each and the one so many places further: 0 where both are, and seldom elsewhere."""
    return compute.add(numbers.slice(0, max(0, len(numbers) - distance)), numbers.slice(distance))


def _has_zero(numbers: Any) -> bool:
    return bool(compute.min(numbers).as_py() == 0)
