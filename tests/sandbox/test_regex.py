"""``_regex`` matches as in Postgres 15, from which the results below were taken."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async.sandbox._data.regex import Regex, RegexSyntaxError, RegexTooComplexError, compile_regex


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        # Classes
        ("[[:digit:]]{3}", "a123", True),
        ("^[[:alpha:]_]+$", "caf\u00e9_", True),
        ("[[:upper:]]", "abc", False),
        ("(?i)[[:upper:]]", "abc", True),
        (r"\d", "\u0663", False),
        (r"\w", "\u00e9", True),
        (r"\s", "\u00a0", False),
        (r"[^\w]", "a-b", True),
        (r"[\D]", "1", False),
        ("[]a]", "]", True),
        ("[[.hyphen.]]", "-", True),
        ("[[=a=]]", "a", True),
        # Words
        (r"\mten", "ten often", True),
        (r"\mten\M", "often", False),
        (r"ten\M", "often", True),
        (r"\yof", "often of", True),
        (r"\Yten", "often", True),
        ("[[:<:]]of[[:>:]]", "often of", True),
        # Lines
        ("a.b", "a\nb", True),
        ("a$", "a\n", False),
        ("^b", "a\nb", False),
        ("(?n)^b", "a\nb", True),
        ("(?n)a.b", "a\nb", False),
        ("(?p)a.b", "a\nb", False),
        ("(?w)^b", "a\nb", True),
        (r"(?n)\Ab", "a\nb", False),
        # Options and directors
        ("(?i)INV", "inv-1", True),
        ("(?ic)INV", "inv-1", False),
        ("(?x) i n v # a comment", "inv", True),
        ("(?q)a.b", "axb", False),
        ("***=a.b", "a.b", True),
        ("***:(?i)A", "a", True),
        # Bounds, escapes, references, lookaround
        ("^a{2}$", "aa", True),
        ("a{,3}", "a{,3}", True),
        (r"\x41\u00e9", "A\u00e9", True),
        (r"\101", "A", True),
        (r"[\101]", "A", True),
        (r"\B", "\\", True),
        (r"(ab|a)\1", "xabab", True),
        (r"(a)*b\1", "b", False),
        (r"(a*)b\1", "b", True),
        # A repeated reference needs its group; a group of references does not.
        (r"(?:(a)|b)\1*", "b", False),
        (r"(?:(a)|b)\1{0}", "b", True),
        (r"(?:(a)|b)(?:\1)*", "b", True),
        (r"()\1*", "b", True),
        (r"(a){0}b\1?", "b", False),
        (r"(a){0}(b)\2", "bb", True),
        ("a(?=b)", "ab", True),
        ("(?<!x|yy)b", "yyb", False),
        ("(?<=a+)b", "aab", True),
        # Case: of the pattern's characters, not of the text's
        ("(?i)\u00e9", "\u00c9", True),
        ("(?i)s", "\u017f", False),
        ("", "", True),
        ("a|", "b", True),
    ],
)
def test_regex_matches_as_postgres(pattern: str, text: str, *, matches: bool) -> None:
    assert compile_regex(pattern).search(text) is matches


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "parentheses () not balanced"),
        ("a)", "parentheses () not balanced"),
        ("[a", "brackets [] not balanced"),
        ("a{1", "braces {} not balanced"),
        ("a{2,1}", "invalid repetition count(s)"),
        ("a{256}", "invalid repetition count(s)"),
        ("*a", "quantifier operand invalid"),
        ("a++", "quantifier operand invalid"),
        ("^*", "quantifier operand invalid"),
        ("a*(?#comment)?", "quantifier operand invalid"),
        ("(?x)a{1,2} ?", "quantifier operand invalid"),
        ("a{1(?#comment)}", "invalid repetition count(s)"),
        ("(?P<name>a)", "invalid embedded option"),
        ("a(?i)b", "quantifier operand invalid"),
        ("(?z)a", "invalid embedded option"),
        ("[[:digits:]]", "invalid character class"),
        ("[z-a]", "invalid character range"),
        ("[a-c-e]", "invalid character range"),
        ("[[.nope.]]", "invalid collating element"),
        (r"\1", "invalid backreference number"),
        (r"(a)(?=\1)", "invalid backreference number"),
        (r"\q", "invalid escape \\ sequence"),
        ("a\\", "invalid escape \\ sequence"),
    ],
)
def test_regex_errors_are_those_of_postgres(pattern: str, reason: str) -> None:
    with pytest.raises(RegexSyntaxError) as caught:
        compile_regex(pattern)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|aa)+$", "(a|a)*b", "(.*)*x", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", ".*.*.*.*=x"],
)
def test_regex_time_is_linear(pattern: str) -> None:
    """A backtracking engine takes years for these; a second is a thousand times what they need."""
    started = time.process_time()
    assert not compile_regex(pattern).search("a" * 3_000 + "!")
    assert time.process_time() - started < 1


def test_regex_rejects_what_exceeds_its_budget() -> None:
    with pytest.raises(RegexTooComplexError, match="too complex"):
        compile_regex("(?=(a+)+$)b").search("a" * 3_000)
    with pytest.raises(RegexTooComplexError, match="too complex"):
        compile_regex("(?:a{200}){200}")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12))
def test_regex_parses_or_rejects_any_text(pattern: str) -> None:
    try:
        regex: Regex = compile_regex(pattern)
    except RegexSyntaxError:
        return
    regex.search("ab 1\n\u00e9")


@settings(max_examples=200, deadline=None)
@given(st.text("ab\n.*\\", max_size=8), st.text("ab\n.*\\", max_size=8))
def test_regex_quoted_is_a_plain_search(literal: str, text: str) -> None:
    assert compile_regex(f"(?q){literal}").search(text) is (literal in text)
