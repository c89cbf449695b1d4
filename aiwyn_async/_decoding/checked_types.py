"""Types to decode pages in one call: msgspec rejects what the contract of values decodes differently.

``checked(Invoice)`` is a subclass of ``Invoice`` with the same name. At no cost per row, its decoder also
rejects keys without a field, money that is not a JSON number with a fraction, and integers of more than 64
bits. ``row_decoder`` builds these types and decodes the rejected pages again.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec.structs import fields

from aiwyn_async._decoding import values
from aiwyn_async._decoding.plain_types import copy_field, is_struct, plain_methods, plain_type
from aiwyn_async._decoding.values import InexactError, InvalidValueError
from aiwyn_async.models.base import Id

ExtraKeys = frozenset[tuple[Any, str]]
"""Keys of the server's objects that are not fields, each with the Struct of its object."""

NO_EXTRA_KEYS: Final[ExtraKeys] = frozenset()


class _HookedType:
    """A type whose values the decoder's hooks create; generic for msgspec.

    The ``float_hook`` creates a ``Decimal`` as fast as msgspec itself. Text, which ``Decimal`` accepts in
    forms such as "NaN" and "1_000", is rejected or passed to the ``dec_hook``.
    """

    # msgspec looks up the origin per value, fastest in a class without instance attributes.
    __slots__ = ()
    __args__ = ()
    __parameters__ = ()

    def __call__(self) -> None:
        """Do nothing; a part of an annotation must be callable."""

    def __or__(self, other: Any) -> Any:
        return typing.Union[self, other]  # noqa: UP007 (other is not always a type)

    __ror__ = __or__


def _hooked(origin: type[Any]) -> Any:
    return type("Hooked", (_HookedType,), {"__slots__": (), "__origin__": origin})()


_MONEY: Final = _hooked(Decimal)
_TIME: Final = _hooked(time)
_TIMESTAMP: Final = _hooked(datetime)
_INTEGER: Final[Any] = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def decode_hook(kind: Any, value: Any) -> Any:
    """The ``dec_hook`` of integers and text as money, of times, and of usual timestamps."""
    if kind is _MONEY:
        return value if type(value) is Decimal else values.as_money(value)
    if kind is _TIME:
        return values.as_time(value)
    if type(value) is not str or not values.is_usual_timestamp(value):
        raise InvalidValueError("expected a timestamp in the usual form")
    return values.as_timestamp(value)


def is_object(kind: Any) -> bool:
    """Return True for a Struct that is a JSON object without a tag on the wire."""
    return is_struct(kind) and not (kind.__struct_config__.array_like or kind.__struct_config__.tag)


def resolve(kind: Any) -> Any:
    """Return the annotation behind a ``NewType`` or another name of it."""
    while True:
        if hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif isinstance(kind, _ALIASES):
            kind = kind.__value__
        else:
            return kind


_ALIASES: Final[Any] = getattr(typing, "TypeAliasType", ())  # from Python 3.12 on


def bare_type(kind: Any) -> Any:
    """Return the type behind names of it and ``Annotated``."""
    while typing.get_origin(kind := resolve(kind)) is Annotated:
        kind = typing.get_args(kind)[0]
    return kind


@functools.lru_cache(maxsize=512)
def is_checkable(kind: Any) -> bool:
    """Return True for a Struct, encoded as an object, that allows other annotations."""
    return is_object(kind) and not is_key_only(kind) and not _is_recursive(kind)


def _is_recursive(kind: Any) -> bool:
    pending, seen = [field.type for field in fields(kind)], set[int]()
    while pending:
        each = resolve(pending.pop())
        if each is kind:
            return True
        if not is_object(each):
            pending += typing.get_args(each)
        elif id(each) not in seen:
            seen.add(id(each))
            pending += [field.type for field in fields(each)]
    return False


@functools.lru_cache(maxsize=64)
def key_only(key: str) -> type[Any]:
    """Return a Struct type that decodes only a row's key, as ``key``, or None."""
    column = ("key", Id | None, msgspec.field(name=key, default=None))
    return msgspec.defstruct("KeyOnly", [column], gc=False, namespace={"_is_key_only": True})


def is_key_only(kind: Any) -> bool:
    """Return True for a type that ``key_only()`` created."""
    return hasattr(kind, "_is_key_only")


class CheckOptions(NamedTuple):
    """How strict the checked types of a read are.

    Attributes:
        allow_extra_keys: accept keys without a field.
        hook_timestamps: decode timestamps by the ``dec_hook``, which is exact, but slower.
    """

    allow_extra_keys: bool = False
    hook_timestamps: bool = False


DEFAULT_OPTIONS: Final = CheckOptions()


@functools.lru_cache(maxsize=512)
def checked(kind: Any, options: CheckOptions = DEFAULT_OPTIONS) -> Any:  # noqa: PLR0911 (one for each kind)
    """Return the type to decode instead of a row type or the annotation of a field."""
    kind = resolve(kind)
    if is_checkable(kind):
        return _checked_struct(kind, options)
    if kind is Decimal:
        return _MONEY
    if kind is time:
        return _TIME  # msgspec rounds digits beyond the microsecond
    if kind is datetime and options.hook_timestamps:
        return _TIMESTAMP
    if kind is int:
        return _INTEGER
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNIONS:
        return _checked_union(arguments, options)
    if origin in {tuple, list}:
        items = [each if each is ... else checked(each, options) for each in arguments]
        container: Any = origin
        return container[tuple(items)]
    if origin is dict:
        mapping: Any = dict
        # Its keys have no hook, and those of its objects are not searched for extra ones.
        return mapping[arguments[0], checked(arguments[1], options._replace(allow_extra_keys=False))]
    if origin is Annotated:
        return _checked_annotated(kind, options)
    return kind


