"""The classes in an annotation."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

__all__ = ["types_in"]


def types_in(annotation: Any) -> Iterator[type]:
    """Yield all classes in an annotation, also those of the parameters of a ``Callable``."""
    arguments = typing.get_args(annotation)
    if inspect.isclass(annotation) and not arguments:
        yield annotation
    origin = typing.get_origin(annotation)
    if inspect.isclass(origin):
        yield origin
    for argument in arguments:
        for part in argument if isinstance(argument, list) else [argument]:
            yield from types_in(part)
