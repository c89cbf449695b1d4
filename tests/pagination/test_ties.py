"""The order of rows as far as a client can see it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from aiwyn_async._pagination.ties import Order, are_out_of_order, is_before, with_equal_digits
from aiwyn_async._pagination.timestamps import digits_shown, instant_of
from aiwyn_async.filters import Direction

DIRECTIONS: list[Direction] = ["asc", "desc", "asc_nulls_last", "desc_nulls_first"]
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.integers() | st.sampled_from(["", "a", "10"])


@given(
    st.lists(st.integers(-3, 3)) | st.lists(st.integers().map(abs)).map(sorted) | st.lists(VALUES),
    st.sampled_from(DIRECTIONS),
)
@example([1, True, 2], "asc")
@example([2, 2, 1], "desc")
@example([], "asc")
def test_order_of_one_column_equals_the_comparison_of_neighbors(
    keys: list[Any], direction: Direction
) -> None:
    order: Order = [(("id",), direction)]
    rows = [(key,) for key in keys]
    expected = any(is_before(order, one, other, frozenset()) for one, other in pairwise(rows))
    assert are_out_of_order(order, rows, frozenset()) is expected


FRACTIONS = st.sampled_from(["", ":00"]) | st.from_regex(r":0[0-9]\.[0-9]{1,7}", fullmatch=True)
INSTANTS = st.none() | st.builds("2024-05-01T10:0{}{}".format, st.integers(0, 9), FRACTIONS)


@given(st.lists(INSTANTS, max_size=6), INSTANTS, st.sampled_from(["", "Z", "+02:00"]))
def test_instants_with_equal_digits_are_the_same_instants(
    shown: list[str | None], before: str | None, zone: str
) -> None:
    *rows, last = [(text and text + zone, index) for index, text in enumerate([*shown, before])]
    equal = with_equal_digits(rows, 0, last)
    assert [index for _, index in equal] == [index for _, index in rows]
    most = max((digits_shown(text) for text, _ in [*rows, last] if text), default=0)
    for (old, _), (new, _) in zip(rows, equal, strict=True):
        assert (old is None) == (new is None)
        if old is not None and new is not None:
            assert instant_of(old) == instant_of(new)
            assert digits_shown(new) == most
