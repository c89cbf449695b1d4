"""The exceptions: attributes, pickling, and the tree in the docstring."""

from __future__ import annotations

import copy
import copyreg
import inspect
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from aiwyn_async import errors
from aiwyn_async._core.reports import ListReport
from aiwyn_async.errors import (
    AiwynError,
    Attempt,
    DeadlineExceededError,
    PartialWriteError,
    RateLimitError,
    RequestError,
    StatusError,
    TransportError,
)
from aiwyn_async.models.records import WriteReport

CLASSES: list[type[AiwynError]] = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AiwynError)
]
ABOUT: dict[str, Any] = {
    "method": "POST",
    "path": "/x",
    "attempts": (Attempt("503", 0.1), Attempt("dns", 0.2, 1.5)),
    "elapsed": 2.0,
    "request_id": "abc",
    "ambiguous": True,
    "retry_budget_exhausted": True,
}


def one_of(cls: type[AiwynError]) -> AiwynError:
    """Return an error of this class with every attribute set."""
    made: AiwynError
    if issubclass(cls, StatusError):
        made = cls("no", status=429, body={"a": [1]}, retry_after=3.0, **ABOUT)
    elif issubclass(cls, DeadlineExceededError):
        made = cls("no", phase="queue", **ABOUT)
    elif issubclass(cls, TransportError):
        made = cls("no", kind="dns", **ABOUT)
    elif issubclass(cls, RequestError):
        made = cls("no", **ABOUT)
    elif issubclass(cls, PartialWriteError):
        made = cls("no", report=WriteReport())
    elif issubclass(cls, errors.PaginationError):
        made = cls("no", report=ListReport())
    else:
        made = cls("no")
    return made


def attributes_of(error: AiwynError) -> tuple[Any, ...]:
    return type(error), str(error), error.args, {name: repr(value) for name, value in vars(error).items()}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_are_unchanged_by_pickling(
    cls: type[AiwynError], protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # distributed makes the pickles of all exceptions that exist when it is imported have their causes.
    monkeypatch.delitem(copyreg.dispatch_table, cls, raising=False)
    error = one_of(cls)
    error.add_note("a note")
    error.__cause__ = ValueError(lambda: None)  # cannot be pickled, and is left out
    back = pickle.loads(pickle.dumps(error, protocol))
    assert attributes_of(back) == attributes_of(error)
    assert attributes_of(copy.copy(error)) == attributes_of(error)
    assert back.__notes__ == ["a note"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_last_error_and_retry_after_survive_copying_and_pickling(
    again: Callable[[AiwynError], AiwynError],
) -> None:
    last = RateLimitError("no", status=429, retry_after=3.0, **ABOUT)
    last.__cause__ = TransportError("before", kind="dns", **ABOUT)
    error = DeadlineExceededError("late", phase="retry_wait", retry_after=3.0, **ABOUT)
    error.__cause__ = last
    back = again(again(error))
    assert isinstance(back, DeadlineExceededError)
    assert (back.retry_after, back.phase, back.kind) == (3.0, "retry_wait", "deadline")
    assert attributes_of(back.__cause__) == attributes_of(last)  # type: ignore[arg-type]
    assert isinstance(back.__cause__, RateLimitError)
    assert back.__cause__.retry_after == 3.0
    assert attributes_of(back.__cause__.__cause__) == attributes_of(last.__cause__)  # type: ignore[arg-type]


def test_every_error_of_a_request_has_a_retry_after() -> None:
    for cls in CLASSES:
        if issubclass(cls, RequestError):
            error = one_of(cls)
            assert isinstance(error, RequestError)
            assert error.retry_after == (3.0 if issubclass(cls, StatusError) else None)


def test_docstring_shows_the_class_tree() -> None:
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if drawn := re.match(r"^ {4}([│├└─ ]*)(\w+)", line):
            depth = len(drawn[1]) // 4
            del above[depth:]
            parents[drawn[2]] = above[-1] if above else "Exception"
            above.append(drawn[2])
    own = {cls.__name__ for cls in CLASSES}
    real = {
        cls.__name__: next((base.__name__ for base in cls.__bases__ if base.__name__ in own), "Exception")
        for cls in CLASSES
    }
    assert parents == real


def test_all_lists_every_error() -> None:
    own = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__ and not name.startswith("_")
    }
    assert set(errors.__all__) == own
    assert list(errors.__all__) == sorted(errors.__all__)


def test_errors_have_builtin_parents() -> None:
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.ClientClosedError, RuntimeError)
    assert issubclass(errors.LoopMismatchError, RuntimeError)


def test_errors_are_not_os_errors() -> None:
    """A deadline error that is an OSError would be retried by callers that retry OSError."""
    assert not any(issubclass(cls, OSError) for cls in CLASSES)


def test_error_text_names_request_attempts_and_fix() -> None:
    text = str(one_of(RateLimitError))
    assert text == (
        "POST /x: no (2 attempts in 2.0 s) [request id abc]; not retried: the retry budget of the client is "
        "exhausted; the write may have been applied, check before you send it again"
    )
    assert str(RequestError("no")) == "no"
