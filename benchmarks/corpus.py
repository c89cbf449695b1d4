"""The served rows: invoices of the sandbox with new numbers, in any quantity.

An id has eight digits: five for its thousand, three within it. The rows of a thousand are stored with a
placeholder for the five, so that a page is one copy and one replacement.
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
"""After this many thousands, the rows repeat with other ids."""

_MARK = b"\0\0\0\0\0"


class _Id(msgspec.Struct):
    id: int


class _Total(msgspec.Struct, rename="camel"):
    total_amount: Decimal


class Thousand:
    """Rows with placeholders, joined by commas, and their offsets."""

    def __init__(self, rows: list[bytes]) -> None:
        rows_with_ids = [_with_placeholder(row, index) for index, row in enumerate(rows)]
        self.total = sum((msgspec.json.decode(row, type=_Total).total_amount for row in rows), Decimal())
        self._text = b",".join(rows_with_ids)
        self._offsets = [0, *accumulate(len(row) + 1 for row in rows_with_ids)]

    def rows(self, number: int, first: int, last: int) -> bytes:
        """Return the rows from index `first` to before `last`, of the thousand with this number."""
        text = self._text[self._offsets[first] : self._offsets[last] - 1]
        return text.replace(_MARK, b"%05d" % (FIRST_ID // THOUSAND + number))


class Corpus:
    def __init__(self) -> None:
        rows = asyncio.run(_sandbox_rows(DIFFERENT_THOUSANDS * THOUSAND))
        self._thousands = [Thousand(rows[at : at + THOUSAND]) for at in range(0, len(rows), THOUSAND)]

    def rows(self, first: int, last: int) -> bytes:
        """Return the rows with ids from `first` to before `last`, joined by commas."""
        return b",".join(self._pieces(first - FIRST_ID, last - FIRST_ID))

    @property
    def totals(self) -> list[str]:
        """The sum of total amounts of each thousand."""
        return [str(thousand.total) for thousand in self._thousands]

    def _pieces(self, first: int, last: int) -> Iterator[bytes]:
        while first < last:
            number, index = divmod(first, THOUSAND)
            end = min(last, (number + 1) * THOUSAND)
            thousand = self._thousands[number % len(self._thousands)]
            yield thousand.rows(number, index, end - number * THOUSAND)
            first = end


async def _sandbox_rows(count: int) -> list[bytes]:
    async with (
        Sandbox(invoices=count, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as it,
    ):
        return [bytes(row) async for row in it.invoices.list().decode_as(msgspec.Raw)]


def _with_placeholder(row: bytes, index: int) -> bytes:
    before = b'{"id":%d,' % msgspec.json.decode(row, type=_Id).id
    assert row.startswith(before), row[:40]
    return b'{"id":%s%03d,%s' % (_MARK, index, row[len(before) :])
