# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Values that pyarrow reads, but that Python or the contract of values does not have."""

from __future__ import annotations

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
