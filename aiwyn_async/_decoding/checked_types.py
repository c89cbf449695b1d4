"""Row types to decode pages with: msgspec refuses what the contract of values would read otherwise.

``checked(Invoice)`` is a subclass of ``Invoice`` under its name, and its rows compare, hash, print and pickle
as those of ``Invoice``. Its decoder also refuses, at no cost per row, keys of no field, money that is not a
JSON number with a fraction, and integers of more than 64 bits. Such a page is read again, more slowly.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec.structs import fields

from aiwyn_async._decoding import values
from aiwyn_async._decoding.plain_types import field_of, like_plain, plain_type
from aiwyn_async._decoding.values import RefusedValueError

__all__ = [
    "NO_EXTRA_KEYS",
    "ExtraKeys",
    "Options",
    "checked",
    "exact_value",
    "has_unchecked_amounts",
    "is_checkable",
    "is_key_only",
    "is_object",
    "reads_otherwise",
]


ExtraKeys = frozenset[tuple[Any, str]]
"""The keys that objects of a server have beside their fields, each with the Struct of its object."""

NO_EXTRA_KEYS: Final[ExtraKeys] = frozenset()


class _Hooked:
    """A type whose values a hook of the decoder makes: to msgspec a generic type, checked by its origin.

    A ``Decimal`` is made by the ``float_hook``, as fast as msgspec makes one itself. Text, which ``Decimal``
    would take in forms such as "NaN" and "1_000", is refused, or is passed to the ``dec_hook``.
    """

    __args__ = ()
    __parameters__ = ()

    def __init__(self, origin: type) -> None:
        self.__origin__ = origin

    def __call__(self) -> None:
        """Only what is callable may be part of an annotation."""

    def __or__(self, other: Any) -> Any:
        return typing.Union[self, other]  # noqa: UP007 (it is not a type)

    __ror__ = __or__


_MONEY: Final[Any] = _Hooked(Decimal)
_TIMESTAMP: Final[Any] = _Hooked(datetime)
_INTEGER: Final[Any] = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def exact_value(kind: Any, value: Any) -> Any:
    """A ``dec_hook`` for integers and numbers in quotes as money, and for timestamps of the usual form."""
    if kind is _MONEY:
        return value if type(value) is Decimal else values.as_money(value)
    if type(value) is not str or not values.is_usual_timestamp(value):
        raise RefusedValueError("expected a timestamp of the usual form")
    return values.as_timestamp(value)


def is_object(kind: Any) -> bool:
    """Whether a type is a Struct that is an object of optional keys on the wire."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return False
    config = kind.__struct_config__
    return not (config.array_like or config.tag)


@functools.lru_cache(maxsize=512)
def is_checkable(kind: Any) -> bool:
    """Whether a type is such a Struct, and a subclass of it with other annotations can be made."""
    return is_object(kind) and not is_key_only(kind) and not _is_recursive(kind)


def _is_recursive(kind: Any) -> bool:
    left, seen = [field.type for field in fields(kind)], set[int]()
    while left:
        each = left.pop()
        if each is kind:
            return True
        if not is_object(each):
            left += typing.get_args(each)
        elif id(each) not in seen:
            seen.add(id(each))
            left += [field.type for field in fields(each)]
    return False


def is_key_only(kind: Any) -> bool:
    """Whether a type reads the key of a row alone: ``envelopes.key_only()`` makes it."""
    return hasattr(kind, "_is_key_only")


class Options(NamedTuple):
    """How pages of a read are decoded.

    Attributes:
        with_extra_keys: keys of no field are not refused.
        with_hooked_times: timestamps are decoded by the ``dec_hook``: exactly, and more slowly.
    """

    with_extra_keys: bool = False
    with_hooked_times: bool = False


USUAL: Final = Options()


@functools.lru_cache(maxsize=512)
def checked(kind: Any, options: Options = USUAL) -> Any:  # noqa: PLR0911 (one for each kind)
    """The type to decode a row type, or the annotation of a field, with."""
    if is_checkable(kind):
        return _checked_struct(kind, options)
    if kind is Decimal:
        return _MONEY
    if kind is datetime and options.with_hooked_times:
        return _TIMESTAMP
    if kind is int:
        return _INTEGER
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return _checked_union(arguments, options)
    if origin in {tuple, list, dict}:
        made = [each if each is ... else checked(each, options) for each in arguments]
        container: Any = origin
        return container[tuple(made)]
    if origin is Annotated and arguments[0] not in {Decimal, int, datetime}:
        return Annotated[(checked(arguments[0], options), *arguments[1:])]
    return kind


def _checked_union(members: tuple[Any, ...], options: Options) -> Any:
    made = [checked(member, options) for member in members]
    is_wide = len(made) - (types.NoneType in members) > 1
    if is_wide and any(isinstance(each, _Hooked) for each in made):
        made = list(members)  # msgspec has no union of a generic type with another one
    return functools.reduce(lambda one, other: one | other, made)


def _checked_struct(kind: Any, options: Options) -> Any:
    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        [(field.name, checked(field.type, options), field_of(field)) for field in fields(kind)],
        bases=(kind,),
        namespace=like_plain(kind, is_decoded=plain_type(kind) is kind),
        module=kind.__module__,
        kw_only=True,
        frozen=config.frozen,
        gc=config.gc,
        forbid_unknown_fields=config.forbid_unknown_fields or not options.with_extra_keys,
    )


@functools.lru_cache(maxsize=256)
def has_unchecked_amounts(kind: Any) -> bool:
    """Whether msgspec decodes an amount by rules of its own: in a dataclass, or in a wider union."""
    if is_checkable(kind):
        return any(has_unchecked_amounts(field.type) for field in fields(kind))
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind) or is_object(kind):
        return True
    members = typing.get_args(kind)
    if typing.get_origin(kind) in {typing.Union, types.UnionType} and Decimal in members:
        return bool(set(members) - {Decimal, types.NoneType})
    return any(map(has_unchecked_amounts, members))


def reads_otherwise(kind: Any, json: bytes) -> bool:
    """Whether msgspec may read a timestamp in this JSON otherwise than the contract of values.

    It rounds digits beyond the microsecond, and knows no bounds in UTC. Both are searched for in all
    timestamps with a ``T``, and in others if there is one in the first ``HEAD`` bytes: a server writes them
    alike. Escapes in timestamps are searched for there too. To search for all of these everywhere would take
    a third of the time of decoding.
    """
    if not _has_timestamps(kind):
        return False
    return (
        _ODD_AFTER_T(json) is not None
        or (_OTHER_SEPARATOR(json, 0, HEAD) is not None and _ODD_ANYWHERE(json) is not None)
        or _ESCAPED(json, 0, HEAD) is not None
    )


HEAD: Final = 8192

_ODD_AFTER_T: Final = re.compile(rb"T(?:.{9}[0-9]{7}|(?<=9999-12-31T)|(?<=0001-01-01T))", re.DOTALL).search
_OTHER_SEPARATOR: Final = re.compile(rb"-[0-9]{2}[t ][0-9]{2}:[0-9]{2}").search
_ESCAPED: Final = re.compile(rb"\\u00(?:2[dDeE]|3[0-9aA]|54)").search
_ODD_ANYWHERE: Final = re.compile(rb"\.[0-9]{7}|9999-12-31|0001-01-01").search


@functools.lru_cache(maxsize=256)
def _has_timestamps(kind: Any) -> bool:
    if is_checkable(kind):
        return any(_has_timestamps(field.type) for field in fields(kind))
    return kind in {datetime, date} or any(map(_has_timestamps, typing.get_args(kind)))
