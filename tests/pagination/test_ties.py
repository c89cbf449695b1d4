"""The order of rows as far as a client can see it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from aiwyn_async._pagination.ties import Order, are_out_of_order, is_before
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
