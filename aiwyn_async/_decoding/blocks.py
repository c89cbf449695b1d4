"""Split a page's JSON between rows, into blocks that fit the processor's cache.

A row is recognized by how the page's first row begins, up to its second key. An object inside a row may begin
the same way; a split before it leaves brackets unbalanced, so that the block does not decode.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from aiwyn_async._decoding.malformed import is_json

BLOCK_BYTES: Final = 100_000
"""About 95 invoices, whose objects take a third of a common per-core cache. For a block of more than 128 KiB,
glibc would request memory from the kernel each time."""

MAX_TAIL: Final = 4096
"""The end of the rows is searched for in this many bytes at the end of a page."""

_SCALAR: Final = rb'(?:-?[0-9]+|"[^"\\]*")'
_FIRST_KEYS: Final = re.compile(rb'(\{\s*"[^"\\]*"\s*:\s*)' + _SCALAR + rb'(\s*,\s*"[^"\\]*"\s*:)')


Block = Sequence[memoryview]
"""Consecutive rows with the commas between them: slices of the pieces of a page."""


class PageBlocks(NamedTuple):
    """A page that was split into blocks.

    Attributes:
        head: the bytes before the first row.
        blocks: consecutive rows; the comma between two blocks is in neither.
        end: the remaining rows, and the bytes after them.
    """

    head: bytes
    blocks: Sequence[Block]
    end: Block


def split_into_blocks(pieces: Sequence[bytes | memoryview], path: Sequence[str]) -> PageBlocks | None:
    """Split a page between rows; None if it is too short or has no leading rows.

    If a piece ends within the bytes that mark the end of a row, that row's block is longer.

    Args:
        pieces: the page's body, as it was received.
        path: the path of keys to its rows.
    """
    first = pieces[0]
    head = _match_head(tuple(path))(first)
    keys = head and _FIRST_KEYS.match(first, head.end())
    if not head or not keys:
        return None
    find_next = _find_boundary(keys[1], keys[2])
    blocks: list[Block] = []
    block: list[memoryview] = []
    start, length = head.end(), 0
    for piece in pieces:
        view = memoryview(piece)
        while (boundary := find_next(piece, start + max(0, BLOCK_BYTES - length))) is not None:
            blocks.append([*block, view[start : boundary.start() + 1]])
            block, start, length = [], boundary.start(1), 0
        block.append(view[start:])
        start, length = 0, length + len(piece) - start
    return PageBlocks(bytes(first[: head.end()]), blocks, block) if blocks else None


def split_rows(rows: bytes | memoryview) -> Iterator[bytes]:
    """Split rows with the commas between them into JSON lists of about ``BLOCK_BYTES``.

    One of them is not JSON if an object inside a row begins like a row.
    """
    page = split_into_blocks([b"[" + rows[:BLOCK_BYTES], memoryview(rows)[BLOCK_BYTES:]], ())
    blocks: Sequence[Block] = [[memoryview(rows)]] if page is None else [*page.blocks, page.end]
    for block in blocks:
        yield b"".join((b"[", *block, b"]"))


def find_rows(body: bytes, path: Sequence[str]) -> memoryview | None:
    """Return a page's leading rows with the commas between them, or None."""
    head = _match_head(tuple(path))(body)
    end = len(body)
    while head and (end := body.rfind(b"]", max(head.end(), len(body) - MAX_TAIL), end)) >= 0:
        # The bracket closes the list of rows if the page without them is JSON.
        if is_json(body[: head.end()] + body[end:]):
            return memoryview(body)[head.end() : end]
    return None


@functools.lru_cache(maxsize=64)
def _match_head(path: tuple[str, ...]) -> Callable[[bytes | memoryview], re.Match[bytes] | None]:
    """Return a matcher of a body up to its first row, if that is its first value."""
    keys = [rb"\{\s*" + re.escape(msgspec.json.encode(key)) + rb"\s*:\s*" for key in path]
    return re.compile(rb"\s*" + b"".join(keys) + rb"\[\s*").match


@functools.lru_cache(maxsize=64)
def _find_boundary(
    first: bytes, second: bytes
) -> Callable[[bytes | memoryview, int], re.Match[bytes] | None]:
    """Return a matcher of a row's end, whose first group is the next row's start."""
    return re.compile(rb"\}\s*,\s*(" + re.escape(first) + _SCALAR + re.escape(second) + rb")").search
