# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Values that pyarrow (26.0.1) changes, or that Python or the contract of values does not have.

It reads 1e-48 as 0 and 5e-49 as 1e-9: to rescale a number of 48 places or more to 9, it reads beyond its
table of powers of ten. Both its JSON reader and ``pa.array()`` do that.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import pyarrow as pa

from aiwyn_async.arrow._schema import DAY, INSTANT, compute

_FORM: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ]%s(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
_ANY_TIME: Final = _FORM % r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_MIDNIGHT: Final = _FORM % r"00:00:00(?:\.0+)?"
# Microseconds and days since 1970 of the first and last instant of Python's datetime.
_INSTANTS: Final = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_DAYS: Final = (-719_162, 2_932_896)
BOUNDED: Final[Any] = (INSTANT, DAY, pa.float64())
"""The types whose values ``is_within_bounds()`` checks."""


def to_days(texts: Any, *, of_dates: bool) -> Any:
    """The days of timestamps as on the wire; ``ArrowInvalid`` for another form, or for a time in a date."""
    usual = compute.match_substring_regex(texts, _MIDNIGHT if of_dates else _ANY_TIME)
    if not compute.all(usual, min_count=0).as_py():
        raise pa.ArrowInvalid("a timestamp in another form")
    days = compute.utf8_slice_codeunits(texts, 0, 10).cast(DAY)
    bounds = compute.min_max(days.cast(pa.int32())).as_py()
    if bounds["min"] is not None and not _DAYS[0] < bounds["min"] <= bounds["max"] < _DAYS[1]:
        raise pa.ArrowInvalid("a day that may be beyond the bounds in UTC")
    return days


def is_within_bounds(values: Any) -> bool:
    """Whether all instants and days of an array are in the years 1 to 9999, and all floats finite.

    The same for nested ones. The JSON reader takes some numbers beyond the largest float for infinity.
    """
    kind = values.type
    if pa.types.is_list(kind):
        return is_within_bounds(values.flatten())
    if pa.types.is_struct(kind):
        return all(map(is_within_bounds, values.flatten()))
    if pa.types.is_floating(kind):
        return bool(compute.all(compute.is_finite(values), min_count=0).as_py())
    if kind == INSTANT:
        integers, (low, high) = pa.int64(), _INSTANTS
    elif kind == DAY:
        integers, (low, high) = pa.int32(), _DAYS
    else:
        return True
    bounds = compute.min_max(values.view(integers)).as_py()
    return bounds["min"] is None or bool(low <= bounds["min"] and bounds["max"] <= high)


_DIGIT: Final = r"(?:[+.0-9-]|\\u00(?:2[bBdDeE]|3[0-9]))"
MANY_DIGITS: Final = (
    r"[:\[,\s\v]-?[0-9.]+[eE]-[0-9][0-9]"
    rf'|"{_DIGIT}+(?:[eE]|\\u00[46]5)(?:-|\\u002[dD]){_DIGIT}{_DIGIT}+"'
)
"""With the 29 digits that pyarrow reads, -19 is the first exponent with too many places. Text that only
begins like a number, such as a UUID, does not match."""
_POINT_OR_ESCAPE: Final = (r"\.[eE]-", r"\\u00(?:2[dDeE]|3[0-9]|[46]5)")
"""Of the numbers in quotes, those without a digit before their e. Two searches, since both begin with a
character that is searched for fast."""


def may_have_many_places(text: bytes | memoryview) -> bool:
    """True if JSON, or text in it, may have a number of too many decimal places.

    Few pages have an e after a digit; checking that first takes an eighth of the time of the expression.
    """
    ends = pa.py_buffer(struct.pack("=qq", 0, len(text)))
    array = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(text)])
    may_match = _has_exponent(text) or any(_matches(array, each) for each in _POINT_OR_ESCAPE)
    return may_match and _matches(array, MANY_DIGITS)


def _matches(array: Any, expression: str) -> bool:
    return bool(compute.match_substring_regex(array, expression)[0].as_py())


def _has_exponent(text: bytes | memoryview) -> bool:
    """True if an e follows a digit, except in the last four bytes.

    An exponent and a bracket always follow it.

    Compares four bytes at once. Takes any of ``0123456789:;<=>?`` for a digit, since they differ only in the
    lower half of the byte, and ignores the highest bit of bytes that are not ASCII.
    """
    not_digits = compute.bit_wise_xor(compute.bit_wise_and(_words(text), _HIGH_NIBBLES), _DIGITS)
    not_e = compute.bit_wise_xor(compute.bit_wise_and(_words(text[1:]), _UPPER_CASE), _LETTERS_E)
    # A byte is 0 for a digit followed by an e. Adding is three times as fast as "or" in pyarrow, and no sum
    # overflows its byte.
    exponents = compute.add(not_digits.slice(0, len(not_e)), not_e)
    as_bytes = pa.Array.from_buffers(pa.uint8(), 4 * len(exponents), [None, exponents.buffers()[1]])
    return bool(compute.min(as_bytes).as_py() == 0)


def _words(text: bytes | memoryview) -> Any:
    """View text as words of four bytes, without a copy; drops an incomplete word."""
    return pa.Array.from_buffers(pa.uint32(), len(text) // 4, [None, pa.py_buffer(text)])


# Elements of an array, since `pa.scalar()` imports pandas if it is installed: 40 MB.
_HIGH_NIBBLES, _DIGITS, _UPPER_CASE, _LETTERS_E = (
    _words(byte * 4)[0] for byte in (b"\x70", b"0", b"\x5f", b"E")
)
