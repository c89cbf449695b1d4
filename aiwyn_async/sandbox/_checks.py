"""Arguments of tests, checked against their annotations.

A test tool that takes a wrong type and does nothing makes a test pass without testing anything.
"""

import functools
import inspect
from collections.abc import Callable
from numbers import Integral, Real
from operator import index
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

P = ParamSpec("P")
T = TypeVar("T")


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse arguments whose annotation does not take them, with a ValueError that names the first."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in hints:
                _check(name, value, hints[name])
        return function(*args, **kwargs)

    return call


def check_fields(instance: object) -> None:
    """Refuse the fields of a dataclass that have another type than declared.

    Raises:
        ValueError: Names the first.
    """
    for name, hint in get_type_hints(type(instance), include_extras=True).items():
        if hasattr(instance, name):
            _check(name, getattr(instance, name), hint)


def _check(name: str, value: object, hint: Any) -> None:
    plain = _plain(value)
    try:
        converted = msgspec.convert(plain, hint)
    except msgspec.ValidationError as error:
        words = [
            word for kind in (hint, *get_args(hint)) if get_origin(kind) is Literal for word in get_args(kind)
        ]
        fix = f"; use one of {', '.join(words)}" if words else ""
        raise ValueError(f"{name}: {error}{fix}") from None
    except TypeError:  # A union of classes, which msgspec does not check.
        converted = value if isinstance(value, hint) else None
    # msgspec makes a dataclass of a dict, and bytes of text.
    is_other = any(isinstance(plain, kind) and not isinstance(converted, kind) for kind in (dict, str))
    if is_other or converted is None is not value:
        raise ValueError(f"{name}: expected {hint}, got {value!r}")


def _plain(value: object) -> object:
    """Return a number, such as one of numpy, as those of Python."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[object, object]", value).items()}
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Integral):
        return index(value)
    return float(value) if isinstance(value, Real) else value
