r"""Advanced regular expressions of Postgres: a pattern parsed to a tree, refused where Postgres refuses it.

The grammar follows section 9.7.3 of the Postgres manual and, where that is silent, what Postgres 15 answers:
`[[:digit:]]` and its kin, `\d \s \w \m \M \y \Y \A \Z`, bounds, back references, lookahead and lookbehind,
embedded options and the `***:` and `***=` directors. Two embedded options are refused although Postgres takes
them: `b` and `e`, which switch to the two older syntaxes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .characters import CLASSES, case_variants

__all__ = [
    "Alternatives",
    "BackReference",
    "Boundary",
    "Char",
    "Group",
    "Look",
    "Node",
    "Options",
    "RegexSyntaxError",
    "Repeat",
    "Sequence",
    "parse",
]

_MAX_COUNT = 255
_MAX_CODE_POINT = 0x10FFFF
_LAST_CASED = 0x1E943
"""No character above it has an upper or lower case."""

_OPERAND = "quantifier operand invalid"
_BOUNDS = "invalid repetition count(s)"
_ESCAPE = "invalid escape \\ sequence"
_RANGE = "invalid character range"
_BRACKETS = "brackets [] not balanced"
_PARENTHESES = "parentheses () not balanced"
_REFERENCE = "invalid backreference number"

_PLAIN_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "B": "\\",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_SHORTHANDS = {"d": "digit", "s": "space", "w": "word"}
_HEX_DIGITS = {"x": (1, 255), "u": (4, 4), "U": (8, 8)}
_COLLATING_NAMES: Mapping[str, str] = {
    name: chr(code)
    for code, names in (
        (0x07, "alert backspace tab newline vertical-tab form-feed carriage-return"),
        (
            0x20,
            "space exclamation-mark quotation-mark number-sign dollar-sign percent-sign ampersand apostrophe",
        ),
        (0x28, "left-parenthesis right-parenthesis asterisk plus-sign comma hyphen period slash"),
        (0x2D, "hyphen-minus full-stop solidus"),
        (
            0x30,
            "zero one two three four five six seven eight nine colon semicolon less-than-sign equals-sign",
        ),
        (0x3E, "greater-than-sign question-mark commercial-at"),
        (0x5B, "left-square-bracket backslash right-square-bracket circumflex underscore grave-accent"),
        (0x5C, "reverse-solidus"),
        (0x5E, "circumflex-accent low-line"),
        (0x7B, "left-brace vertical-line right-brace tilde"),
        (0x7B, "left-curly-bracket"),
        (0x7D, "right-curly-bracket"),
    )
    for code, name in enumerate(names.split(), code)
}


class RegexSyntaxError(Exception):
    """Postgres refuses the pattern, with this text after `invalid regular expression: `."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the embedded options set.

    Args:
        ignore_case: Letters match in either case.
        line_anchors: `^` and `$` match at the lines within the text.
        line_stops: `.` and complemented brackets do not match a newline.
        literal: The pattern is a plain text.
        expanded: White space and comments are ignored.
    """

    ignore_case: bool = False
    line_anchors: bool = False
    line_stops: bool = False
    literal: bool = False
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class Char:
    """One character that passes a test."""

    test: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Boundary:
    r"""A place between characters: `^ $ \A \Z \m \M \y \Y`, and `^^ $$` for those of lines."""

    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """A lookahead or lookbehind."""

    node: "Node"
    ahead: bool
    wanted: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group, numbered from 1."""

    node: "Node"
    number: int


@dataclass(frozen=True, slots=True)
class BackReference:
    """The text that a group has matched."""

    number: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """From `low` to `high` repetitions, None for no limit. Greed does not decide whether it matches."""

    node: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after another."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of several."""

    nodes: tuple["Node", ...]


Node = Char | Boundary | Look | Group | BackReference | Repeat | Sequence | Alternatives


def parse(pattern: str, *, ignore_case: bool = False) -> tuple[Node, Options]:
    """Parse a pattern.

    Raises:
        RegexSyntaxError: Postgres refuses it, or it is in one of the older syntaxes.
    """
    options, rest = _directives(pattern, Options(ignore_case=ignore_case))
    if options.literal:
        return Sequence(tuple(_one(char, options) for char in rest)), options
    return _Parser(rest, options).whole(), options


def _directives(pattern: str, options: Options) -> tuple[Options, str]:
    """The options at the start of a pattern, and the rest of it."""
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


def _one(char: str, options: Options) -> Char:
    return Char(_any_of(case_variants(char) if options.ignore_case else frozenset(char)))


def _any_of(chars: frozenset[str]) -> Callable[[str], bool]:
    return chars.__contains__


