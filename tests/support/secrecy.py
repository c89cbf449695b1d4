"""Does an error, or what hangs on it, show a credential? Looked for in every way that tools print errors."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator

# Long enough that no accident makes it, and of letters that every encoding keeps.
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
    """The secret is in no text, attribute, argument, pickle or traceback local of the error's chain."""
    for one in chain_of(error):
        for shown in (str(one), repr(one), repr(vars(one)), repr(one.args)):
            assert secret not in shown
        assert secret.encode() not in pickle.dumps(one)
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        assert secret not in "".join(told.format())
