"""Decode the response to a request for one object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from msgspec.structs import fields

from aiwyn_async._decoding.envelope import split_layers
from aiwyn_async._decoding.malformed import decodable
from aiwyn_async._decoding.row_decoder import fast_decoders, row_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async.errors import DecodeError

DetailT = TypeVar("DetailT")

# An object with any other key is not an envelope.
ENVELOPE_KEYS: Final = frozenset({"data", "error", "errors", "meta"})

# Decoders of rows get the JSON of a value, without the whitespace of JSON around it.
_WHITESPACE: Final = b" \t\r\n"


def decode_object(body: bytes, kind: type[DetailT]) -> DetailT:
    """Decode an object, bare or inside ``{"data": {...}, "error": null}``.

    Raises:
        DecodeError: the body is not a JSON object of this type.
        ApiError: the body is an error.
    """
    row_type: Any = kind
    for decode_bare in _bare_decoders(row_type):
        try:
            bare: DetailT = decode_bare(body)
        except DECODING_ERRORS:
            continue
        return bare
    decode = row_decoder(row_type)
    body = decodable(body).lstrip(_WHITESPACE)
    top = split_layers(body)[0]
    if "data" in top and top.keys() <= ENVELOPE_KEYS:
        body = bytes(top["data"])
    try:
        row = decode(body).row
    except DECODING_ERRORS as error:
        reason, path = explain(error)
        location = f"$.{path}" if path and not path.startswith("[") else f"${path}"
        raise DecodeError(
            f"cannot decode the object: {path + ': ' if path else ''}{reason}", location=location
        ) from None
    return cast("DetailT", row)


@functools.lru_cache(maxsize=256)
def _bare_decoders(kind: Any) -> Sequence[Callable[[bytes], Any]]:
    """Return decoders that reject every envelope, since its keys are not fields."""
    decoders = fast_decoders(kind)
    names = {field.encode_name for field in fields(kind)} if decoders else set[str]()
    return () if names & ENVELOPE_KEYS else decoders