def _not(test: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda char: not test(char)


def _shorthand(letter: str) -> Callable[[str], bool]:
    r"""The class of `\d`, `\s`, `\w`, or its complement for a capital letter."""
    test = CLASSES[_SHORTHANDS[letter.lower()]]
    return _not(test) if letter.isupper() else test


class _Parser:
    """Recursive descent over a pattern in the advanced syntax."""

    def __init__(self, pattern: str, options: Options) -> None:
        self._pattern = pattern
        self._at = 0
        self._options = options
        self._groups = 0
        self._closed: set[int] = set()

    def whole(self) -> Node:
        node = self._alternatives(in_look=False)
        if self._at < len(self._pattern):
            raise RegexSyntaxError(_PARENTHESES)
        return node

    # Reading

    def _peek(self, width: int = 1) -> str:
        return self._pattern[self._at : self._at + width]

    def _take(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _skip(self) -> None:
        """Pass over comments, and in the expanded syntax over white space."""
        while True:
            if self._take("(?#"):
                end = self._pattern.find(")", self._at)
            elif self._options.expanded and self._peek() == "#":
                end = self._pattern.find("\n", self._at)
            elif self._options.expanded and self._peek() and CLASSES["space"](self._peek()):
                end = self._at
            else:
                return
            self._at = len(self._pattern) if end < 0 else end + 1

    # The grammar

    def _alternatives(self, *, in_look: bool) -> Node:
        branches = [self._sequence(in_look=in_look)]
        while self._take("|"):
            branches.append(self._sequence(in_look=in_look))
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _sequence(self, *, in_look: bool) -> Node:
        nodes: list[Node] = []
        while True:
            self._skip()
            if self._peek() in {"", "|", ")"}:
                return Sequence(tuple(nodes))
            node = self._atom(in_look=in_look)
            self._skip()
            nodes.append(node if isinstance(node, Boundary | Look) else self._quantified(node))

    def _quantified(self, node: Node) -> Node:
        low, high = 1, None
        if self._take("*"):
            low = 0
        elif self._take("?"):
            low, high = 0, 1
        elif self._is_bound():
            self._at += 1
            low, high = self._bound()
        elif not self._take("+"):
            return node
        self._skip()
        self._take("?")
        return Repeat(node, low, high)

    def _is_bound(self) -> bool:
        if self._peek() != "{":
            return False
        self._at += 1
        start = self._at
        self._skip()
        found = "0" <= self._peek() <= "9"
        self._at = start - 1
        return found

    def _bound(self) -> tuple[int, int | None]:
        low = self._count()
        high: int | None = low
        if self._take(","):
            self._skip()
            high = self._count() if "0" <= self._peek() <= "9" else None
        if not self._peek():
            raise RegexSyntaxError("braces {} not balanced")
        if not self._take("}") or (high is not None and low > high):
            raise RegexSyntaxError(_BOUNDS)
        return low, high

    def _count(self) -> int:
        self._skip()
        start = self._at
        while "0" <= self._peek() <= "9":
            self._at += 1
        number = int(self._pattern[start : self._at] or "0")
        if number > _MAX_COUNT:
            raise RegexSyntaxError(_BOUNDS)
        self._skip()
        return number

    def _atom(self, *, in_look: bool) -> Node:
        char = self._peek()
        if char in "*+?" or self._is_bound():
            raise RegexSyntaxError(_OPERAND)
        self._at += 1
        match char:
            case "^" | "$":
                node: Node = Boundary(char * 2 if self._options.line_anchors else char)
            case ".":
                node = Char(_not(frozenset("\n").__contains__ if self._options.line_stops else _nothing))
            case "(":
                node = self._parenthesis(in_look=in_look)
            case "[":
                node = self._word_boundary() or self._bracket()
            case "\\":
                node = self._escape(in_look=in_look)
            case _:
                node = _one(char, self._options)
        return node

    def _parenthesis(self, *, in_look: bool) -> Node:
        if self._take("?"):
            for opening, ahead, wanted in _LOOKS:
                if self._take(opening):
                    inside = self._inside(in_look=True)
                    return Look(inside, ahead=ahead, wanted=wanted)
            if not self._take(":"):
                raise RegexSyntaxError(_OPERAND)
            return self._inside(in_look=in_look)
        if in_look:
            return self._inside(in_look=True)
        self._groups += 1
        number = self._groups
        inside = self._inside(in_look=False)
        self._closed.add(number)
        return Group(inside, number)

    def _inside(self, *, in_look: bool) -> Node:
        node = self._alternatives(in_look=in_look)
        if not self._take(")"):
            raise RegexSyntaxError(_PARENTHESES)
        return node

    # Escapes

    def _escape(self, *, in_look: bool) -> Node:
        char = self._peek()
        if char and char in "AZmMyY":
            self._at += 1
            return Boundary(char)
        if char.lower() in _SHORTHANDS:
            self._at += 1
            return Char(_shorthand(char))
        if char and char in "123456789" and (number := self._reference()) is not None:
            if in_look or number not in self._closed:
                raise RegexSyntaxError(_REFERENCE)
            return BackReference(number)
        return _one(self._escaped_char(), self._options)

    def _reference(self) -> int | None:
        """The number of a back reference, or None for the octal code of a character."""
        start = self._at
        while "0" <= self._peek() <= "9":
            self._at += 1
        number = int(self._pattern[start : self._at])
        if self._at == start + 1 or number <= self._groups:
            return number
        self._at = start
        return None

    def _escaped_char(self) -> str:
        char = self._peek()
        if not char:
            raise RegexSyntaxError(_ESCAPE)
        if "0" <= char <= "9":
            return self._octal()
        self._at += 1
        if char in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[char]
        if char in _HEX_DIGITS:
            return self._code(16, *_HEX_DIGITS[char])
        if char == "c" and self._peek():
            self._at += 1
            return chr(ord(self._pattern[self._at - 1]) & 0o37)
        if char.isascii() and char.isalnum():
            raise RegexSyntaxError(_ESCAPE)
        return char

    def _octal(self) -> str:
        start = self._at
        code = ord(self._code(8, 1, 3))
        if code > 0xFF:
            self._at = start
            code = ord(self._code(8, 1, 2))
        return chr(code)

    def _code(self, base: int, least: int, most: int) -> str:
        start, digits = self._at, "0123456789abcdef"[:base]
        while self._at - start < most and self._peek() and self._peek().lower() in digits:
            self._at += 1
        if self._at - start < least:
            raise RegexSyntaxError(_ESCAPE)
        code = int(self._pattern[start : self._at], base)
        if code > _MAX_CODE_POINT:
            raise RegexSyntaxError(_ESCAPE)
        return chr(code)

    # Brackets

    def _word_boundary(self) -> Node | None:
        r"""The older spelling of `\m` and `\M`."""
        for rest, kind in (("[:<:]]", "m"), ("[:>:]]", "M")):
            if self._take(rest):
                return Boundary(kind)
        return None

    def _bracket(self) -> Node:
        complemented = self._take("^")
        tests: list[Callable[[str], bool]] = []
        first = True
        while first or self._peek() != "]":
            tests.append(self._bracket_part(first=first))
            first = False
        self._at += 1
        if self._options.line_stops and complemented:
            tests.append(frozenset("\n").__contains__)
        if len(tests) == 1:
            return Char(_not(tests[0]) if complemented else tests[0])
        return Char(lambda char: any(test(char) for test in tests) is not complemented)

    def _bracket_part(self, *, first: bool) -> Callable[[str], bool]:
        if not self._peek():
            raise RegexSyntaxError(_BRACKETS)
        if self._peek() == "-" and not first and self._peek(2) != "-]":
            raise RegexSyntaxError(_RANGE)
        if (named := self._named_class()) is not None:
            self._refuse_range()
            return named
        if self._take("[="):
            char = self._collating("=")
            self._refuse_range()
            return self._variants(char)
        low = self._endpoint()
        if self._peek() != "-" or self._peek(2) == "-]":
            return self._variants(low)
        self._at += 1
        if not self._peek():
            raise RegexSyntaxError(_BRACKETS)
        if self._peek(2) in {"[:", "[="} or self._peek(2).lower() in {"\\d", "\\s", "\\w"}:
            raise RegexSyntaxError(_RANGE)
        return self._range(low, self._endpoint())

    def _refuse_range(self) -> None:
        if self._peek() == "-" and self._peek(2) != "-]":
            raise RegexSyntaxError(_RANGE)

    def _named_class(self) -> Callable[[str], bool] | None:
        if self._peek(2).lower() in {"\\d", "\\s", "\\w"}:
            self._at += 2
            return _shorthand(self._pattern[self._at - 1])
        if not self._take("[:"):
            return None
        name = self._delimited(":")
        if self._options.ignore_case and name in {"lower", "upper"}:
            name = "alpha"
        if name not in CLASSES:
            raise RegexSyntaxError("invalid character class")
        return CLASSES[name]

    def _delimited(self, sign: str) -> str:
        end = self._pattern.find(f"{sign}]", self._at)
        if end < 0:
            raise RegexSyntaxError(_BRACKETS)
        text = self._pattern[self._at : end]
        self._at = end + 2
        return text

    def _collating(self, sign: str) -> str:
        name = self._delimited(sign)
        char = name if len(name) == 1 else _COLLATING_NAMES.get(name)
        if char is None:
            raise RegexSyntaxError("invalid collating element")
        return char

    def _endpoint(self) -> str:
        if self._take("[."):
            return self._collating(".")
        if not self._take("\\"):
            self._at += 1
            return self._pattern[self._at - 1]
        if self._peek() and self._peek() in "AZmMyY123456789":
            raise RegexSyntaxError(_ESCAPE)
        return self._escaped_char()

    def _variants(self, char: str) -> Callable[[str], bool]:
        return _one(char, self._options).test

    def _range(self, low: str, high: str) -> Callable[[str], bool]:
        if low > high:
            raise RegexSyntaxError(_RANGE)
        if not self._options.ignore_case:
            return lambda char: low <= char <= high
        cased = range(ord(low), min(ord(high), _LAST_CASED) + 1)
        others = frozenset[str]().union(*(case_variants(chr(code)) for code in cased))
        return lambda char: low <= char <= high or char in others


_LOOKS = (("=", True, True), ("!", True, False), ("<=", False, True), ("<!", False, False))


def _nothing(_char: str) -> bool:
    return False
