"""Signing schemes: ``Scheme``, two presets, and the keys of the secrets."""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import msgspec

from aiwyn_async._core.checks import check_word
from aiwyn_async._core.secret import Secret
from aiwyn_async.errors import ConfigurationError

AnySecret: TypeAlias = str | bytes | Secret

PLACEHOLDER: Final = re.compile(r"\{(id|timestamp|body)\}")
_ANY_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """How a sender signs its deliveries.

    Attributes:
        signature_header: The header with the signatures.
        id_header: The header with the delivery id, if there is one; trust it only if ``signed`` contains it.
        id_key: Alternatively, the key of the id in the JSON body; read after the signature is verified.
        timestamp_header: The header with the time of sending, if there is one.
        timestamp_prefix: Alternatively, the prefix of the part of the signature header with that time, such
            as ``t=``.
        timestamp_format: The format of that time: epoch ``"seconds"`` or ``"milliseconds"``, or ``"iso"``
            with an offset or ``Z``.
        signed: The signed text, with the placeholders ``{id}``, ``{timestamp}`` and ``{body}``.
        separator: The separator between the parts of the signature header.
        prefix: The prefix of a signature; parts with another prefix are ignored.
        encoding: The encoding of a signature.
        digest: The hash function of the HMAC.
        secret_prefix: The prefix of a secret, removed before decoding.
        secret_encoding: The encoding of a secret that is a str.
        tolerance: The maximum age of a delivery, in seconds.
        future_tolerance: The maximum time into the future, in seconds, for clocks that differ.
    """

    signature_header: str
    id_header: str | None = None
    id_key: str | None = None
    timestamp_header: str | None = None
    timestamp_prefix: str | None = None
    timestamp_format: Literal["seconds", "milliseconds", "iso"] = "seconds"
    signed: str = "{id}.{timestamp}.{body}"
    separator: str = " "
    prefix: str = ""
    encoding: Literal["base64", "hex"] = "base64"
    digest: Literal["sha256", "sha384", "sha512"] = "sha256"
    secret_prefix: str = ""
    secret_encoding: Literal["base64", "hex", "utf8"] = "utf8"  # noqa: S105 - not a secret
    tolerance: float = 300.0
    future_tolerance: float = 300.0

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            _check_field(field.name, field.type, getattr(self, field.name))
        _check_placeholders(self.signed)
        names = PLACEHOLDER.findall(self.signed)
        if "id" in names and self.id_header is None:
            raise ConfigurationError(
                "signed contains {id}, which must be known before the body is trusted; set id_header"
            )
        if "{id}{body}" in self.signed or "{body}{id}" in self.signed:
            raise ConfigurationError(
                "signed needs a separator between {id} and {body}, or an end of one could pass as the other"
            )
        if self.id_header is not None and self.id_key is not None:
            raise ConfigurationError("id_header and id_key exclude each other; set one of them")
        if self.timestamp_header is not None and self.timestamp_prefix is not None:
            raise ConfigurationError(
                "timestamp_header and timestamp_prefix exclude each other; set one of them"
            )
        if ("timestamp" in names) != bool(self.timestamp_header or self.timestamp_prefix):
            raise ConfigurationError(
                "only a signed timestamp can be trusted; use {timestamp} in signed together with"
                " timestamp_header or timestamp_prefix, or none of them"
            )


_MAY_BE_EMPTY: Final = {"prefix", "secret_prefix"}


def _check_field(name: str, kind: Any, value: object) -> None:
    words = tuple(word for word in get_args(kind) if isinstance(word, str))
    if words:
        check_word(name, value, words)
    elif kind is float:
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else -1
        if not 0 <= number < float("inf"):
            raise ConfigurationError(f"{name} must be a finite number of seconds, 0 or more")
    elif not isinstance(value, get_args(kind) or kind):
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}")
    elif value == "" and name not in _MAY_BE_EMPTY:
        raise ConfigurationError(f"{name} must not be empty")


def _check_placeholders(signed: str) -> None:
    for placeholder in _ANY_PLACEHOLDER.findall(signed):
        if not PLACEHOLDER.fullmatch(placeholder):
            raise ConfigurationError(
                f"signed contains the unknown placeholder {placeholder};"
                " use only {id}, {timestamp} and {body}"
            )
    names = PLACEHOLDER.findall(signed)
    if names.count("body") != 1 or len(names) != len(set(names)):
        raise ConfigurationError(
            "signed must contain {body} exactly once, and {id} and {timestamp} at most once"
        )


STANDARD_WEBHOOKS: Final = Scheme(
    signature_header="webhook-signature",
    id_header="webhook-id",
    timestamp_header="webhook-timestamp",
    signed="{id}.{timestamp}.{body}",
    separator=" ",
    prefix="v1,",
    encoding="base64",
    secret_prefix="whsec_",  # noqa: S106 - the prefix of a secret, not a secret
    secret_encoding="base64",  # noqa: S106 - as above
)
"""https://www.standardwebhooks.com, 1.0.0."""

STRIPE_LIKE: Final = Scheme(
    signature_header="stripe-signature",
    id_key="id",
    timestamp_prefix="t=",
    signed="{timestamp}.{body}",
    separator=",",
    prefix="v1=",
    encoding="hex",
)
"""One header, ``t=1700000000,v1=<hex>``. Adapt it with ``msgspec.structs.replace``."""


def decode_secrets(secrets: object, scheme: Scheme) -> tuple[bytes, ...]:
    """Return the keys of the secrets. The caller drops the frames of an error, whose locals have secrets."""
    items: list[object]
    kind = type(secrets).__name__
    if isinstance(secrets, (str, bytes, bytearray, Secret)):
        items = [secrets]
    elif isinstance(secrets, Iterable) and not isinstance(secrets, Mapping):
        items = list(cast("Iterable[object]", secrets))
    else:
        raise ConfigurationError(f"secrets must be text, bytes or a list of these, not {kind}")
    for item in items:
        if not isinstance(item, (str, bytes, bytearray, Secret)):
            raise ConfigurationError(f"secrets must be text or bytes, not {type(item).__name__}")
    decoded = [_decode_secret(cast("AnySecret", item), scheme) for item in items]
    if not decoded:
        raise ConfigurationError("secrets is empty; pass at least one")
    if b"" in decoded:
        raise ConfigurationError("secrets contains an empty secret, with which anybody can sign; remove it")
    keys = tuple(key for key in decoded if key)
    prefix = f" after {scheme.secret_prefix!r}" if scheme.secret_prefix else ""
    if len(keys) != len(decoded):
        raise ConfigurationError(
            f"secrets contains one that is not valid {scheme.secret_encoding}{prefix}; copy it again"
        )
    return keys


def _decode_secret(secret: AnySecret, scheme: Scheme) -> bytes | None:
    """Return the key of a secret, or None if its encoding is not the scheme's."""
    if isinstance(secret, (bytes, bytearray)):
        return bytes(secret)
    text = secret.reveal() if isinstance(secret, Secret) else secret
    text = text.strip().removeprefix(scheme.secret_prefix)
    try:
        match scheme.secret_encoding:
            case "utf8":
                return text.encode()
            case "hex":
                return bytes.fromhex(text)
            case "base64":
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
