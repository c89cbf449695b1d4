"""The tree of a parsed regular expression."""

from collections.abc import Callable
from dataclasses import dataclass


class RegexSyntaxError(Exception):
    """Postgres rejects the pattern; the message is that of Postgres."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a pattern.

    Args:
        ignore_case: Letters match in either case.
        line_anchors: ``^`` and ``$`` match at every line.
        line_stops: ``.`` and complemented brackets do not match a newline.
        literal: The pattern is plain text.
        expanded: White space and comments in the pattern are ignored.
    """

    ignore_case: bool = False
    line_anchors: bool = False
    line_stops: bool = False
    literal: bool = False
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class Char:
    """A character that passes a test."""

    test: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Boundary:
    r"""``^ $ \A \Z \m \M \y \Y``, and ``^^ $$`` at every line."""

    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """A lookahead or lookbehind."""

    node: "Node"
    ahead: bool
    positive: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group, numbered from 1."""

    node: "Node"
    number: int


@dataclass(frozen=True, slots=True)
class BackReference:
    """The text that a group matched."""

    number: int


@dataclass(frozen=True, slots=True)
class GroupIsSet:
    """The empty text, if a group matched."""

    number: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """From ``low`` to ``high`` repetitions, None for no limit, greedy or not."""

    node: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """Nodes that match one after another."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Nodes of which one matches."""

    nodes: tuple["Node", ...]


Node = Char | Boundary | Look | Group | BackReference | GroupIsSet | Repeat | Sequence | Alternatives
