"""The search for timestamps that msgspec may misread, in single objects and in pages."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest

from aiwyn_async._decoding.checked_types import may_misread_timestamps

LONG = 20_000


class Event(msgspec.Struct):
    at: datetime
    text: str = ""


ODD = [
    "2024-05-06T07:08:09.1234567",
    "2024-05-06T23:59:59.9999999Z",
    "2024-05-06t07:08:09.1234567Z",
    "2024-05-06 07:08:09.1234567+02:00",
    "9999-12-31T23:59:59-08:00",
    "9999-12-31 23:59:59-08:00",
    "0001-01-01T00:00:00+08:00",
    r"2024\u002d05\u002d06T07:08:09.1234567",
    r"2024-05-06\u005407:08:09.1234567",
    r"2024-05-06\u007407:08:09.1234567",
    r"2024-05-06\u002007:08:09.1234567",
    r"2024-05-06T07:08:09\u002e1234567",
    r"2024-05-06T07:08:09.123456\u0037",
    r"9999-12-31T23:59:59\u002D08:00",
    r"0001-01-01T00:00:00\u002B08:00",
]
USUAL = ["2024-05-06T07:08:09", "2024-05-06T07:08:09.123456Z", "2024-05-06 07:08:09+02:00"]


@pytest.mark.parametrize("text", ["", "of 2024-05-06: 7:30, not T9", r"\n\u0041" * 9])
@pytest.mark.parametrize("filling", [" ", "x", r"\\", r"\n", r"\u00e9"])
@pytest.mark.parametrize("length", [0, LONG])
@pytest.mark.parametrize("timestamp", [*ODD, *USUAL])
def test_search_finds_odd_timestamps_anywhere(timestamp: str, length: int, filling: str, text: str) -> None:
    usual = f'{{"at":"2024-05-06T07:08:09","text":"{text}{filling * length}"}},'
    json = f'{usual}{{"at":"{timestamp}","text":"{text}"}}'.encode()
    assert may_misread_timestamps(Event, json) == (timestamp in ODD)


def test_search_skips_times_without_a_date() -> None:
    json = b'{"at":"2024-05-06T07:08:09","text":"T07:08:09.1234567"}'
    assert not may_misread_timestamps(Event, json)


def test_search_skips_escaped_backslashes() -> None:
    json = rb'{"at":"2024-05-06T07:08:09","text":"\\u002d"}'
    assert not may_misread_timestamps(Event, json)
