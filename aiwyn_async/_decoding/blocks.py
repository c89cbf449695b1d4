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

__all__ = ["BLOCK_BYTES", "Block", "Cuts", "cut_between_rows", "rows_within"]

BLOCK_BYTES: Final = 100_000
"""About 95 invoices, whose objects take a third of what a core's own cache commonly holds. A block of more
than 128 KiB would be memory that glibc takes from the kernel anew each time."""

MAX_TAIL: Final = 4096
"""Bytes after the rows of a page in which their end is looked for."""

_SCALAR: Final = rb'(?:-?[0-9]+|"[^"\\]*")'
_first_keys: Final = re.compile(rb'(\{\s*"[^"\\]*"\s*:\s*)' + _SCALAR + rb'(\s*,\s*"[^"\\]*"\s*:)')


Block = Sequence[memoryview]
"""A run of rows, commas between them included: what it takes of each piece of the page."""


class Cuts(msgspec.Struct, frozen=True):
    """A page that was cut.

    Attributes:
        head: what stands before the first row.
        blocks: runs of rows; the comma between two is in neither.
        end: the rows left, and what stands behind them.
    """

    head: bytes
    blocks: Sequence[Block]
    end: Block


def cut_between_rows(pieces: Sequence[bytes], items: Sequence[str]) -> Cuts | None:
    """Where a page can be cut, or None where it does not begin with its rows or is too short.

    Where a piece ends within what tells a row's end, no cut is seen, and the block is longer.

    Args:
        pieces: of the page, as they came.
        items: the path of keys to its rows.
    """
    begin = pieces[0]
    head = _opening(tuple(items))(begin)
    first = head and _first_keys.match(begin, head.end())
    if not head or not first:
        return None
    find_next = _between_rows(first[1], first[2])
    blocks: list[Block] = []
    block: list[memoryview] = []
    start, length = head.end(), 0
    for piece in pieces:
        whole = memoryview(piece)
        while (cut := find_next(piece, start + max(0, BLOCK_BYTES - length))) is not None:
            blocks.append([*block, whole[start : cut.start() + 1]])
            block, start, length = [], cut.start(1), 0
        block.append(whole[start:])
        start, length = 0, length + len(piece) - start
    return Cuts(begin[: head.end()], blocks, block) if blocks else None


def rows_within(body: bytes, items: Sequence[str]) -> bytes | None:
    """The rows of a page and the commas between them; None if the page does not begin with its rows.

    Args:
        body: of the response.
        items: the path of keys to its rows.
    """
    head = _opening(tuple(items))(body)
    end = len(body)
    while head and (end := body.rfind(b"]", max(head.end(), len(body) - MAX_TAIL), end)) >= 0:
        # The bracket closes the list of rows if the page without them is JSON.
        if _is_json(body[: head.end()] + body[end:]):
            return body[head.end() : end]
    return None


def _is_json(text: bytes) -> bool:
    try:
        _decode_raw(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


@functools.lru_cache(maxsize=64)
def _opening(items: tuple[str, ...]) -> Callable[[bytes], re.Match[bytes] | None]:
    """Matches a body up to its first row, where nothing else stands before the rows."""
    keys = [rb"\{\s*" + re.escape(msgspec.json.encode(key)) + rb"\s*:\s*" for key in items]
    return re.compile(rb"\s*" + b"".join(keys) + rb"\[\s*").match


@functools.lru_cache(maxsize=64)
def _between_rows(first: bytes, second: bytes) -> Callable[[bytes, int], re.Match[bytes] | None]:
    """Finds the end of a row and the beginning of the next, which its first group holds."""
    return re.compile(rb"\}\s*,\s*(" + re.escape(first) + _SCALAR + re.escape(second) + rb")").search
