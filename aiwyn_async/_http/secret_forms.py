"""Credentials in other forms than the one that was sent, such as percent-encoded or over several lines."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from aiwyn_async._core.headers import MIN_SECRET_LENGTH
from aiwyn_async._core.secret import Secret

MASK: Final = "***"
MIN_PREFIX: Final = 16
"""Characters of a truncated credential that are masked; fewer may be ordinary text."""

# One character of the original text: an escape in JSON, a URL or HTML, or itself. A gap is not part of a
# credential: line breaks, also escaped, with the = that quoted-printable puts before them, and an indent; and
# the soft hyphens and zero-width spaces at which a page may break a long word.
_ESCAPE: Final = (
    r"(?P<gap>(?:(?:=?[\x00-\x1f\x7f]|\\+[nrt]|[\xad\u200b-\u200d\u2060\ufeff])\s*)+)"
    r"|\\+(?:u00|x)(?P<json>[0-9A-Fa-f]{2})"
    r"|\\*(?:%(?:25)*(?P<url>[0-9A-Fa-f]{2})|&#x(?P<hex>[0-9A-Fa-f]{1,4});|&#(?P<decimal>[0-9]{1,4});)"
    r"|\\+"
)
_MARKS: Final = re.compile(r"[\\%&\x00-\x1f\x7f\xad\u200b-\u200d\u2060\ufeff]")
"""The characters of which each escape and each gap has one."""
_ESCAPES: Final = re.compile(_ESCAPE)
_UNIT: Final = re.compile(f"{_ESCAPE}|(?P<itself>.)", re.DOTALL)
# What has two spellings: the alphabets of base64, and letters.
_SPELLINGS: Final = str.maketrans("-_", "+/")


def mask_forms(text: str, patterns: Sequence[str]) -> str:
    """Mask credentials in any case, encoded for a URL, JSON or HTML, in base64 or hex, over lines or cut.

    Args:
        text: of a server.
        patterns: of ``patterns_of()`` the credentials.
    """
    candidates = _candidates(text) if len(text) >= MIN_SECRET_LENGTH else ""
    patterns = [pattern for pattern in patterns if pattern[:MIN_PREFIX] in candidates]
    if not patterns:
        return text
    characters, spans = _characters(text)
    hidden = sorted(span for pattern in patterns for span in _spans(pattern, characters))
    shown: list[str] = []
    end = 0
    for first, last in hidden:
        if spans[last][1] > end:
            shown += [text[end : max(end, spans[first][0])], MASK]
            end = spans[last][1]
    return "".join([*shown, text[end:]])


def patterns_of(secret: Secret) -> Sequence[str]:
    """Return what to look for: a credential, its hex, and its part in the base64 of a text that contains it.

    A credential of fewer than ``MIN_SECRET_LENGTH`` characters has none.
    """
    patterns = _patterns.get(secret)
    if patterns is None:
        patterns = _patterns[secret] = _build_patterns(secret.reveal())
    return patterns


_patterns: Final[WeakKeyDictionary[Secret, Sequence[str]]] = WeakKeyDictionary()
"""To build them takes ten times as long as to search a short text."""


def _build_patterns(text: str) -> Sequence[str]:
    if len(text) < MIN_SECRET_LENGTH:
        return ()
    patterns = [_candidates(text)]
    patterns.append(text.encode().hex())
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text.encode()).decode()
        patterns.append(encoded[(before * 8 + 5) // 6 : (before + len(text)) * 8 // 6].lower())
    return [pattern for pattern in patterns if len(pattern) >= MIN_SECRET_LENGTH]


def _candidates(text: str) -> str:
    """Return the characters of a text, much faster without where they are."""
    plain = _ESCAPES.sub(_character, text) if _MARKS.search(text) else text
    return plain.lower().translate(_SPELLINGS)


def _characters(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the characters of a text without escapes, in one spelling, and where each is in the text."""
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    for unit in _UNIT.finditer(text):
        if character := _character(unit):
            characters.append(character.lower()[0])
            spans.append(unit.span())
    return "".join(characters).translate(_SPELLINGS), spans


def _character(unit: re.Match[str]) -> str:
    """Return the character of a unit; none for a gap, or backslashes before a character."""
    match unit.lastgroup:
        case None | "gap":
            return ""
        case "itself":
            return unit["itself"]
        case "decimal":
            return chr(int(unit["decimal"]))
        case name:
            return chr(int(unit[name], 16))


def _spans(pattern: str, characters: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last character of each occurrence, also of a truncated one."""
    start = pattern[:MIN_PREFIX]
    first = characters.find(start)
    while first >= 0:
        length = len(start)
        limit = min(len(pattern), len(characters) - first)
        while length < limit and pattern[length] == characters[first + length]:
            length += 1
        yield first, first + length - 1
        first = characters.find(start, first + length)