def _checked_annotated(kind: Any, options: CheckOptions) -> Any:
    annotated, *metadata = typing.get_args(kind)
    inner = resolve(annotated)
    if typing.get_origin(inner) is Annotated:
        return _checked_annotated(Annotated[(inner, *metadata)], options)  # Python joins them
    if inner in {datetime, time}:
        return kind
    if inner is Decimal:
        return _MONEY  # msgspec has no constraints of a Decimal
    if inner is not int:
        return Annotated[(checked(inner, options), *metadata)]
    declared = [each for each in metadata if isinstance(each, msgspec.Meta)]
    has_minimum = any(each.ge is not None or each.gt is not None for each in declared)
    has_maximum = any(each.le is not None or each.lt is not None for each in declared)
    bounds = msgspec.Meta(ge=None if has_minimum else -(2**63), le=None if has_maximum else 2**63 - 1)
    return Annotated[(int, bounds, *metadata)]


def _checked_union(members: tuple[Any, ...], options: CheckOptions) -> Any:
    kinds = [checked(member, options) for member in members]
    is_wide = len(kinds) - (types.NoneType in members) > 1
    if is_wide and any(isinstance(each, _HookedType) for each in kinds):
        kinds = list(members)  # msgspec has no union of a generic type with another one
    return functools.reduce(lambda one, other: one | other, kinds)


@functools.cache  # never two for the same type: one decoder's rows are arguments of another's ``convert()``
def _checked_struct(kind: Any, options: CheckOptions) -> Any:
    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        [(field.name, checked(field.type, options), copy_field(field)) for field in fields(kind)],
        bases=(kind,),
        namespace=plain_methods(kind, is_decoded=plain_type(kind) is kind),
        module=kind.__module__,
        kw_only=True,
        frozen=config.frozen,
        gc=config.gc,
        forbid_unknown_fields=config.forbid_unknown_fields or not options.allow_extra_keys,
    )


@functools.lru_cache(maxsize=256)
def needs_exact_decoding(kind: Any) -> bool:
    """Return True for a type that ``checked()`` does not change, but whose values may be amounts or times.

    msgspec decodes these by its own rules.
    """
    kind = resolve(kind)
    if is_checkable(kind):
        return any(needs_exact_decoding(field.type) for field in fields(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return _has_fields(kind)
    if origin is Annotated:
        return bare_type(kind) in {datetime, time} or needs_exact_decoding(arguments[0])
    if origin not in _CHECKED_ORIGINS:
        return True
    members = list(map(bare_type, arguments))
    is_union = origin in UNIONS and not _EXACT.isdisjoint(members) and len({*members} - {types.NoneType}) > 1
    has_exact_keys = origin is dict and not _EXACT.isdisjoint(members[:1])
    return is_union or has_exact_keys or any(map(needs_exact_decoding, arguments))


def _has_fields(kind: Any) -> bool:
    """Return True for a Struct, dataclass, attrs class, TypedDict or NamedTuple."""
    is_typed = dataclasses.is_dataclass(kind) or typing.is_typeddict(kind)
    return is_typed or is_struct(kind) or hasattr(kind, "__attrs_attrs__") or hasattr(kind, "_field_defaults")


_EXACT: Final = {Decimal, time, datetime}
UNIONS: Final = {typing.Union, types.UnionType}
_CHECKED_ORIGINS: Final = {*UNIONS, typing.Literal, tuple, list, dict}


@functools.lru_cache(maxsize=1024)
def fast_decoder(kind: Any, hook: Callable[..., Any] | None = None) -> Callable[[bytes], Any] | None:
    """Return a decoder that raises ``DECODING_ERRORS`` for what it does not decode exactly, or None.

    The hook, which is called for each amount, is only needed for integers and text.
    """
    if needs_exact_decoding(kind):
        return None
    decode_fast = msgspec.json.Decoder(checked(kind), float_hook=values.bounded_decimal, dec_hook=hook).decode
    if not _has_timestamps(kind):
        return decode_fast

    def decode(json: bytes) -> Any:
        value = decode_fast(json)
        if may_misread_timestamps(kind, json):
            raise InexactError
        return value

    return decode


def may_misread_timestamps(kind: Any, json: bytes) -> bool:
    """Return True if msgspec may decode a timestamp unlike the contract of values.

    It rounds digits beyond the microsecond and has no bounds in UTC.
    """
    return _has_timestamps(kind) and (_has_escaped_time(json) or _ODD(json) is not None)


def _has_escaped_time(json: bytes) -> bool:
    """Return True if a character that timestamps consist of is escaped."""
    at = -2
    for _ in range(8 + len(json) // 1024):  # searching for each takes longer if there are more backslashes
        at = json.find(b"\\", at + 2)
        if at < 0 or _ESCAPE.match(json, at):
            return at >= 0
    return _ESCAPE.search(json, at) is not None


# The hyphen before the day is rarer than other characters that each timestamp has, and dots are compared
# without a call.
_ODD: Final = re.compile(
    rb"-..[Tt ]..:..:..[.+\\-](?:......[0-9](?<=\.[0-9]{7})|(?<=(?:9999-12-31|0001-01-01).{10}))",
    re.DOTALL,
).search
_ESCAPE: Final = re.compile(rb"\\u00(?:2[0dDeE]|3[0-9aA]|[57]4)")


@functools.lru_cache(maxsize=256)
def _has_timestamps(kind: Any) -> bool:
    kind = resolve(kind)
    if is_checkable(kind):
        return any(_has_timestamps(field.type) for field in fields(kind))
    return kind in {datetime, date} or any(map(_has_timestamps, typing.get_args(kind)))
