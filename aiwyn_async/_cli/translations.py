"""Texts of the library for users of the command line: flags and commands instead of Python."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiwyn_async.config import OBJECTS, Config

FLAGS: Final = frozenset({
    *("allow_writes", "export_folder", "max_rows"),
    *("batch_size", "client_id", "columns", "compression", "csv_escape_formulas", "date_columns", "end_date"),
    *("extra", "force", "full", "ids", "keep", "limit", "on_bad_row", "overlap", "page_size", "partition_by"),
    *("ranges", "reconcile_deletes", "replace", "resume", "round_money", "row_group_rows", "start_date"),
    *("status", "strict", "where"),
})  # fmt: skip
"""The keyword arguments that are flags."""
RENAMED: Final = {"csv_escape_formulas": "escape-formulas", "extra": "extra-column"}

# Names of several words are not words of sentences. Paths and quoted values are not translated.
_LONG: Final = sorted(name for name in FLAGS if "_" in name)
_SHORT: Final = sorted(name for name in FLAGS if "_" not in name)
_SETTINGS: Final = sorted(set(Config.__struct_fields__) - OBJECTS - {"endpoints"})


def _any_of(names: Iterable[str]) -> str:
    return f"(?:{'|'.join(names)})"


_VALUE: Final = r"""(?:True|\([^)]*\)|\[[^\]]*\]|"[^"]*"|'[^']*'|\d[\w.]*)"""
_QUOTED: Final = r"""(?:"[^"]*"|'[^']*')"""
_ASSIGNED: Final = re.compile(
    rf"(?<![\w./])({_any_of(sorted(FLAGS))})=(?!False)({_VALUE}(?: or {_QUOTED})*)?(?!\w)"
)
_SETTING: Final = re.compile(rf"\b(pass (?:an? )?)?({_any_of(_SETTINGS)})=(\w+)?(?!\w)")
_NAMED: Final = re.compile(rf"(?<![\w./'\"\\=-])({_any_of(_LONG)})(?![\w/'\"\\]|[.-]\w)")
# A word such as "limit" is an argument as the subject of a rule, or after these verbs.
_EITHER: Final = rf"(?:{_any_of(_SHORT)}|--[\w-]+)\b"
_LIST: Final = rf"{_EITHER}(?:(?:, | and | or ){_EITHER})*"
_SUBJECT: Final = re.compile(rf"(?:^|(?<=: ))({_LIST})(?=:| must\b| cannot\b| is for | are for )")
_OBJECT: Final = re.compile(
    rf"\b((?:remove|without|leave out|the same) (?:--[\w-]+(?:, | and | or ))*)({_LIST})(?=$|[;:,]| too)"
)
_WORD: Final = re.compile(rf"(?<!-)\b{_any_of(_SHORT)}\b")

# What the library adds to the reason of a server.
_ADVICE: Final = re.compile(r"(?:pass|use|set|remove|call) ")

