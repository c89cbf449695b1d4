"""A position in a pattern, and the characters and escapes read from it."""

from aiwyn_async.sandbox._data.characters import CLASSES
from aiwyn_async.sandbox._data.regex.tree import RegexSyntaxError

ESCAPE = "invalid escape \\ sequence"
_MAX_CODE_POINT = 0x10FFFF
_PLAIN_ESCAPES = dict(zip("abBefnrtv", "\a\b\\\x1b\f\n\r\t\v", strict=True))
_HEX_DIGITS = {"x": (1, 255), "u": (4, 4), "U": (8, 8)}
"""The minimum and maximum number of digits of a character code."""


class Cursor:
    """Reads a pattern from left to right; ``expanded`` ignores space and comments."""

    def __init__(self, pattern: str, *, expanded: bool) -> None:
        self.pattern = pattern
        self.position = 0
        self._expanded = expanded

    def peek(self, width: int = 1) -> str:
        """Return the next characters, fewer at the end."""
        return self.pattern[self.position : self.position + width]

    def is_digit(self) -> bool:
        return "0" <= self.peek() <= "9"

    def read(self) -> str:
        self.position += 1
        return self.pattern[self.position - 1]

    def take(self, text: str) -> bool:
        """Skip a text if it is next, and return whether it was."""
        if not self.pattern.startswith(text, self.position):
            return False
        self.position += len(text)
        return True

    def read_until(self, end: str) -> str | None:
        """Read up to a text and skip that, or return None if it does not follow."""
        stop = self.pattern.find(end, self.position)
        if stop < 0:
            return None
        text = self.pattern[self.position : stop]
        self.position = stop + len(end)
        return text

    def read_digits(self) -> str:
        """Read decimal digits, if any."""
        start = self.position
        while self.is_digit():
            self.position += 1
        return self.pattern[start : self.position]

    def skip_ignored(self, *, in_bound: bool = False) -> None:
        """Skip comments, and in the expanded syntax white space; a bound has no comment in parentheses."""
        while True:
            if not in_bound and self.take("(?#"):
                end = self.pattern.find(")", self.position)
            elif self._expanded and self.peek() == "#":
                end = self.pattern.find("\n", self.position)
            elif self._expanded and self.peek() and CLASSES["space"](self.peek()):
                end = self.position
            else:
                return
            self.position = len(self.pattern) if end < 0 else end + 1

    def read_escaped(self) -> str:
        """Read the character after a backslash, or raise RegexSyntaxError."""
        char = self.peek()
        if not char:
            raise RegexSyntaxError(ESCAPE)
        if self.is_digit():
            return self._read_octal()
        self.position += 1
        if char in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[char]
        if char in _HEX_DIGITS:
            return self._read_code(16, *_HEX_DIGITS[char])
        if char == "c" and self.peek():
            return chr(ord(self.read()) & 0o37)
        if char.isascii() and char.isalnum():
            raise RegexSyntaxError(ESCAPE)
        return char

    def _read_octal(self) -> str:
        start = self.position
        code = ord(self._read_code(8, 1, 3))
        if code > 0xFF:
            self.position = start
            code = ord(self._read_code(8, 1, 2))
        return chr(code)

    def _read_code(self, base: int, min_digits: int, max_digits: int) -> str:
        start, digits = self.position, "0123456789abcdef"[:base]
        while self.position - start < max_digits and self.peek() and self.peek().lower() in digits:
            self.position += 1
        if self.position - start < min_digits:
            raise RegexSyntaxError(ESCAPE)
        code = int(self.pattern[start : self.position], base)
        if code > _MAX_CODE_POINT:
            raise RegexSyntaxError(ESCAPE)
        return chr(code)
