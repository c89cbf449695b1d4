"""Row types as pages are decoded with them: msgspec refuses what the contract of values would read otherwise.

``checked(Invoice)`` is a subclass of ``Invoice`` under its name, and its rows compare, hash, print and pickle as
those of ``Invoice``. What differs is what its decoder refuses, at no cost per row: keys of no field, money that
is not a JSON number with a fraction, integers of more than 64 bits. Such a page is read again, more slowly.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec.structs import fields

from aiwyn_async.models import values
from aiwyn_async.models.plain import field_of, like_plain

__all__ = ["AS_DECLARED", "Form", "checked", "exact_amount", "is_checkable", "is_key_only", "reads_otherwise"]


class Form(NamedTuple):
    """How the objects of a server differ from their declaration.

    Attributes:
        spelled: the type, the declared name and the key, of each field that comes under another key.
        extra: the type and the key, of each key that is not a field.
    """

    spelled: frozenset[tuple[Any, str, str]] = frozenset()
    extra: frozenset[tuple[Any, str]] = frozenset()


AS_DECLARED: Final = Form()


class _JsonNumber:
    """A ``Decimal`` that a decoder's ``float_hook`` made: to msgspec a generic type, checked by its origin.

    So JSON numbers with a fraction are decoded as fast as with ``Decimal`` itself, and text, which ``Decimal``
    would take in forms such as "NaN" and "1_000", is refused, or is given to a ``dec_hook``.
    """

    __origin__ = Decimal
    __args__ = ()
    __parameters__ = ()

    def __call__(self) -> None:
        """Only what is callable may be part of an annotation."""

    def __or__(self, other: Any) -> Any:
        return typing.Union[self, other]  # noqa: UP007 (it is not a type)

    __ror__ = __or__


_MONEY: Final[Any] = _JsonNumber()
_INTEGER: Final[Any] = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def exact_amount(_kind: type, value: Any) -> Decimal:
    """A ``dec_hook`` that also takes integers and numbers in quotes for money."""
    return value if type(value) is Decimal else values.as_money(value)


def is_checkable(kind: Any) -> bool:
    """Whether a type is a Struct that is an object of optional keys on the wire."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or is_key_only(kind):
        return False
    config = kind.__struct_config__
    return not (config.array_like or config.tag or config.forbid_unknown_fields)


def is_key_only(kind: Any) -> bool:
    """Whether a type reads the key of a row alone: ``envelopes.key_only()`` makes it."""
    return hasattr(kind, "_is_key_only")


@functools.lru_cache(maxsize=512)
def checked(kind: Any, form: Form = AS_DECLARED) -> Any:
    """The type to decode a row type, or the annotation of a field, with.

    Args:
        kind: a Struct, or an annotation that contains some.
        form: of the server's objects. With extra keys, unknown keys are not refused.
    """
    if is_checkable(kind):
        return _checked_struct(kind, form)
    if kind is Decimal:
        return _MONEY
    if kind is int:
        return _INTEGER
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return _checked_union(arguments, form)
    if origin in {tuple, list, dict}:
        return origin[tuple(each if each is ... else checked(each, form) for each in arguments)]
    if origin is Annotated and checked(arguments[0], form) is not _MONEY:
        return Annotated[(checked(arguments[0], form), *arguments[1:])]
    return kind


def _checked_union(members: tuple[Any, ...], form: Form) -> Any:
    made = [checked(member, form) for member in members]
    if _MONEY in made and len(made) - (types.NoneType in members) > 1:
        made = list(members)  # msgspec has no union of a generic type with another one
    return functools.reduce(lambda one, other: one | other, made)


def _checked_struct(kind: Any, form: Form) -> Any:
    spelled = {name: key for owner, name, key in form.spelled if owner is kind}
    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        [
            (field.name, checked(field.type, form), field_of(field, spelled.get(field.encode_name)))
            for field in fields(kind)
        ],
        bases=(kind,),
        namespace=like_plain(kind),
        module=kind.__module__,
        kw_only=True,
        frozen=config.frozen,
        gc=config.gc,
        forbid_unknown_fields=not form.extra,
    )


def reads_otherwise(kind: Any, json: bytes) -> bool:
    """Whether msgspec may read a timestamp in this JSON otherwise than the contract of values.

    It rounds digits beyond the microsecond, and knows no bounds in UTC.
    """
    return _has_timestamps(kind) and any(find(json) for find in _READ_OTHERWISE)


# One expression each: they begin with a literal, by which the engine searches twice as fast as by alternatives.
_READ_OTHERWISE: Final = (
    re.compile(rb"\.[0-9]{7}").search,
    re.compile(rb"-12-31(?<=9999-12-31)").search,
    re.compile(rb"-01-01(?<=0001-01-01)").search,
)


@functools.lru_cache(maxsize=256)
def _has_timestamps(kind: Any) -> bool:
    if is_checkable(kind):
        return any(_has_timestamps(field.type) for field in fields(kind))
    return kind in {datetime, date} or any(map(_has_timestamps, typing.get_args(kind)))
