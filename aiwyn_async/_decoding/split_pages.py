"""Split a page into the JSON of its rows, also if it is malformed."""

from __future__ import annotations

import msgspec

from aiwyn_async._decoding.envelope import Envelope, envelope_decoder, malformed_error, parse_count
from aiwyn_async._decoding.malformed import (
    is_json,
    replace_lone_surrogates,
    replace_no_numbers,
    split_rows,
    split_torn_rows,
)
from aiwyn_async._decoding.row_decoder import RAW
from aiwyn_async._decoding.values import DECODING_ERRORS


class SplitPage(msgspec.Struct, frozen=True):
    """A page's rows as JSON and its count; ``repaired`` are the rows that had a lone surrogate."""

    rows: list[bytes]
    count: int | None
    repaired: frozenset[int] = frozenset()
    was_malformed: bool = False
    has_malformed_row: bool = False


def split_page(envelope: Envelope, body: bytes) -> SplitPage | None:
    """Split a page into rows; return None if it has another envelope."""
    try:
        items, count = envelope_decoder(RAW, envelope)(body)
    except msgspec.ValidationError:
        return None
    except DECODING_ERRORS as error:
        return _split_malformed_page(envelope, body, error)
    return None if items is None else SplitPage([bytes(item) for item in items], parse_count(count))


def _split_malformed_page(envelope: Envelope, body: bytes, error: Exception) -> SplitPage | None:
    """Split a page that is not valid JSON; None in another envelope.

    Raises:
        DecodeError: the page without its rows is not JSON either.
    """
    split = _best_split(envelope, body, error)
    if split is None:
        return None
    rows, count = split
    repaired, has_malformed_row = set[int](), False
    for index, row in enumerate(rows):
        if is_json(row):
            continue
        json = replace_lone_surrogates(row)
        if is_json(json):
            rows[index] = json
            repaired.add(index)
        else:
            has_malformed_row = True
    return SplitPage(
        rows,
        parse_count(count),
        frozenset(repaired),
        was_malformed=True,
        has_malformed_row=has_malformed_row,
    )


def _best_split(envelope: Envelope, body: bytes, error: Exception) -> tuple[list[bytes], object] | None:
    """Return the rows of the split with more rows that are JSON, and the count; None without rows."""
    best: tuple[list[bytes], object] | None = None
    has_rows, most = False, -1
    for split in (split_rows, split_torn_rows):
        if (candidate := split(body, envelope.items)) is None:
            continue
        has_rows = True
        rows, rest = candidate
        try:
            _, count = envelope_decoder(RAW, envelope)(replace_no_numbers(replace_lone_surrogates(rest)))
        except DECODING_ERRORS:
            continue
        good = sum(is_json(replace_lone_surrogates(row)) for row in rows)
        if good > most:
            most, best = good, (rows, count)
        if good == len(rows):
            break
    if has_rows and best is None:
        raise malformed_error(error) from None
    return best
