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
    """Split a page that is not valid JSON, so that most rows are JSON; None in another envelope.

    Raises:
        DecodeError: the page without its rows is not JSON either.
    """
    best: SplitPage | None = None
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
        repaired = list(map(_repair, rows))
        good = len(rows) - repaired.count(None)
        if good > most:
            most, best = good, _split_page_of(rows, repaired, count)
        if good == len(rows):
            break
    if has_rows and best is None:
        raise malformed_error(error) from None
    return best


def _repair(row: bytes) -> bytes | None:
    """Return a row as JSON without lone surrogates; None if it is not JSON."""
    if is_json(row):
        return row
    json = replace_lone_surrogates(row)
    return json if is_json(json) else None


def _split_page_of(rows: list[bytes], repaired: list[bytes | None], count: object) -> SplitPage:
    return SplitPage(
        [row if json is None else json for row, json in zip(rows, repaired, strict=True)],
        parse_count(count),
        frozenset(index for index, json in enumerate(repaired) if json not in {None, rows[index]}),
        was_malformed=True,
        has_malformed_row=None in repaired,
    )
