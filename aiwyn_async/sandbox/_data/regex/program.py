"""The instructions that a pattern compiles to, and the budget of a search."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aiwyn_async.sandbox._data.characters import is_word
from aiwyn_async.sandbox._data.regex.tree import BackReference, Boundary, Char, GroupIsSet, Look

_MAX_STEPS = 300_000


class RegexTooComplexError(Exception):
    """The program of a pattern, or its search in one text, exceeds its limit."""

    def __init__(self) -> None:
        super().__init__("regular expression is too complex")


@dataclass(slots=True)
class Work:
    """The remaining steps of a search, and the cached ends of lookbehinds."""

    text: str
    remaining: int = _MAX_STEPS
    ends: dict[int, set[int]] = field(default_factory=dict[int, set[int]])

    def spend(self) -> None:
        """Count a step.

        Raises:
            RegexTooComplexError: The limit is exceeded.
        """
        self.remaining -= 1
        if self.remaining < 0:
            raise RegexTooComplexError


class LookMatcher(Protocol):
    """The compiled pattern of a lookaround."""

    def matches_at(self, look: Look, at: int, work: Work) -> bool:
        """Whether the pattern matches from a position of the text on, or up to it."""
        ...


@dataclass(slots=True)
class Step:
    """An instruction and its successors; two integers are a group and its bound."""

    act: Char | Boundary | BackReference | GroupIsSet | tuple[LookMatcher, Look] | tuple[int, int] | None
    next: list[int] = field(default_factory=list[int])


class Program(NamedTuple):
    """The instructions of a pattern that has back references."""

    steps: list[Step]
    start: int
    end: int
    groups: int
    ignore_case: bool
    passes: Callable[[Step, str, str, int, Work], bool]
    """Whether an instruction that reads no character succeeds between two neighbours at a position."""


def neighbour_kind(char: str) -> str:
    """Return the kind of a neighbour: none, a newline, a word character, or another."""
    if not char:
        return ""
    return "w" if is_word(char) else "\n" if char == "\n" else "."


def is_boundary(kind: str, before: str, after: str) -> bool:
    """Whether a boundary lies between two neighbours, each as its kind."""
    starts, ends = before != "w" and after == "w", before == "w" and after != "w"
    return {
        "^": not before,
        "A": not before,
        "^^": before in {"", "\n"},
        "$": not after,
        "Z": not after,
        "$$": after in {"", "\n"},
        "m": starts,
        "M": ends,
        "y": starts or ends,
        "Y": not (starts or ends),
    }[kind]