# Advice that the command line words differently, or that it has no use for.
_PHRASES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"use aiwyn_async\.sandbox\.Sandbox", "pass --sandbox"),
        (r"pass base_url= or set AIWYN_BASE_URL", "set AIWYN_BASE_URL, or run aiwyn auth login"),
        (
            r"pass api_key= or token=, or set AIWYN_API_KEY or AIWYN_TOKEN",
            "set AIWYN_API_KEY or AIWYN_TOKEN, or run aiwyn auth login",
        ),
        (r"pass (?:api_key= or token=|token= or api_key=)", "set AIWYN_API_KEY or AIWYN_TOKEN"),
        (r"pass an ssl_context= that trusts it", "set SSL_CERT_FILE to its file"),
        (r"pass an ssl_context= into which .*? one\b", "use the Python package for this server"),
        (r"use ssl\.create_default_context\(cafile=\.\.\.\)", "set SSL_CERT_FILE"),
        (
            r"""set endpoints=\{["'](\w+)["']: \{["'](\w+)["']: \.\.\.\}\}""",
            r"set \2 in the profile, in [profiles.NAME.endpoints.\1]",
        ),
        (r"set (\w+) in the endpoints option", r"set \1 in the endpoints of the profile"),
        (r"(?:, or|;) pass paging='page'(?: to read (?:it )?by page number)?", ""),
        (r"(?:, or|;) pass allow_unknown_operators=True", ""),
        (
            r"; filter with the arguments of list\(\) instead of where=, and leave paging out",
            "; remove --where",
        ),
        (r"(?:; |, or )?call decode_as\([^)]*\)(?: first| with .*| before .*)?", ""),
        (r"\bexport\(\) writes one", "aiwyn export writes one"),
        (r" to export\(\)", ""),
        (r"\bto each export\(\)", "to each aiwyn export"),
        (r"\buse pull\(\)(?:, and .*| to .*|, or plan\(.*\))?", "use aiwyn export"),
        (r"\b(export|sync)\(\)", r"aiwyn \1"),
        (r"\bchanges\(\)", "aiwyn sync"),
        (
            r"both api_key and token are set; pass one of them",
            "both api_key and token are set; remove one of them",
        ),
        (r"override it in endpoints\b", "override it in the endpoints of the profile"),
        (r"a timedelta or seconds\b", "a number of seconds"),
        (r"a date, a datetime or ISO 8601 text", "a date or time in ISO 8601"),
        (r"expected a condition or a dict\b", "expected a JSON object"),
        (r"for example F\.id == 1 or ", "for example "),
        (r"\bcompare with None\b", "compare with null"),
        (r"which where requires", "which --where requires"),
        (
            r"the row type must be a Struct, neither tagged nor array_like",
            "rows without a type have no columns",
        ),
        (r"\bis_null\(\) or ", ""),
        (r", or use contains\(\)", ""),
        (r"for example F\.id\.asc\(\), F\.id\.desc\(\) or ", "for example "),
        (r"\border_by\b", "--sort"),
    )
)


def to_flags(text: str) -> str:
    """Replace Python in a message by what the command line has, such as flags.

    What a server says is not changed.
    """
    text, says, reason = text.partition("the server says: ")
    if says:
        reason, _, advice = reason.rpartition("; ")
        if not _ADVICE.match(advice):
            reason, advice = "; ".join(filter(None, [reason, advice])), ""
        return f"{_translated(text)}{says}{reason}{advice and f'; {_translated(advice)}'}"
    return _translated(text)


def _translated(text: str) -> str:
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    text = _ASSIGNED.sub(_assigned, text)
    text = _SETTING.sub(lambda match: f"{'set ' if match[1] else ''}{_variable(match[2], match[3])}", text)
    text = _NAMED.sub(lambda match: flag_name(match[1]), text)
    text = _SUBJECT.sub(lambda match: _flags_in(match[1]), text)
    return _OBJECT.sub(lambda match: f"{match[1]}{_flags_in(match[2])}", text)


def flag_name(argument: str) -> str:
    return f"--{RENAMED.get(argument, argument).replace('_', '-')}"


def _assigned(match: re.Match[str]) -> str:
    flag, value = flag_name(match[1]), match[2]
    if value in {None, "True"} or match[1] == "extra":
        return flag
    if value.startswith(("(", "[")):
        names = (name.strip(" \"'") for name in value[1:-1].split(","))
        return f"{flag} {','.join(name for name in names if name)}"
    return f"{flag} {' or '.join(each.strip(chr(34) + chr(39)) for each in value.split(' or '))}"


def _variable(option: str, value: str | None) -> str:
    variable = f"AIWYN_{option.upper()}"
    return variable if value is None else f"{variable}={value.lower()}"


def _flags_in(text: str) -> str:
    return _WORD.sub(lambda match: flag_name(match[0]), text)
