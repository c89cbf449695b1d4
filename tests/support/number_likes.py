"""Values as numpy and pandas make them, without either library."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

__all__ = ["Array", "Bool", "Float32", "Int64", "NotATime", "Timedelta64", "ZeroDimensions"]


class Int64:
    """Like ``numpy.int64``: not an int, but registered as an integral number."""

    shape = ()

    def __init__(self, value: int) -> None:
        self.value = value

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"np.int64({self.value})"


numbers.Integral.register(Int64)


class Timedelta64:
    """Like ``numpy.timedelta64(5, "ns")``: registered as an integral number, without an index."""

    shape = ()

    def __int__(self) -> int:
        return 5

    def __float__(self) -> float:
        return 5.0


numbers.Integral.register(Timedelta64)


class Float32:
    """Like ``numpy.float32``: not a float, but registered as a real number."""

    shape = ()

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


numbers.Real.register(Float32)


class Bool:
    """Like ``numpy.bool``: neither a bool nor registered as a number."""

    shape = ()

    def __bool__(self) -> bool:
        return True


class Array:
    """Like an array of numbers."""

    def __init__(self, *values: object) -> None:
        self.values = values
        self.shape = (len(values),)

    def __iter__(self) -> Iterator[object]:
        return iter(self.values)


class ZeroDimensions:
    """Like ``numpy.array(5)``: it has ``__iter__``, which raises."""

    shape = ()

    def __int__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[object]:
        raise TypeError("iteration over a 0-d array")


class NotATime(datetime):
    """Like ``pandas.NaT``: a datetime by its type, unequal to itself."""

    def __new__(cls) -> Self:
        return super().__new__(cls, 1, 1, 1)

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = datetime.__hash__

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "NaT"

    def utcoffset(self) -> timedelta | None:
        return None

    def astimezone(self, tz: tzinfo | None = None) -> Self:  # noqa: ARG002
        return self
