"""The rows that are served: invoices of the sandbox, numbered anew so that any number of them can be made.

An id has eight digits: five that number its thousand, and three within it. The rows of a thousand are kept
with a mark for the five, so that a page is one copy and one replacement, however many rows are served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from itertools import accumulate

import msgspec

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox

FIRST_ID = 10_000_000
THOUSAND = 1000
DIFFERENT_THOUSANDS = 8
"""After so many thousands the rows come again under other ids."""

_MARK = b"\0\0\0\0\0"


class _Id(msgspec.Struct):
    id: int


class _Total(msgspec.Struct, rename="camel"):
    total_amount: Decimal


class Thousand:
    """Marked rows joined by commas, and where each begins."""

    def __init__(self, rows: list[bytes]) -> None:
        marked = [_marked(row, place) for place, row in enumerate(rows)]
        self.total = sum((msgspec.json.decode(row, type=_Total).total_amount for row in rows), Decimal())
        self._text = b",".join(marked)
        self._begins = [0, *accumulate(len(row) + 1 for row in marked)]

    def rows(self, number: int, first: int, last: int) -> bytes:
        """The rows from place `first` to before `last`, of the thousand with this number."""
        text = self._text[self._begins[first] : self._begins[last] - 1]
        return text.replace(_MARK, b"%05d" % (FIRST_ID // THOUSAND + number))


class Corpus:
    def __init__(self) -> None:
        rows = asyncio.run(_sandbox_rows(DIFFERENT_THOUSANDS * THOUSAND))
        self._thousands = [Thousand(rows[at : at + THOUSAND]) for at in range(0, len(rows), THOUSAND)]

    def rows(self, first: int, last: int) -> bytes:
        """The rows with ids from `first` to before `last`, joined by commas."""
        return b",".join(self._pieces(first - FIRST_ID, last - FIRST_ID))

    @property
    def totals(self) -> list[str]:
        """The sum of total amounts of each of the different thousands."""
        return [str(thousand.total) for thousand in self._thousands]

    def _pieces(self, first: int, last: int) -> Iterator[bytes]:
        while first < last:
            number, place = divmod(first, THOUSAND)
            end = min(last, (number + 1) * THOUSAND)
            thousand = self._thousands[number % len(self._thousands)]
            yield thousand.rows(number, place, end - number * THOUSAND)
            first = end


async def _sandbox_rows(count: int) -> list[bytes]:
    async with (
        Sandbox(invoices=count, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as it,
    ):
        return [bytes(row) async for row in it.invoices.list().decode_as(msgspec.Raw)]


def _marked(row: bytes, place: int) -> bytes:
    before = b'{"id":%d,' % msgspec.json.decode(row, type=_Id).id
    assert row.startswith(before), row[:40]
    return b'{"id":%s%03d,%s' % (_MARK, place, row[len(before) :])
