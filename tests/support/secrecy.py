"""Search an error and its causes for a credential, in every form in which tools print errors."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator

# Long enough not to occur by accident, and of letters that every encoding preserves.
CANARY = "canary0123456789abcdefghijklmnop"


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error, its causes and its contexts."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]


def assert_no_secret(error: BaseException, secret: str = CANARY) -> None:
    """Assert that no text, attribute, argument, pickle or traceback local contains the secret."""
    for one in chain_of(error):
        for shown in (str(one), repr(one), repr(vars(one)), repr(one.args)):
            assert secret not in shown
        assert secret.encode() not in pickle.dumps(one)
        formatted = traceback.TracebackException.from_exception(one, capture_locals=True)
        assert secret not in "".join(formatted.format())
