"""The words that CONTRIBUTING.md rules out occur neither in the package nor in its documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# "there is no" and "is no longer" are standard English; any other "is no" is "is not a".
BANNED = re.compile(
    r"\b(?:(?:told|anew|meanwhile|speaks? against|vouch(?:ed|es)?|bears|stands)\b"
    r"|(?<!there )is no (?!longer\b))",
    re.IGNORECASE,
)
FILES = [
    *sorted(path for kind in ("py", "pyi", "json") for path in (ROOT / "aiwyn_async").rglob(f"*.{kind}")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
]


def banned_words(path: Path) -> list[str]:
    """Return ``file:line: word`` for each banned word, also one that a line break splits."""
    text = path.read_text(encoding="utf-8")
    joined = re.sub(r"\s", " ", text)  # of the same length
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0].strip()}"
        for match in BANNED.finditer(joined)
    ]


def test_no_file_has_a_banned_word() -> None:
    found = [line for path in FILES for line in banned_words(path)]
    assert not found, "\n".join(["use a plain word instead:", *found])


@pytest.mark.parametrize("text", ["Told", "it is no key", "is\nno key", "started anew", "nothing vouches"])
def test_banned_words_match(text: str) -> None:
    assert BANNED.search(re.sub(r"\s", " ", text))


@pytest.mark.parametrize(
    "text", ["it is no longer used", "if there is no key", "standard", "understands", "bearer"]
)
def test_other_words_do_not_match(text: str) -> None:
    assert not BANNED.search(text)
