"""Bracket expressions, such as ``[a-z[:digit:]]``, and the tests of characters."""

from collections.abc import Callable, Mapping

from aiwyn_async.sandbox._data.characters import CLASSES, case_variants
from aiwyn_async.sandbox._data.regex.cursor import ESCAPE, Cursor
from aiwyn_async.sandbox._data.regex.tree import Char, Options, RegexSyntaxError

Test = Callable[[str], bool]

SHORTHANDS = {"d": "digit", "s": "space", "w": "word"}
_CLASS_ESCAPES = {"\\d", "\\s", "\\w"}
_LAST_CASED = 0x1E943
"""No character above it has an upper or lower case."""
_RANGE = "invalid character range"
_BRACKETS = "brackets [] not balanced"
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


def single_char(char: str, options: Options) -> Char:
    """Return the node of one character, in either case if the options say so."""
    return Char((case_variants(char) if options.ignore_case else frozenset(char)).__contains__)


def shorthand_test(letter: str) -> Test:
    r"""Return the test of ``\d``, ``\s`` or ``\w``; capitals are complements."""
    test = CLASSES[SHORTHANDS[letter.lower()]]
    return (lambda char: not test(char)) if letter.isupper() else test


def parse_bracket(cursor: Cursor, options: Options) -> Char:
    """Parse a bracket expression after its opening bracket."""
    complemented = cursor.take("^")
    tests: list[Test] = []
    first = True
    while first or cursor.peek() != "]":
        tests.append(_parse_part(cursor, options, first=first))
        first = False
    cursor.position += 1
    if options.line_stops and complemented:
        tests.append(frozenset("\n").__contains__)
    if len(tests) == 1 and not complemented:
        return Char(tests[0])
    return Char(lambda char: any(test(char) for test in tests) is not complemented)


def _parse_part(cursor: Cursor, options: Options, *, first: bool) -> Test:
    if not cursor.peek():
        raise RegexSyntaxError(_BRACKETS)
    if cursor.peek() == "-" and not first and cursor.peek(2) != "-]":
        raise RegexSyntaxError(_RANGE)
    if (named := _parse_class(cursor, options)) is not None:
        _reject_range(cursor)
        return named
    if cursor.take("[="):
        char = _parse_collating(cursor, "=")
        _reject_range(cursor)
        return single_char(char, options).test
    low = _parse_endpoint(cursor)
    if cursor.peek() != "-" or cursor.peek(2) == "-]":
        return single_char(low, options).test
    cursor.position += 1
    if not cursor.peek():
        raise RegexSyntaxError(_BRACKETS)
    if cursor.peek(2) in {"[:", "[="} or cursor.peek(2).lower() in _CLASS_ESCAPES:
        raise RegexSyntaxError(_RANGE)
    return _range_test(low, _parse_endpoint(cursor), options)


def _reject_range(cursor: Cursor) -> None:
    if cursor.peek() == "-" and cursor.peek(2) != "-]":
        raise RegexSyntaxError(_RANGE)


def _parse_class(cursor: Cursor, options: Options) -> Test | None:
    if cursor.peek(2).lower() in _CLASS_ESCAPES:
        cursor.position += 1
        return shorthand_test(cursor.read())
    if not cursor.take("[:"):
        return None
    name = _read_delimited(cursor, ":")
    if options.ignore_case and name in {"lower", "upper"}:
        name = "alpha"
    if name not in CLASSES:
        raise RegexSyntaxError("invalid character class")
    return CLASSES[name]


def _read_delimited(cursor: Cursor, mark: str) -> str:
    text = cursor.read_until(f"{mark}]")
    if text is None:
        raise RegexSyntaxError(_BRACKETS)
    return text


def _parse_collating(cursor: Cursor, mark: str) -> str:
    name = _read_delimited(cursor, mark)
    char = name if len(name) == 1 else _COLLATING_NAMES.get(name)
    if char is None:
        raise RegexSyntaxError("invalid collating element")
    return char


def _parse_endpoint(cursor: Cursor) -> str:
    if cursor.take("[."):
        return _parse_collating(cursor, ".")
    if not cursor.take("\\"):
        return cursor.read()
    is_octal = "0" <= cursor.peek(2)[1:] <= "9"
    is_reference = "1" <= cursor.peek() <= "9" and not is_octal
    if is_reference or (cursor.peek() and cursor.peek() in "AZmMyY"):
        raise RegexSyntaxError(ESCAPE)
    return cursor.read_escaped()


def _range_test(low: str, high: str, options: Options) -> Test:
    if low > high:
        raise RegexSyntaxError(_RANGE)
    if not options.ignore_case:
        return lambda char: low <= char <= high
    cased = range(ord(low), min(ord(high), _LAST_CASED) + 1)
    others = frozenset[str]().union(*(case_variants(chr(code)) for code in cased))
    return lambda char: low <= char <= high or char in others
