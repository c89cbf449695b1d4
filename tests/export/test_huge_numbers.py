"""The quick look for numbers too large for a decimal finds what the expression finds, wherever it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiwyn_async.arrow.huge_numbers import HUGE_NUMBER, may_hold_huge_number

like_numbers = st.text('0123456789eE+-.:,;?"x', max_size=40).map(str.encode)
long_numbers = st.integers(15, 30).map(lambda digits: b"7" * digits)
exponents = st.sampled_from([b"1e29", b"3.5E+30", b"2e9", b"1e+9", b"9e-30", b"0E10", b"e10"])
pieces = st.lists(like_numbers | long_numbers | exponents | st.binary(max_size=20), max_size=12)


@given(pieces=pieces)
@example(pieces=[])
@example(pieces=[b"7"])
def test_any_text(pieces: list[bytes]) -> None:
    text = b"".join(pieces)

    assert may_hold_huge_number(text) == bool(re.search(HUGE_NUMBER.encode(), text))


@pytest.mark.parametrize("number", [b"1" * 21, b"1e29", b"1.5E+29"])
@pytest.mark.parametrize("after", [b"", b"}", b' ,"currency":"USD"}' * 20])
def test_at_any_place(number: bytes, after: bytes) -> None:
    for before in range(200):
        assert may_hold_huge_number(b"x" * before + number + after)
        assert not may_hold_huge_number(b"x" * before + number[:-1] + after)


def test_what_is_common_in_rows_is_none() -> None:
    row = b'{"id":10000001,"totalAmount":12345678901234567890.12,"dueDate":"2026-11-22T12:34:56Z","tax":1e9}'

    assert not may_hold_huge_number(row * 1000)
