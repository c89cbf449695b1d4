"""The parser of advanced regular expressions, which rejects what Postgres rejects."""

from dataclasses import replace

from aiwyn_async.sandbox._data.regex.brackets import SHORTHANDS, parse_bracket, shorthand_test, single_char
from aiwyn_async.sandbox._data.regex.cursor import Cursor
from aiwyn_async.sandbox._data.regex.tree import (
    Alternatives,
    BackReference,
    Boundary,
    Char,
    Group,
    GroupIsSet,
    Look,
    Node,
    Options,
    RegexSyntaxError,
    Repeat,
    Sequence,
)

_MAX_COUNT = 255
_OPERAND = "quantifier operand invalid"
_BOUNDS = "invalid repetition count(s)"
_PARENTHESES = "parentheses () not balanced"
_REFERENCE = "invalid backreference number"
_LOOKS = (("=", True, True), ("!", True, False), ("<=", False, True), ("<!", False, False))
"""The opening, whether it looks ahead, and whether it is positive."""


def parse(pattern: str, *, ignore_case: bool = False) -> tuple[Node, Options]:
    """Parse a pattern, or raise RegexSyntaxError, also for an older syntax."""
    options, rest = _split_options(pattern, Options(ignore_case=ignore_case))
    if options.literal:
        return Sequence(tuple(single_char(char, options) for char in rest)), options
    return _Parser(rest, options).parse(), options


def _split_options(pattern: str, options: Options) -> tuple[Options, str]:
    """Return the options at the start of a pattern, and the rest of it."""
    if pattern.startswith("***"):
        if pattern[3:4] == "=":
            return replace(options, literal=True), pattern[4:]
        if pattern[3:4] != ":":
            raise RegexSyntaxError(_OPERAND)
        pattern = pattern[4:]
    if not (pattern.startswith("(?") and pattern[2:3].isascii() and pattern[2:3].isalpha()):
        return options, pattern
    letters, closing, rest = pattern[2:].partition(")")
    if not closing:
        raise RegexSyntaxError("invalid embedded option")
    for letter in letters:
        options = _with_option(options, letter)
    return (replace(options, expanded=False) if options.literal else options), rest


def _with_option(options: Options, letter: str) -> Options:
    match letter:
        case "i" | "c":
            return replace(options, ignore_case=letter == "i")
        case "n" | "m" | "p" | "w" | "s":
            return replace(options, line_anchors=letter in "nmw", line_stops=letter in "nmp")
        case "x" | "t":
            return replace(options, expanded=letter == "x")
        case "q":
            return replace(options, literal=True)
        case "b" | "e":
            raise RegexSyntaxError(f"the sandbox does not support the embedded option {letter}")
        case _:
            raise RegexSyntaxError("invalid embedded option")


