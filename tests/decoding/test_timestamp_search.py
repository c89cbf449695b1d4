"""The search for timestamps that msgspec may misread, in single objects and in pages."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest

from aiwyn_async._decoding.checked_types import HEAD, may_misread_timestamps


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
    r"2024-05-06T07:08:09\u002e1234567",
    r"0001-01-01T00:00:00\u002B08:00",
]
USUAL = ["2024-05-06T07:08:09", "2024-05-06T07:08:09.123456Z", "2024-05-06 07:08:09+02:00"]


@pytest.mark.parametrize("padding", [0, HEAD])
@pytest.mark.parametrize("text", ["", "of 2024-05-06: 7:30, not T9"])
@pytest.mark.parametrize("timestamp", [*ODD, *USUAL])
def test_search_finds_odd_timestamps_in_objects_and_in_pages(timestamp: str, text: str, padding: int) -> None:
    json = f'{{"at":"{timestamp}","text":"{text}{" " * padding}"}}'.encode()
    assert may_misread_timestamps(Event, json) == (timestamp in ODD)


def test_search_of_an_object_skips_times_without_a_date() -> None:
    json = b'{"at":"2024-05-06T07:08:09","text":"T07:08:09.1234567"}'
    assert not may_misread_timestamps(Event, json)


@pytest.mark.parametrize("timestamp", [*ODD, *USUAL])
def test_search_finds_odd_timestamps_after_a_head_without_any(timestamp: str) -> None:
    json = f'{{"text":"{"x" * 9 * HEAD}T7:00","at":"{timestamp}"}}'.encode()
    assert may_misread_timestamps(Event, json) == (timestamp in ODD)


@pytest.mark.parametrize("timestamp", [each for each in [*ODD, *USUAL] if r"\u00" not in each[:20]])
def test_search_finds_odd_timestamps_after_a_head_with_usual_ones(timestamp: str) -> None:
    usual = f'{{"at":"2024-05-06T07:08:09","text":"{" " * HEAD}"}},'
    json = f'{usual}{{"at":"{timestamp}"}}'.encode()
    assert may_misread_timestamps(Event, json) == (timestamp in ODD)


def test_search_for_escapes_ends_after_a_head_with_usual_timestamps() -> None:
    usual = f'{{"at":"2024-05-06T07:08:09","text":"{" " * HEAD}"}},'
    json = rf'{usual}{{"at":"2024-05-06\u005407:08:09.1234567"}}'.encode()
    assert not may_misread_timestamps(Event, json)
