"""Errors of the library with exit codes, and with flags instead of arguments."""

from __future__ import annotations

import enum
import re
from typing import Final

from aiwyn_async.errors import (
    AiwynError,
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    TokenExchangeError,
    TransportError,
)

__all__ = ["ExitCode", "error_text", "exit_code_for", "flag_name", "to_flags"]


class ExitCode(enum.IntEnum):
    """The exit codes of all commands."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CREDENTIALS = 3
    NOT_FOUND = 4
    INCOMPLETE = 5
    RATE_LIMIT = 6
    NETWORK = 7
    INTERRUPTED = 130
    TERMINATED = 143


_EXIT_CODES: Final[tuple[tuple[type[AiwynError], ExitCode], ...]] = (
    (ConfigurationError, ExitCode.USAGE),
    (AuthenticationError, ExitCode.CREDENTIALS),
    (PermissionDeniedError, ExitCode.CREDENTIALS),
    (NotFoundError, ExitCode.NOT_FOUND),
    (IncompleteError, ExitCode.INCOMPLETE),
    (RateLimitError, ExitCode.RATE_LIMIT),
    (TransportError, ExitCode.NETWORK),
)

_SWITCH: Final = re.compile(r"\b(force|full|reconcile_deletes|replace|resume|strict)=True\b")
_OPTION: Final = re.compile(r"""\b(ids|on_bad_row|round_money)=(["']?)(\w+)\2(?: or (["'])(\w+)\4)?""")
_EXTRA: Final = re.compile(r"""\bextra=["']json["']""")
_COLUMNS: Final = re.compile(r"\bdate_columns=\(([^)]*)\)")
# One-word arguments are also words of sentences, so they are translated only as the subject of a rule.
_ARGUMENT: Final = re.compile(
    r"\b(batch_size|date_columns|on_bad_row|page_size|reconcile_deletes|round_money|row_group_rows)\b"
    r"|^(columns|compression|ids|limit|overlap|ranges)(?=:| must | is for )"
)


def exit_code_for(error: AiwynError) -> ExitCode:
    """Return the exit code of an error, or of the cause of a failed token exchange."""
    if isinstance(error, TokenExchangeError) and isinstance(error.__cause__, AiwynError):
        return exit_code_for(error.__cause__)
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILURE)


def error_text(error: AiwynError) -> str:
    """Return the text of an error with its notes, and with flags instead of arguments."""
    return "; ".join([to_flags(str(error)), *getattr(error, "__notes__", ())])


def to_flags(text: str) -> str:
    """Replace keyword arguments in a message by flags such as ``--resume``."""
    text = _SWITCH.sub(lambda match: flag_name(match[1]), text)
    text = _OPTION.sub(
        lambda match: f"{flag_name(match[1])} {' or '.join(filter(None, match.group(3, 5)))}", text
    )
    text = text.replace("csv_escape_formulas=True", "--escape-formulas")
    text = _EXTRA.sub("--extra-column", text)
    text = _COLUMNS.sub(lambda match: f"--date-columns {_join_names(match[1])}", text)
    return _ARGUMENT.sub(lambda match: flag_name(match[0]), text)


def flag_name(argument: str) -> str:
    """Return the flag of a keyword argument."""
    return f"--{argument.replace('_', '-')}"


def _join_names(items: str) -> str:
    return ",".join(name.strip(" \"'") for name in items.split(",") if name.strip())
