"""The words that CONTRIBUTING.md rules out do not occur in the package, its documents, reports and tests."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# "there is no" and "is no longer" are standard English; any other "is no" is "is not a".
BANNED = re.compile(
    r"\b(?:(?:told|anew|meanwhile|speaks? against|vouch(?:ed|es)?|bears|stands)\b"
    r"|(?<!there )is no (?!longer\b))",
    re.IGNORECASE,
)
BANNED_NAMES = {
    "ask",
    "asked",
    "came",
    "doubt",
    "doubts",
    "found",
    "gave",
    "kept",
    "place",
    "proof",
    "told",
    "walk",
}
CODE = [
    path
    for folder in ("aiwyn_async", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__)
]
FILES = [
    *sorted(path for kind in ("py", "pyi", "json") for path in (ROOT / "aiwyn_async").rglob(f"*.{kind}")),
    *sorted(path for folder in ("docs", "benchmarks") for path in (ROOT / folder).glob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in CODE if "tests" in path.relative_to(ROOT).parts),
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
    lines = [line for path in FILES for line in banned_words(path)]
    assert not lines, "\n".join(["use a plain word instead:", *lines])


def test_no_name_is_a_banned_word() -> None:
    lines: list[str] = []
    for path in CODE:
        with path.open(encoding="utf-8") as file:
            lines += [
                f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
                for token in tokenize.generate_tokens(file.readline)
                if token.type == tokenize.NAME and token.string in BANNED_NAMES
            ]
    assert not lines, "\n".join(["use a plain name instead:", *lines])


@pytest.mark.parametrize("text", ["Told", "it is no key", "is\nno key", "started anew", "nothing vouches"])
def test_banned_words_match(text: str) -> None:
    assert BANNED.search(re.sub(r"\s", " ", text))


@pytest.mark.parametrize(
    "text", ["it is no longer used", "if there is no key", "standard", "understands", "bearer"]
)
def test_other_words_do_not_match(text: str) -> None:
    assert not BANNED.search(text)
