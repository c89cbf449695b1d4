"""The fast search for numbers of many decimal places agrees with the regular expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiwyn_async.arrow._limits import MANY_DIGITS, may_have_many_places

like_numbers = st.text('0123456789eE+-.:,;?"x\\', max_size=40).map(str.encode)
exponents = st.sampled_from(
    [
        *(b":1e-29", b'"+1e-48"', b",3.5E-30", b"2e-9", b" 1e+19", b"[-9e-30", b":0E-10", b"e-10"),
        *(b'"5.e-48"', rb'"5\u0065-48"', rb'"\u002b\u0035E\u002D4\u0038"', rb'"5e\u002d48"', rb'"\u002b5"'),
    ]
)
pieces = st.lists(like_numbers | exponents | st.binary(max_size=20), max_size=12)


@given(pieces=pieces)
@example(pieces=[])
@example(pieces=[b"7"])
@example(pieces=[b"\v2e-99"])
@example(pieces=[b"\xff\xb1\x85", b":1e-29", b"\xc3\xbf" * 40])
def test_exponents_are_detected_in_any_text(pieces: list[bytes]) -> None:
    text = b'{"":%s}]}' % b"".join(pieces)

    assert may_have_many_places(text) == bool(re.search(MANY_DIGITS.encode(), text))


@pytest.mark.parametrize("number", [b"1e-48", b"-1.5E-19"])
@pytest.mark.parametrize("after", [b"}", b' ,"currency":"USD"}' * 20])
def test_exponents_are_detected_at_any_offset(number: bytes, after: bytes) -> None:
    for before in range(200):
        assert may_have_many_places(b"x" * before + b":" + number + after)
        assert not may_have_many_places(b"x" * before + b":" + number[:-1] + after)


def test_exponents_are_not_detected_in_usual_rows() -> None:
    row = (
        b'{"id":"7070489e-4123-41d1","totalAmount":123456789.12,"dueDate":"2026-11-22","tax":1e-9,"x":"3e-m"}'
    )

    assert not may_have_many_places(row * 1000)
