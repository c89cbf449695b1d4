"""Rows of a page that is not JSON as a whole: a row's end is found by brackets and strings alone.

One row with a raw control character, ``NaN`` or half a surrogate pair makes msgspec refuse the document. Half
a pair is legal JSON and becomes U+FFFD, as in other readers; what is not JSON is one bad row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

__all__ = ["SplitPage", "split_page", "up_to_value", "with_whole_surrogates", "without_items"]

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],]', re.DOTALL)
_COLON: Final = re.compile(rb"\s*:\s*")
_SCALAR: Final = re.compile(rb'\s*:\s*(?:"(?:[^"\\]|\\.)*"|[-+.0-9eE]+)(?=\s*[,}])', re.DOTALL)
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_OPENS: Final = {b"}": b"{", b"]": b"["}
_OUTER_LISTS: Final = 3
"""The depth of a list in an object inside another, with its own bracket."""
_text: Final = msgspec.json.Decoder(str).decode


class SplitPage(NamedTuple):
    """The rows of a page as their bytes, and the page without them."""

    rows: list[bytes]
    rest: bytes


def split_page(body: bytes, path: Sequence[str]) -> SplitPage | None:
    """Split a page into rows; None if the list of rows is not there, or does not end.

    Args:
        body: of the response.
        path: of keys to the list of rows.
    """
    begin = _start_of(body, path)
    if begin is None:
        return None
    rows: list[bytes] = []
    open_brackets: list[bytes] = []
    start = begin
    for token in _TOKENS.finditer(body, begin):
        mark = token[0]
        if mark in {b"{", b"["}:
            open_brackets.append(mark)
        elif mark in _OPENS and _OPENS[mark] in open_brackets:
            # An inner bracket that was left open ends here too.
            while open_brackets.pop() != _OPENS[mark]:
                continue
        elif mark == b"]" or (mark == b"," and not open_brackets):
            row = body[start : token.start()].strip()
            if row or mark == b"," or rows:
                rows.append(row)
            start = token.end()
            if mark == b"]":
                return SplitPage(rows, body[:begin] + body[token.start() :])
    return None


def without_items(body: bytes) -> bytes:
    """The same document with every list in its two outer objects empty."""
    kept: list[bytes] = []
    depth = start = 0
    opened: list[int] = []
    for token in _TOKENS.finditer(body):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
            if mark == b"[" and depth <= _OUTER_LISTS and not opened:
                kept.append(body[start : token.end()])
                opened.append(depth)
        elif mark in _OPENS:
            if opened == [depth] and mark == b"]":
                start = token.start()
                opened.clear()
            depth -= 1
    return b"".join((*kept, body[start:]))


def up_to_value(row: bytes, is_key: Callable[[str], bool]) -> bytes | None:
    """Cut an object off behind the text or number of a key, and close it; None if it has no such key."""
    depth = 0
    for token in _TOKENS.finditer(row):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif mark in _OPENS:
            depth -= 1
        elif depth == 1 and mark != b"," and (value := _SCALAR.match(row, token.end())):
            key = _key_of(mark)
            if key is not None and is_key(key):
                return row[: value.end()] + b"}"
    return None


def with_whole_surrogates(json: bytes) -> bytes:
    """Replace each escape of half a surrogate pair by that of U+FFFD."""
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], json)


def _start_of(body: bytes, path: Sequence[str]) -> int | None:
    """The place behind the bracket that opens the list of rows."""
    depth, level = 0, 0
    for token in _TOKENS.finditer(body):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif mark in _OPENS:
            depth -= 1
        elif depth == level + 1 and mark != b"," and (colon := _COLON.match(body, token.end())):
            opens = b"[" if level == len(path) - 1 else b"{"
            if _key_of(mark) == path[level] and body[colon.end() : colon.end() + 1] == opens:
                if opens == b"[":
                    return colon.end() + 1
                level += 1
    return None


def _key_of(token: bytes) -> str | None:
    try:
        return _text(token)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
