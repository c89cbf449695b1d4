"""A page's JSON cut between rows, into blocks small enough that their rows stay in the processor's cache.

Where to cut is learned from the page's first row: how it begins, up to its second key. That may be how an
object inside a row begins too. Such a cut leaves brackets open, so it shows when the block is decoded, and
never gives a row that is none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

__all__ = ["BLOCK_BYTES", "Cuts", "cut_between_rows"]

BLOCK_BYTES: Final = 100_000
"""About 95 invoices, whose objects take a third of what a core's own cache commonly holds. A block of more
than 128 KiB would be memory that glibc takes from the kernel anew each time."""

_SCALAR: Final = rb'(?:-?[0-9]+|"[^"\\]*")'
_first_keys: Final = re.compile(rb'(\{\s*"[^"\\]*"\s*:\s*)' + _SCALAR + rb'(\s*,\s*"[^"\\]*"\s*:)')


class Cuts(msgspec.Struct, frozen=True):
    """Where a page was cut.

    Attributes:
        head: length of what stands before the first row.
        blocks: the ends of each run of rows, commas between runs left out; the last one ends with the body.
    """

    head: int
    blocks: Sequence[tuple[int, int]]


def cut_between_rows(body: bytes, items: Sequence[str]) -> Cuts | None:
    """Where a page can be cut, or None where it does not begin with its rows or is too short.

    Args:
        body: the page.
        items: the path of keys to its rows.
    """
    head = _opening(tuple(items))(body)
    first = head and _first_keys.match(body, head.end())
    if not head or not first:
        return None
    find_next = _between_rows(first[1], first[2])
    blocks: list[tuple[int, int]] = []
    start = head.end()
    while (cut := find_next(body, start + BLOCK_BYTES)) is not None:
        blocks.append((start, cut.start() + 1))
        start = cut.start(1)
    return Cuts(head.end(), [*blocks, (start, len(body))]) if blocks else None


@functools.lru_cache(maxsize=64)
def _opening(items: tuple[str, ...]) -> Callable[[bytes], re.Match[bytes] | None]:
    """Matches a body up to its first row, where nothing else stands before the rows."""
    keys = [rb"\{\s*" + re.escape(msgspec.json.encode(key)) + rb"\s*:\s*" for key in items]
    return re.compile(rb"\s*" + b"".join(keys) + rb"\[\s*").match


@functools.lru_cache(maxsize=64)
def _between_rows(first: bytes, second: bytes) -> Callable[[bytes, int], re.Match[bytes] | None]:
    """Finds the end of a row and the beginning of the next, which its first group holds."""
    return re.compile(rb"\}\s*,\s*(" + re.escape(first) + _SCALAR + re.escape(second) + rb")").search
