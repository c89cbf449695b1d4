"""Decode the response to a request for one object."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import msgspec

from aiwyn_async._decoding.envelope import split_layers
from aiwyn_async._decoding.malformed import is_json, replace_lone_surrogates
from aiwyn_async._decoding.row_decoder import row_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async.errors import DecodeError

DetailT = TypeVar("DetailT")

# An object with any other key is not an envelope.
ENVELOPE_KEYS: Final = frozenset({"data", "error", "errors", "meta"})


def decode_object(body: bytes, kind: type[DetailT]) -> DetailT:
    """Decode an object, bare or inside ``{"data": {...}, "error": null}``.

    Raises:
        DecodeError: the body is not a JSON object of this type.
        ApiError: the body is an error.
    """
    decode = row_decoder(cast("Any", kind))
    if _is_bare(body):
        try:
            return cast("DetailT", decode(body).row)
        except DECODING_ERRORS:
            pass  # the path below raises the error
    body = body if is_json(body) else replace_lone_surrogates(body)
    layers = split_layers(body)
    data = layers[0].get("data")
    is_enveloped = data is not None and layers[0].keys() <= ENVELOPE_KEYS
    try:
        row = decode(bytes(data) if is_enveloped and data is not None else body).row
    except DECODING_ERRORS as error:
        reason, path = explain(error)
        location = f"$.{path}" if path and not path.startswith("[") else f"${path}"
        raise DecodeError(
            f"cannot decode the object: {path + ': ' if path else ''}{reason}", location=location
        ) from None
    return cast("DetailT", row)


class _ObjectEnvelope(msgspec.Struct, gc=False):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    errors: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_envelope: Final = msgspec.json.Decoder(_ObjectEnvelope).decode


def _is_bare(body: bytes) -> bool:
    """Return True for an object without an envelope or an error.

    Decoding none of the values is faster than searching the bytes for the keys.
    """
    try:
        envelope = _decode_envelope(body)
    except DECODING_ERRORS:
        return False
    return envelope.data is envelope.error is envelope.errors is msgspec.UNSET
