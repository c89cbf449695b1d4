"""``KeySet``, the keys seen in a read."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._pagination.seen_keys import DENSE, SPAN, KeySet
from aiwyn_async.models.base import Id

near = st.integers(-5, 40)
edges = st.sampled_from((SPAN - 1, SPAN, SPAN + 1, -SPAN, -SPAN - 1, 2**63, -(2**63), 2**200))
keys = st.lists(st.none() | near | edges | st.integers() | st.text(max_size=2), max_size=40)


def dense() -> KeySet:
    """Return a set whose first span is stored as flags."""
    seen = KeySet()
    seen.add_new(range(100, 100 + DENSE))
    seen.add_new([100])  # a page that overlaps with another
    return seen


@given(st.lists(keys, max_size=8), st.booleans())
def test_key_set_behaves_like_a_set(pages: list[list[Id | None]], begins_dense: bool) -> None:
    seen, plain = (dense(), set[Id](range(100, 100 + DENSE))) if begins_dense else (KeySet(), set[Id]())
    for page in pages:
        new: list[int] = []
        for index, key in enumerate(page):
            if key is None or key not in plain:
                new.append(index)
            if key is not None:
                plain.add(key)
        expected = None if len(new) == len(page) else new
        assert seen.add_new(page) == expected


@given(keys, keys)
def test_forgotten_keys_are_new_again(retained: list[Id | None], forgotten: list[Id | None]) -> None:
    for seen in (KeySet(), dense()):
        forgotten_only = [
            key
            for key in dict.fromkeys(forgotten)
            if key not in retained and key not in range(100, 100 + DENSE)
        ]
        seen.add_new(retained)
        seen.add_new(forgotten_only)
        seen.forget(forgotten_only)
        assert seen.add_new(forgotten_only) is None


@given(st.lists(keys, max_size=6), st.lists(keys, max_size=6))
def test_key_sets_with_equal_keys_are_equal(
    pages: list[list[Id | None]], others: list[list[Id | None]]
) -> None:
    one, other = KeySet(), KeySet()
    for page in pages:
        one.add_new(page)
    for page in reversed(pages):
        other.add_new(sorted(page, key=str))
    assert one == other
    for page in others:
        other.add_new(page)
    known = {key for page in pages for key in page if key is not None}
    more = {key for page in others for key in page if key is not None}
    assert (one == other) == (more <= known)


def test_overlapping_pages_are_compared_key_by_key() -> None:
    seen = KeySet()
    assert seen.add_new([1, 3, 5]) is None
    assert seen.add_new([20, 22]) is None
    assert seen.add_new([2, 3, 4]) == [0, 2]
    assert seen.add_new([21, 22, 23]) == [0, 2]
    assert seen.add_new([5, 6, 20]) == [1]
    assert seen.add_new([7, 7]) == [0]


@pytest.mark.parametrize("at_once", [1000, 95, 10])
@pytest.mark.parametrize("descending", [False, True])
def test_keys_take_about_one_byte_each(at_once: int, descending: bool) -> None:
    tracemalloc.start()
    seen = KeySet()
    begins = range(40_000, 290_000, at_once)
    for first in reversed(begins) if descending else begins:
        assert seen.add_new(list(range(first, first + at_once))) is None
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1.25 * 250_000


@pytest.mark.parametrize(
    "pages",
    [[range(1, 1001), range(1001, 2001)], [range(1, 3), range(1000, 1003)], [range(1, 3), range(258, 260)]],
)
def test_keys_of_neighboring_pages_are_known_and_no_others(pages: list[range]) -> None:
    keys = KeySet()
    for page in pages:
        assert keys.add_new(page) is None
    assert [key for key in range(2100) if keys.has_all([key])] == [key for page in pages for key in page]
