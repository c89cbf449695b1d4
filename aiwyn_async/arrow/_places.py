# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Numbers of so many places that pyarrow (26.0.1) takes them for others without a word.

1e-48 comes out as 0, and 5e-49 as a billionth: to bring a number of 48 places or more to 9, it reads beyond
its table of powers of ten. Its reader of JSON does that, and ``pa.array()``.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["may_have_many_places", "with_few_places"]

MANY_DIGITS: Final = r"[:\[,\s\v]-?[0-9.]+[eE]-[0-9][0-9]"
"""With the 29 digits that are read, -19 is the first exponent that makes too many."""
MAX_PLACES: Final = 47

compute: Any = pc  # its functions are made at run time, which no type checker sees

_HIGH_NIBBLES: Final = pa.scalar(0x70707070, pa.uint32())
_DIGITS: Final = pa.scalar(0x30303030, pa.uint32())
_UPPER_CASE: Final = pa.scalar(0x5F5F5F5F, pa.uint32())
_LETTERS_E: Final = pa.scalar(0x45454545, pa.uint32())

_exact: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


def may_have_many_places(text: bytes) -> bool:
    """True when a number in a JSON object may have too many; what looks like one in a string counts too.

    Few pages have an e behind a digit, which shows in an eighth of the time that the expression takes.
    """
    if not _has_exponent(text):
        return False
    found: Any = compute.match_substring_regex(pa.array([text], pa.large_binary()), MANY_DIGITS)
    return bool(found[0].as_py())


def with_few_places(value: Any) -> Any:
    """The same value, or lists and dicts of such, for ``pa.array()``: without zeros behind its last place.

    Raises:
        OverflowError: it has too many places.
    """
    match value:
        case Decimal() if _places(value) > MAX_PLACES:
            shortest = _exact.normalize(value)
            if _places(shortest) > MAX_PLACES:
                raise OverflowError(f"a number of more than {MAX_PLACES} places")
            return shortest
        case list():
            values: list[Any] = value
            return [with_few_places(each) for each in values]
        case dict():
            fields: dict[str, Any] = value
            return {name: with_few_places(each) for name, each in fields.items()}
        case _:
            return value


def _places(value: Decimal) -> int:
    return -int(value.as_tuple().exponent)


def _has_exponent(text: bytes) -> bool:
    """True where an e follows a digit, but in the last four bytes, since -10 and a bracket come after it.

    Four bytes are looked at together. A digit is taken for any of ``0123456789:;<=>?`` here, which differ in
    the lower half of their byte; of bytes that are not ASCII the highest bit is passed over.
    """
    not_digits = compute.bit_wise_xor(compute.bit_wise_and(_words(text), _HIGH_NIBBLES), _DIGITS)
    not_e = compute.bit_wise_xor(compute.bit_wise_and(_words(text[1:]), _UPPER_CASE), _LETTERS_E)
    # Each byte is 0 where a digit and then an e stand. For "or" pyarrow takes three times as long as it does
    # to add, and no sum is too large for its byte.
    exponents = compute.add(not_digits.slice(0, len(not_e)), not_e)
    each = pa.Array.from_buffers(pa.uint8(), 4 * len(exponents), [None, exponents.buffers()[1]])
    return bool(compute.min(each).as_py() == 0)


def _words(text: bytes) -> Any:
    """Four bytes each, without copying them; what is left over is left out."""
    return pa.Array.from_buffers(pa.uint32(), len(text) // 4, [None, pa.py_buffer(text)])
