"""Advice of the library, which names keyword arguments, as advice that names flags."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["as_flags"]

_SWITCH: Final = re.compile(r"\b(force|full|reconcile_deletes|replace|resume|strict)=True\b")
_OPTION: Final = re.compile(r"""\b(ids|on_bad_row|round_money)=(["']?)(\w+)\2(?: or (["'])(\w+)\4)?""")
_EXTRA: Final = re.compile(r"""\bextra=["']json["']""")
_COLUMNS: Final = re.compile(r"\bdate_columns=\(([^)]*)\)")


def as_flags(text: str) -> str:
    """Return a message in which ``resume=True`` is ``--resume``, and so on."""
    text = _SWITCH.sub(lambda found: _flag(found[1]), text)
    text = _OPTION.sub(
        lambda found: f"{_flag(found[1])} {' or '.join(filter(None, found.group(3, 5)))}", text
    )
    text = _EXTRA.sub("--extra-column", text)
    return _COLUMNS.sub(lambda found: f"--date-columns {_names(found[1])}", text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _names(items: str) -> str:
    return ",".join(name.strip(" \"'") for name in items.split(",") if name.strip())
