"""Keys that are spelled another way than declared: snake_case where camelCase is documented, or the reverse.

Such rows decode without an error, as rows of nothing: unknown keys are ignored, missing ones are optional.
So a row in which every field of more than one word is empty is looked at once more.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

__all__ = ["is_spelled_otherwise", "key_like", "may_be_spelled_otherwise"]

ValueT = TypeVar("ValueT")

_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def key_like(name: str, keys: Mapping[str, ValueT] | Iterable[str]) -> str | None:
    """The key that is this name, or spells it otherwise; None where there is none."""
    if name in keys:
        return name
    return next((key for key in keys if _bare(key) == _bare(name)), None)


def may_be_spelled_otherwise(decoded: object) -> bool:
    """False when a decoded row by itself shows that its keys are spelled as declared."""
    row_type: Any = type(decoded)
    names = _names(row_type)[0]
    for name in names:  # mostly the first one tells
        if getattr(decoded, name) is not None:
            return False
    return bool(names)


def is_spelled_otherwise(decoded: object, row: bytes) -> bool:
    """True when a row's JSON has keys of the decoded row's fields in another spelling."""
    if not may_be_spelled_otherwise(decoded):
        return False
    row_type: Any = type(decoded)
    keys = _names(row_type)[1]
    found = _keys.decode(row)
    return any(key not in found and key_like(key, found) is not None for key in keys)


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


@functools.lru_cache(maxsize=256)
def _names(row_type: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of more than one word, and their keys on the wire; none of what is no Struct."""
    if not issubclass(row_type, msgspec.Struct):
        return (), ()
    fields = [field for field in msgspec.structs.fields(row_type) if "_" in field.name]
    return tuple(field.name for field in fields), tuple(field.encode_name for field in fields)
