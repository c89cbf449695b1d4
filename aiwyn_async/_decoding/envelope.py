"""The envelope of a page: the JSON object around its rows and its count.

An endpoint declares the paths of its envelope, and ``envelope_decoder()`` decodes pages by them. For a
response of another shape (another schema prefix, a ``data`` object around it, another path to the count),
``find_envelope()`` finds the paths.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from aiwyn_async._decoding.converters import split_object
from aiwyn_async._decoding.key_case import can_be_field
from aiwyn_async._decoding.row_decoder import DecoderSpec
from aiwyn_async._decoding.values import DECODING_ERRORS, describe_error, unbounded_decimal
from aiwyn_async.errors import ApiError, DecodeError

MAX_COUNT_DIGITS: Final = 30

# Lists under these keys are not rows.
NOT_ROWS: Final = frozenset({"errors", "warnings", "error", "meta"})

_STATUS_KEYS: Final = frozenset({"status", "statuscode"})
_FAILURES: Final = frozenset({"error", "fail"})
_NOT_FOUND: Final = 404


class Envelope(msgspec.Struct, frozen=True):
    """The paths of keys, from the top of a response, to its rows and its count."""

    items: tuple[str, ...]
    count: tuple[str, ...] | None = None


@functools.lru_cache(maxsize=256)
def envelope_decoder(
    spec: DecoderSpec, envelope: Envelope
) -> Callable[[bytes], tuple[list[Any] | None, object]]:
    """Return a function from a body to rows and count; the rows are None in another envelope."""
    leaves: dict[tuple[str, ...], Any] = {
        envelope.items: spec.rows,
        ("errors",): msgspec.Raw,
        ("error",): msgspec.Raw,
    }
    if envelope.count is not None:
        leaves[envelope.count] = Any
    decoder = spec.decoder(_struct_type(leaves))
    items_at = tuple(map(_attribute, envelope.items))
    count_at = tuple(map(_attribute, envelope.count or ("",)))

    def decode(body: bytes) -> tuple[list[Any] | None, object]:
        response = decoder.decode(body)
        for errors in (response.k_errors, response.k_error):
            if errors is not msgspec.UNSET:
                _raise_for_errors(bytes(errors))
        return _get(response, items_at), _get(response, count_at)

    return decode


def _struct_type(leaves: dict[tuple[str, ...], Any]) -> Any:
    """Return a Struct type whose nested keys are the paths of the leaves."""
    fields: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(path[0] for path in leaves):
        below = {path[1:]: leaf for path, leaf in leaves.items() if path[0] == key}
        kind = below[()] if () in below else _struct_type(below) | None
        fields.append(
            (_attribute(key), kind | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET))
        )
    return msgspec.defstruct("Envelope", fields, gc=False)


def _attribute(key: str) -> str:
    """Return an attribute name for a key, which need not be an identifier."""
    return f"k_{key if key.isidentifier() else key.encode().hex()}"


def _get(response: Any, attributes: tuple[str, ...]) -> Any:
    for name in attributes:
        response = getattr(response, name, None)
    return None if response is msgspec.UNSET else response


def parse_count(count: object) -> int | None:
    """Return a count that is a number or numeric text; None for anything else."""
    if isinstance(count, str):
        # int() alone also accepts underscores and the digits of other scripts.
        text = count.strip()
        count = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_COUNT_DIGITS else None
    if isinstance(count, Decimal):
        count = float(count)  # a huge exponent becomes infinite, not an integer of a billion digits
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def split_layers(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """Split a response, and an object ``data`` in it, into keys and values.

    Raises:
        DecodeError: the body is not a JSON object.
        ApiError: the body is an error.
    """
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        top = split_object(body)
    except msgspec.ValidationError:
        raise DecodeError("expected a JSON object, got another kind of value", location="$") from None
    except DECODING_ERRORS as error:
        raise malformed_error(error) from None
    for key in ("errors", "error"):
        if key in top:
            _raise_for_errors(bytes(top[key]))
    data = bytes(top["data"]) if "data" in top else b""
    try:
        return [top, split_object(data)] if data.startswith(b"{") else [top]
    except DECODING_ERRORS as error:
        raise malformed_error(error) from None


def malformed_error(error: Exception) -> DecodeError:
    """Return the error for a body that is not JSON."""
    return DecodeError(f"the body is not valid JSON: {describe_error(error)}", malformed=True)


def _raise_for_errors(json: bytes) -> None:
    errors: Any
    try:
        errors = _decode_untyped(json)
    except DECODING_ERRORS:
        errors = "the errors cannot be decoded"
    if errors:
        raise _api_error(errors)


def _api_error(errors: Any) -> ApiError:
    return ApiError(f"the API returned an error: {_first_message(errors)}", errors=errors)


def failure_of(body: bytes) -> ApiError | None:
    """Return the error of a page without rows if it, or ``data`` or ``meta`` in it, says that it failed.

    A ``message`` does not say so, nor a status of 404: it may be that there are no rows.
    """
    try:
        top: Any = _decode_untyped(body)
    except DECODING_ERRORS:
        return None
    for path in ((), ("data",), ("meta",), ("data", "meta")):
        layer = _walk(top, path)
        for key, value in cast("dict[str, Any]", layer).items() if isinstance(layer, dict) else ():
            name = key.lower().replace("_", "")
            if name in {"error", "errors"} and value:
                return _api_error(value)
            if name in _STATUS_KEYS and _is_failure(value):
                return ApiError(f"the API returned no rows and {key} {value}", errors=top)
    return None


def _is_failure(status: object) -> bool:
    code = parse_count(status)
    return str(status).lower() in _FAILURES if code is None else 400 <= code < 600 and code != _NOT_FOUND


def _first_message(errors: Any) -> str:
    first = cast("list[object]", errors)[0] if isinstance(errors, list) else errors
    text = cast("dict[str, Any]", first).get("message", "") if isinstance(first, dict) else first
    return "".join(c if c.isprintable() else " " for c in str(text)[:200]) or "without a message"


_decode_untyped: Final = msgspec.json.Decoder(float_hook=unbounded_decimal).decode


def find_envelope(body: bytes, declared: Envelope | None) -> Envelope:
    """Find the declared keys, those with another schema prefix, or the only list.

    Raises:
        DecodeError: there is no list, or more than one that may hold the rows.
    """
    layers = split_layers(body)
    for depth, layer in enumerate(layers):
        prefix: tuple[str, ...] = ("data",) * depth
        lists = [
            key
            for key, value in layer.items()
            if bytes(value)[:1] == b"[" and key not in NOT_ROWS and can_be_field(key)
        ]
        key = _find_items_key(lists, declared)
        if key is not None:
            return Envelope((*prefix, key), _find_count(layers, key, declared))
    keys = ", ".join(sorted({key for layer in layers for key in layer})[:20]) or "none"
    raise DecodeError(
        f"the response has no single list of rows (its keys: {keys}); set items_key in the endpoints option"
    )


def is_empty_page(body: bytes, envelope: Envelope | None) -> bool:
    """Return True for null in place of the rows and a count of 0, as some servers send an empty list."""
    if envelope is None or envelope.count is None:
        return False
    try:
        response: Any = _decode_untyped(body)
    except DECODING_ERRORS:
        return False
    *outer, key = envelope.items
    parent = _walk(response, outer)
    return (
        isinstance(parent, dict)
        and key in parent
        and parent[key] is None
        and parse_count(_walk(response, envelope.count)) == 0
    )


def _walk(value: Any, path: Iterable[str]) -> Any:
    for key in path:
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return value


def _find_items_key(lists: Sequence[str], declared: Envelope | None) -> str | None:
    if declared is not None:
        known = declared.items[-1]
        # "deid_" looks like the prefix of a database schema, which may differ with the tenant (inferred).
        stem = known.partition("_")[2] or known
        for key in (known, *(key for key in lists if key == stem or key.endswith(f"_{stem}"))):
            if key in lists:
                return key
    return lists[0] if len(lists) == 1 else None


def _find_count(
    layers: Iterable[dict[str, msgspec.Raw]], items: str, declared: Envelope | None
) -> tuple[str, ...] | None:
    candidates: list[tuple[str, ...]] = [declared.count] if declared and declared.count else []
    candidates += [(f"{items}_aggregate", "aggregate", "count"), ("total", "aggregate", "count")]
    candidates += [("total",), ("count",), ("totalCount",), ("total_count",), ("meta", "total")]
    for depth, layer in enumerate(layers):
        for path in candidates:
            if _is_count(layer.get(path[0]), path[1:]):
                return ("data",) * depth + path
        for key in layer:
            if (
                key.endswith("_aggregate")
                and can_be_field(key)
                and _is_count(layer[key], ("aggregate", "count"))
            ):
                return (*("data",) * depth, key, "aggregate", "count")
    return None


def _is_count(json: msgspec.Raw | None, path: tuple[str, ...]) -> bool:
    if json is None:
        return False
    try:
        value: Any = _decode_untyped(json)
    except DECODING_ERRORS:
        return False
    return parse_count(_walk(value, path)) is not None
