"""Split a page that is not valid JSON into rows, by brackets and strings alone.

One row with a raw control character, ``NaN`` or a lone surrogate makes msgspec reject the document. A lone
surrogate is legal JSON and becomes U+FFFD, as in other decoders; a row that is not JSON is one bad row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+("?)|[{}\[\],]', re.DOTALL)
"""Group 1 is empty for a string without an end."""
_BRACKETS: Final = re.compile(rb"[{}\[\],]")
_COLON: Final = re.compile(rb"\s*:\s*")
_SCALAR: Final = re.compile(rb'\s*:\s*(?:"(?:[^"\\]|\\.)*"|[-+.0-9eE]+)(?=\s*[,}])', re.DOTALL)
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_NO_NUMBERS: Final = re.compile(rb"([:\[,]\s*)(?:NaN|-?Infinity)(?=\s*[,}\]])")
_OPENING: Final = {b"}": b"{", b"]": b"["}
_MAX_DEPTH: Final = 3
"""The depth of a list in an object inside another, with its own bracket."""
_ROW_START: Final = re.compile(rb",\s*(?=\{)")
_AFTER_ROW: Final = re.compile(rb"\s*(?:,\s*|(\]))")
_MAX_READS: Final = 4
_MIN_READ: Final = 100
_MIN_KEYS: Final = 4
_MAX_ROW_BYTES: Final = 100_000
_MAX_TAIL: Final = 4096
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def is_json(text: bytes) -> bool:
    """Return True if msgspec accepts the bytes as JSON."""
    try:
        _decode_raw(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_truncated(body: bytes) -> bool:
    try:
        _decode_raw(replace_lone_surrogates(body))
    except msgspec.DecodeError as error:
        return str(error) == "Input data was truncated"
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def has_line_break(text: bytes) -> bool:
    """Return True if a reader of lines may end one within the text, as Python does at a carriage return."""
    return b"\n" in text or b"\r" in text


def split_rows(body: bytes, path: Sequence[str]) -> tuple[list[bytes], bytes] | None:
    """Split a page into its rows and the rest; None without a complete list of rows."""
    begin = _find_list(body, path)
    if begin is None:
        return None
    rows: list[bytes] = []
    start = begin
    for token in _row_ends(_tokens(body, begin)):
        mark = token[0]
        row = body[start : token.start()].strip()
        if row or mark == b"," or rows:
            rows.append(row)
        start = token.end()
        if mark == b"]":
            return rows, body[:begin] + body[token.start() :]
    return None


def _row_ends(tokens: Iterator[re.Match[bytes]]) -> Iterator[re.Match[bytes]]:
    """Yield the commas between the rows of a list, and the bracket that closes it; read no more tokens."""
    open_brackets: list[bytes] = []
    # Counts, because a search of the list for each bracket takes quadratic time.
    open_counts = {b"{": 0, b"[": 0}
    for token in tokens:
        mark = token[0]
        if mark in {b"{", b"["}:
            open_brackets.append(mark)
            open_counts[mark] += 1
        elif mark in _OPENING and open_counts[_OPENING[mark]]:
            # This also closes inner brackets that were left open.
            closed = b""
            while closed != _OPENING[mark]:
                closed = open_brackets.pop()
                open_counts[closed] -= 1
        elif mark == b"]" or (mark == b"," and not open_brackets):
            yield token
            if mark == b"]":
                return


def split_torn_rows(body: bytes, path: Sequence[str]) -> tuple[list[bytes], bytes] | None:
    """Split a page as ``split_rows()`` does, also if a row has an odd number of quotes; None if that fails.

    Strings do not show where such a row ends. It ends before an object if as many brackets were closed as
    opened; or, unless a list within the row is open, before one that has the keys of another row, or with
    which the list of rows ends. A truncated page fails: a list within its last row may end at its end.
    """
    begin = None if _is_truncated(body) else _find_list(body, path)
    end = None if begin is None else _find_end(body, begin)
    if begin is None or end is None:
        return None
    known_keys: set[frozenset[str]] = set()
    rows = _split_torn(body, begin, end, known_keys)
    if rows is None or not all(map(is_json, rows[:1])):
        # Now with the keys of rows behind a first one that is torn.
        rows = _split_torn(body, begin, end, known_keys)
    return None if rows is None else (rows, body[:begin] + body[end:])


def _find_end(body: bytes, begin: int) -> int | None:
    """Return the position of the last bracket that can close the list of rows, near the end of the page."""
    left = _MAX_READS * len(body)
    end = len(body)
    while left > 0 and (end := body.rfind(b"]", max(begin, len(body) - _MAX_TAIL), end)) >= 0:
        rest = body[:begin] + body[end:]
        if is_json(replace_no_numbers(replace_lone_surrogates(rest))):
            return end
        left -= len(rest)
    return None


def _split_torn(body: bytes, begin: int, end: int, known_keys: set[frozenset[str]]) -> list[bytes] | None:
    """Return the rows between two positions; None if they take too long, or the last one has no end."""
    rows: list[bytes] = []
    torn = at = begin  # where a row that is not JSON may begin, and where one that is may
    braces = brackets = 0  # those that are open between the two, in strings too
    left = _MAX_READS * len(body) + _MAX_ROW_BYTES
    while left > 0:  # so that it takes linear time
        run, run_end, read = _rows_from(body, at)
        left -= read - at + _MIN_READ
        if run_end < end and body.startswith(b"]", run_end):
            run = []  # another list, within a row
        keys = _keys_of(run[0]) if run else None
        is_closed = braces == brackets == 0
        is_row = run_end == end or keys in known_keys or (is_closed and keys is not None)
        is_in_list = braces > 0 and brackets > 0
        if at > torn and (is_row and not is_in_list if run else is_closed):
            rows.append(body[torn:at].rstrip().removesuffix(b",").rstrip())
            torn, braces, brackets = at, 0, 0
        if run and at == torn:
            rows += run
            known_keys.update(filter(None, map(_keys_of, run)))
            torn = at = run_end
        if at == end:
            return rows
        start = _ROW_START.search(body, at, end)
        after = end if start is None else start.end()
        braces += body.count(b"{", at, after) - body.count(b"}", at, after)
        brackets += body.count(b"[", at, after) - body.count(b"]", at, after)
        if start is None:
            return None if braces > 0 and brackets > 0 else [*rows, body[torn:end].rstrip()]
        at = after
    return None


def _rows_from(body: bytes, start: int) -> tuple[list[bytes], int, int]:
    """Return objects that are JSON with commas between them, where they end, and how far the body was read.

    They end at a bracket, or at the start of something else.
    """
    rows: list[bytes] = []
    while True:
        end, is_closed = _end_of_object(body, start)
        after = _AFTER_ROW.match(body, end) if is_closed else None
        row = body[start:end]
        if after is None or not is_json(replace_lone_surrogates(row)):
            return rows, start, end
        rows.append(row)
        if after[1]:
            return rows, after.start(1), end
        start = after.end()


def _end_of_object(body: bytes, start: int) -> tuple[int, bool]:
    """Return how far an object was read, and whether its brackets are closed there."""
    depth, end = 0, start
    for token in _tokens(body, start) if body.startswith(b"{", start) else ():
        mark, end = token[0], token.end()
        depth += (mark in {b"{", b"["}) - (mark in _OPENING)
        if depth <= 0 or end > start + _MAX_ROW_BYTES:
            break
    return end, depth == 0 < end - start


def _keys_of(row: bytes) -> frozenset[str] | None:
    """Return the keys of an object; None if objects within rows may have the same few ones."""
    try:
        keys = frozenset(_decode_keys(replace_lone_surrogates(row)))
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a key that is not UTF-8
        return None
    return keys if len(keys) >= _MIN_KEYS else None


def without_rows(body: bytes) -> bytes:
    """Return the document with every list in its two outer objects empty."""
    parts: list[bytes] = []
    depth = start = 0
    tokens = _tokens(body)
    for token in tokens:
        mark = token[0]
        if mark == b"[" and depth < _MAX_DEPTH:
            parts.append(body[start : token.end()])
            start = token.end()
            for end in _row_ends(tokens):
                start = end.start()
            if not body.startswith(b"]", start):
                break  # the list has no end
        elif mark in {b"{", b"["}:
            depth += 1
        elif mark in _OPENING:
            depth -= 1
    return b"".join((*parts, body[start:]))


def cut_after_value(row: bytes, is_key: Callable[[str], bool]) -> bytes | None:
    """Return an object closed after the value of a key, text or number, or None."""
    for token, depth in _strings(row):
        if depth == 1 and (value := _SCALAR.match(row, token.end())):
            key = _decode_key(token[0])
            if key is not None and is_key(key):
                return row[: value.end()] + b"}"
    return None


def replace_lone_surrogates(json: bytes) -> bytes:
    """Replace each escaped lone surrogate by the escape of U+FFFD."""
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], json)


def replace_no_numbers(json: bytes) -> bytes:
    """Replace each ``NaN`` and ``Infinity``, which is not JSON, by null."""
    return _NO_NUMBERS.sub(rb"\1null", json)


def decodable(body: bytes) -> bytes:
    """Return JSON that msgspec decodes: without lone surrogates, if it does not accept the body itself."""
    return body if is_json(body) else replace_lone_surrogates(body)


def _tokens(body: bytes, start: int = 0) -> Iterator[re.Match[bytes]]:
    """Yield strings, brackets and commas; after a string without an end only brackets and commas."""
    for token in _TOKENS.finditer(body, start):
        if token[1] == b"":
            # All later quotes are escaped: strings from them have no end either.
            yield from _BRACKETS.finditer(body, token.start() + 1)
            return
        yield token


def _strings(body: bytes) -> Iterator[tuple[re.Match[bytes], int]]:
    """Yield each string, with the number of brackets open around it."""
    depth = 0
    for token in _tokens(body):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif mark in _OPENING:
            depth -= 1
        elif mark != b",":
            yield token, depth


def _find_list(body: bytes, path: Sequence[str]) -> int | None:
    """Return the position after the bracket that opens the list of rows."""
    level = 0
    for token, depth in _strings(body):
        if depth == level + 1 and (colon := _COLON.match(body, token.end())):
            opening = b"[" if level == len(path) - 1 else b"{"
            if _decode_key(token[0]) == path[level] and body[colon.end() : colon.end() + 1] == opening:
                if opening == b"[":
                    return colon.end() + 1
                level += 1
    return None


def _decode_key(token: bytes) -> str | None:
    try:
        return _decode_text(token)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