class _Parser:
    """Recursive descent over a pattern."""

    def __init__(self, pattern: str, options: Options) -> None:
        self._cursor = Cursor(pattern, expanded=options.expanded)
        self._options = options
        self._groups = 0
        self._closed_groups: set[int] = set()

    def parse(self) -> Node:
        node = self._alternatives(in_look=False)
        if self._cursor.peek():
            raise RegexSyntaxError(_PARENTHESES)
        return node

    def _alternatives(self, *, in_look: bool) -> Node:
        branches = [self._sequence(in_look=in_look)]
        while self._cursor.take("|"):
            branches.append(self._sequence(in_look=in_look))
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _sequence(self, *, in_look: bool) -> Node:
        nodes: list[Node] = []
        while True:
            self._cursor.skip_ignored()
            if self._cursor.peek() in {"", "|", ")"}:
                return Sequence(tuple(nodes))
            node = self._atom(in_look=in_look)
            self._cursor.skip_ignored()
            nodes.append(node if isinstance(node, Boundary | Look) else self._quantified(node))

    def _quantified(self, node: Node) -> Node:
        cursor = self._cursor
        low, high = 1, None
        if cursor.take("*"):
            low = 0
        elif cursor.take("?"):
            low, high = 0, 1
        elif self._is_bound():
            cursor.position += 1
            low, high = self._bound()
        elif not cursor.take("+"):
            return node
        cursor.take("?")  # nothing may be in front of it
        repeat = Repeat(node, low, high)
        if isinstance(node, BackReference) and high != 0:
            # In Postgres, no number of repetitions refers to a group that did not match, not even none.
            return Sequence((GroupIsSet(node.number), repeat))
        return repeat

    def _is_bound(self) -> bool:
        cursor = self._cursor
        if cursor.peek() != "{":
            return False
        start = cursor.position
        cursor.position += 1
        cursor.skip_ignored(in_bound=True)
        is_bound = cursor.is_digit()
        cursor.position = start
        return is_bound

    def _bound(self) -> tuple[int, int | None]:
        cursor = self._cursor
        low = self._count()
        high: int | None = low
        if cursor.take(","):
            cursor.skip_ignored(in_bound=True)
            high = self._count() if cursor.is_digit() else None
        if not cursor.peek():
            raise RegexSyntaxError("braces {} not balanced")
        if not cursor.take("}") or (high is not None and low > high):
            raise RegexSyntaxError(_BOUNDS)
        return low, high

    def _count(self) -> int:
        self._cursor.skip_ignored(in_bound=True)
        count = int(self._cursor.read_digits() or "0")
        if count > _MAX_COUNT:
            raise RegexSyntaxError(_BOUNDS)
        self._cursor.skip_ignored(in_bound=True)
        return count

    def _atom(self, *, in_look: bool) -> Node:
        char = self._cursor.peek()
        if char in "*+?" or self._is_bound():
            raise RegexSyntaxError(_OPERAND)
        self._cursor.position += 1
        match char:
            case "^" | "$":
                return Boundary(char * 2 if self._options.line_anchors else char)
            case ".":
                stops = frozenset("\n" if self._options.line_stops else "")
                return Char(lambda char: char not in stops)
            case "(":
                return self._parenthesis(in_look=in_look)
            case "[":
                return self._word_boundary() or parse_bracket(self._cursor, self._options)
            case "\\":
                return self._escape(in_look=in_look)
            case _:
                return single_char(char, self._options)

    def _word_boundary(self) -> Node | None:
        r"""Parse the older spellings of ``\m`` and ``\M``."""
        for rest, kind in (("[:<:]]", "m"), ("[:>:]]", "M")):
            if self._cursor.take(rest):
                return Boundary(kind)
        return None

    def _parenthesis(self, *, in_look: bool) -> Node:
        if self._cursor.take("?"):
            for opening, ahead, positive in _LOOKS:
                if self._cursor.take(opening):
                    return Look(self._closed(in_look=True), ahead=ahead, positive=positive)
            if not self._cursor.take(":"):
                raise RegexSyntaxError(_OPERAND)
            return self._closed(in_look=in_look)
        if in_look:
            return self._closed(in_look=True)
        self._groups += 1
        number = self._groups
        node = self._closed(in_look=False)
        self._closed_groups.add(number)
        return Group(node, number)

    def _closed(self, *, in_look: bool) -> Node:
        node = self._alternatives(in_look=in_look)
        if not self._cursor.take(")"):
            raise RegexSyntaxError(_PARENTHESES)
        return node

    def _escape(self, *, in_look: bool) -> Node:
        cursor = self._cursor
        char = cursor.peek()
        if char and char in "AZmMyY":
            return Boundary(cursor.read())
        if char.lower() in SHORTHANDS:
            return Char(shorthand_test(cursor.read()))
        if char and char in "123456789" and (number := self._reference()) is not None:
            if in_look or number not in self._closed_groups:
                raise RegexSyntaxError(_REFERENCE)
            return BackReference(number)
        return single_char(cursor.read_escaped(), self._options)

    def _reference(self) -> int | None:
        """Return the number of a back reference, or None for an octal code."""
        start = self._cursor.position
        digits = self._cursor.read_digits()
        if len(digits) == 1 or int(digits) <= self._groups:
            return int(digits)
        self._cursor.position = start
        return None
