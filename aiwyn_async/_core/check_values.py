"""A check value for state that is stored between two reads."""

from __future__ import annotations

import decimal
import hashlib
import json
from typing import Final

# Does not round, whatever the context of the caller.
_EXACT: Final = decimal.Context(
    prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[decimal.InvalidOperation]
)


def check_value(content: object) -> str:
    """Return a short hash of plain data: the same for equal data, however its JSON is written.

    It detects damage and edits, not forgery: anybody can compute it.
    """
    return hashlib.sha256(_encode(content).encode()).hexdigest()[:24]


def _decimal(number: decimal.Decimal) -> list[str]:
    return ["decimal", str(_EXACT.normalize(number))]


_encode: Final = json.JSONEncoder(sort_keys=True, default=_decimal).encode
