"""The choice of columns of an export."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from aiwyn_async._core.checks import check_kind
from aiwyn_async._decoding.checked_types import is_object
from aiwyn_async._decoding.chosen_fields import choose_fields
from aiwyn_async.errors import ConfigurationError


def choose_columns(row_type: Any, columns: Iterable[str]) -> type[Any]:
    """Return a row type with these columns, in this order.

    Raises:
        ConfigurationError: a column is unknown or repeated, there is none, or the rows are not Structs.
    """
    if isinstance(columns, str) or not hasattr(columns, "__iter__"):
        raise ConfigurationError("columns must be a list of names, such as ['id', 'totalAmount']")
    if not is_object(row_type):
        raise ConfigurationError(
            "columns: the row type must be a Struct, neither tagged nor array_like; "
            "remove it, or call decode_as() with one"
        )
    names = tuple(columns)
    known = [field.encode_name for field in msgspec.structs.fields(row_type)]
    choice = f"choose from {', '.join(known)}"
    if not names:
        raise ConfigurationError(f"columns must have at least one name; {choice}")
    for index, name in enumerate(names):
        check_kind("each name in columns", name, str, "a str")
        if name not in known:
            raise ConfigurationError(f"columns: {name!r} is not a field of the rows; {choice}")
        if name in names[:index]:
            raise ConfigurationError(f"columns: {name!r} is repeated; {choice}, each once")
    return choose_fields(row_type, names)
