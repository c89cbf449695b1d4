"""Verify that a delivery was signed with your secret, is recent, and was not seen before.

    verifier = WebhookVerifier(secrets=[new_secret, old_secret], scheme=STANDARD_WEBHOOKS)
    event = verifier.verify(await request.read(), request.headers)
    print(event.id, event.json())

Which scheme Aiwyn signs with is not documented where we could see it, so a scheme is a value: take the preset
that matches what you receive, or describe another one. Nothing here does I/O.
"""

import base64
import binascii
import contextlib
import hmac
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, cast

import msgspec

from aiwyn_async.errors import ConfigurationError, WebhookVerificationError

__all__ = ["STANDARD_WEBHOOKS", "STRIPE_LIKE", "Scheme", "WebhookEvent", "WebhookVerifier"]

_PLACEHOLDER = re.compile(r"\{(id|timestamp|body)\}")
_ANY_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_ISO_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_MOST_SIGNATURES: Final = 32
"""More in one header is no rotation of secrets but somebody trying."""
_LONGEST_ID: Final = 256
_LONGEST_TIMESTAMP: Final = {"seconds": 12, "milliseconds": 15}  # digits: enough for the year 33658
_decode_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """How a sender signs its deliveries.

    Args:
        signature_header: The header that holds the signatures.
        id_header: The header that holds the delivery's id, where there is one.
        id_key: Or the key of the JSON body that holds it; read after the signature was found good.
        timestamp_header: The header that holds the time of sending, where there is one.
        timestamp_prefix: Or what the part of the signature header that holds it begins with, such as `t=`.
        timestamp_format: How that time is written: epoch "seconds" or "milliseconds", or "iso"
            with an offset or `Z`.
        signed: What is signed, in terms of `{id}`, `{timestamp}` and `{body}`.
        separator: What stands between the parts of the signature header.
        prefix: What a signature begins with; parts that begin otherwise are passed over.
        encoding: How a signature is written.
        digest: The hash under the HMAC.
        secret_prefix: What a secret begins with, taken off before decoding.
        secret_encoding: How a secret given as a text is written.
        tolerance: Seconds that a delivery may be old.
        future_tolerance: Seconds that its time may lie ahead, for clocks that disagree.
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
    secret_encoding: Literal["base64", "hex", "utf8"] = "utf8"  # noqa: S105 - no secret
    tolerance: float = 300.0
    future_tolerance: float = 300.0

    def __post_init__(self) -> None:
        _check_written(self.signed, self.timestamp_format)
        names = _PLACEHOLDER.findall(self.signed)
        if names.count("body") != 1 or len(names) != len(set(names)):
            raise ConfigurationError("signed must name {body} once, and {id} and {timestamp} at most once")
        if "id" in names and self.id_header is None:
            raise ConfigurationError(
                "signed names {id}: set id_header, which is read before the body is trusted"
            )
        if self.id_header is not None and self.id_key is not None:
            raise ConfigurationError("id_header and id_key exclude each other")
        if self.timestamp_header is not None and self.timestamp_prefix is not None:
            raise ConfigurationError("timestamp_header and timestamp_prefix exclude each other")
        if ("timestamp" in names) != bool(self.timestamp_header or self.timestamp_prefix):
            raise ConfigurationError(
                "a timestamp must be signed to mean anything: name {timestamp} in signed together with"
                " timestamp_header or timestamp_prefix, or none of them"
            )
        if not all(0 <= seconds < float("inf") for seconds in (self.tolerance, self.future_tolerance)):
            raise ConfigurationError("tolerance and future_tolerance are finite seconds, not below 0")
        if not self.separator or not self.signature_header:
            raise ConfigurationError("separator and signature_header may not be empty")


def _check_written(signed: str, timestamp_format: str) -> None:
    for placeholder in _ANY_PLACEHOLDER.findall(signed):
        if not _PLACEHOLDER.fullmatch(placeholder):
            raise ConfigurationError(
                f"signed has the unknown placeholder {placeholder}; use only {{id}}, {{timestamp}}, {{body}}"
            )
    if timestamp_format not in {"seconds", "milliseconds", "iso"}:
        raise ConfigurationError("timestamp_format must be 'seconds', 'milliseconds' or 'iso'")


STANDARD_WEBHOOKS: Final = Scheme(
    signature_header="webhook-signature",
    id_header="webhook-id",
    timestamp_header="webhook-timestamp",
    signed="{id}.{timestamp}.{body}",
    separator=" ",
    prefix="v1,",
    encoding="base64",
    secret_prefix="whsec_",  # noqa: S106 - the mark of a secret, no secret
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
"""One header, `t=1700000000,v1=<hex>`; another sender's differs by `msgspec.structs.replace`."""


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was verified."""

    id: str
    """The delivery's id, the same each time it is sent; empty when the scheme has none."""
    timestamp: int | None
    """When it was sent, in epoch seconds; None when the scheme has no time."""
    payload: bytes
    """The body as it was signed."""

    def json(self) -> Any:
        """Return the payload as JSON, with a Decimal for each number that has a fraction.

        Raises:
            WebhookVerificationError: It is no JSON, although it was signed.
        """
        try:
            return _decode_json(self.payload)
        except (ValueError, RecursionError, ArithmeticError):
            # msgspec's own errors are ValueErrors, as is the one about UTF-8.
            raise WebhookVerificationError("the payload is signed but is not JSON") from None


class WebhookVerifier:
    """Verifies deliveries of one sender.

    Args:
        secrets: The signing secret, or several while one replaces another: any of them will do. A text is
            decoded as the scheme says, bytes are the key itself.
        scheme: How the sender signs.
        seen: Asked with the id of a delivery that is good otherwise; True refuses it as a repetition. It is
            to remember the id in the same step, so that two at once are not both new. An async function
            needs `await verify_async(...)`.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: A secret is missing, empty, or not written as the scheme says; or `seen` is given
            and the scheme has no id.
    """

    def __init__(
        self,
        secrets: str | bytes | Sequence[str | bytes],
        scheme: Scheme,
        *,
        seen: Callable[[str], bool | Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.scheme = scheme
        self._keys: tuple[bytes, ...] = ()
        keys = _keys(secrets, scheme)
        # No traceback that shows local variables is to show a secret.
        del secrets
        if isinstance(keys, str):
            raise ConfigurationError(keys)
        if seen is not None and scheme.id_header is None and scheme.id_key is None:
            raise ConfigurationError("seen: the scheme has neither id_header nor id_key to ask it about")
        self._keys = keys
        self._seen = seen
        self._clock = clock
        # The literal texts around the placeholders, alternating with the names of these.
        self._signed = _PLACEHOLDER.split(scheme.signed)

    def __repr__(self) -> str:
        return f"<WebhookVerifier {self.scheme.signature_header}, {len(self._keys)} secrets>"

    def verify(self, body: bytes | bytearray | memoryview, headers: Mapping[str, str]) -> WebhookEvent:
        """Check a delivery and give what it holds.

        Args:
            body: The request's body as it arrived, byte for byte.
            headers: The request's headers, in any spelling.

        Raises:
            WebhookVerificationError: The delivery is not to be trusted, for whatever reason.
            TypeError: `body` is no bytes or `headers` no mapping, which is the caller's mistake.
        """
        if _is_async(self._seen):
            raise TypeError("seen is an async function; use await verifier.verify_async(body, headers)")
        event = self._verified(body, headers)
        if (seen := self._asked(event.id)) is not None:
            if inspect.isawaitable(seen):
                if inspect.iscoroutine(seen):
                    seen.close()
                raise TypeError("seen returned an awaitable; use await verifier.verify_async(body, headers)")
            _refuse_repetition(seen)
        return event

    async def verify_async(
        self, body: bytes | bytearray | memoryview, headers: Mapping[str, str]
    ) -> WebhookEvent:
        """Check a delivery as `verify` does; `seen` may be an async function.

        Raises:
            WebhookVerificationError: The delivery is not to be trusted, for whatever reason.
            TypeError: `body` is no bytes or `headers` no mapping, which is the caller's mistake.
        """
        event = self._verified(body, headers)
        if (seen := self._asked(event.id)) is not None:
            _refuse_repetition(await seen if inspect.isawaitable(seen) else seen)
        return event

    def _verified(self, body: object, headers: Mapping[str, str]) -> WebhookEvent:
        payload = _raw(body)
        found = _Headers(headers)
        scheme = self.scheme
        parts = found.required(scheme.signature_header).split(scheme.separator)
        event_id = "" if scheme.id_header is None else self._checked_id(found.required(scheme.id_header))
        stamp = self._timestamp(found, parts)
        sent = self._epoch_seconds(stamp) if "timestamp" in self._signed[1::2] else None
        signatures = [part.removeprefix(scheme.prefix) for part in parts if part.startswith(scheme.prefix)]
        if not self._is_signed(payload, event_id, stamp, signatures):
            raise WebhookVerificationError(
                "no signature matches: check the secret, and that the body is the raw bytes as they arrived"
            )
        if sent is not None:
            self._check_age(sent)
        return WebhookEvent(
            id=event_id or self._id_within(payload),
            timestamp=None if sent is None else int(sent),
            payload=payload,
        )

    def _timestamp(self, headers: "_Headers", parts: Sequence[str]) -> str:
        scheme = self.scheme
        if scheme.timestamp_header is not None:
            text = headers.required(scheme.timestamp_header)
        elif scheme.timestamp_prefix is not None:
            prefix = scheme.timestamp_prefix
            stamps = [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]
            if len(stamps) != 1:
                raise WebhookVerificationError(f"{scheme.signature_header} does not hold one timestamp")
            text = stamps[0]
        else:
            return ""
        return text

    def _epoch_seconds(self, text: str) -> float:
        """Convert the time of sending, which is signed as it was sent."""
        written = self.scheme.timestamp_format
        if written == "iso":
            with contextlib.suppress(ValueError, OverflowError):
                if _ISO_TIMESTAMP.fullmatch(text):
                    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
            raise WebhookVerificationError("the timestamp is not an ISO 8601 time with an offset")
        # int() takes spaces, signs, underscores and the digits of any script; a timestamp has none of them.
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIMESTAMP[written]):
            raise WebhookVerificationError(f"the timestamp is not a whole number of epoch {written}")
        return int(text) / 1000 if written == "milliseconds" else int(text)

    def _checked_id(self, text: str) -> str:
        follows = self._signed[self._signed.index("id") + 1] if "id" in self._signed[1::2] else ""
        # With the separator inside it, one signed text could be read as two different deliveries.
        if not _is_plain(text) or (follows and follows in text):
            raise WebhookVerificationError("the delivery's id is malformed")
        return text

    def _is_signed(self, payload: bytes, event_id: str, stamp: str, signatures: Sequence[str]) -> bool:
        values = {"id": event_id.encode(), "timestamp": stamp.encode(), "body": payload}
        message = b"".join(
            values[text] if place % 2 else text.encode() for place, text in enumerate(self._signed)
        )
        if len(signatures) > _MOST_SIGNATURES:
            return False
        is_hex = self.scheme.encoding == "hex"
        candidates = [(text.lower() if is_hex else text).encode("utf-8", "replace") for text in signatures]
        found = False
        for key in self._keys:
            made = hmac.digest(key, message, self.scheme.digest)
            written = binascii.hexlify(made) if is_hex else base64.b64encode(made)
            # Every pair is compared, in constant time, so that the time tells nothing of which matched.
            for candidate in candidates:
                found |= hmac.compare_digest(written, candidate)
        return found

    def _check_age(self, sent: float) -> None:
        age = self._clock() - sent
        if age > self.scheme.tolerance:
            raise WebhookVerificationError("the delivery is too old: check the clock, or it was sent again")
        if -age > self.scheme.future_tolerance:
            raise WebhookVerificationError("the delivery is dated in the future: check the clock")

    def _id_within(self, payload: bytes) -> str:
        if self.scheme.id_key is None:
            return ""
        try:
            decoded: object = _decode_json(payload)
        except (ValueError, RecursionError, ArithmeticError):
            return ""
        found = (
            cast("dict[str, object]", decoded).get(self.scheme.id_key) if isinstance(decoded, dict) else None
        )
        return found if isinstance(found, str) and _is_plain(found) else ""

    def _asked(self, event_id: str) -> bool | Awaitable[bool] | None:
        if self._seen is None:
            return None
        if not event_id:
            raise WebhookVerificationError("the delivery has no id, so whether it is new cannot be told")
        return self._seen(event_id)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def _refuse_repetition(seen: object) -> None:
    if seen:
        raise WebhookVerificationError("the delivery was seen before")


class _Headers:
    """The headers of one delivery, by their lower-case names."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        # Not every framework's headers are a Mapping by class, but all have items(), which give a repeated
        # header repeatedly, as does a plain dict with two spellings.
        items: Callable[[], Iterable[tuple[object, object]]] | None = getattr(headers, "items", None)
        if items is None:
            raise TypeError("headers: expected a mapping of names to values, such as request.headers")
        self._values: dict[str, list[str]] = {}
        for name, value in items():
            self._values.setdefault(_text(name).lower(), []).append(_text(value))

    def required(self, name: str) -> str:
        values = self._values.get(name.lower(), [])
        if len(values) > 1:
            raise WebhookVerificationError(f"the header {name} was sent more than once")
        if not values or not values[0].strip():
            raise WebhookVerificationError(f"the header {name} is missing")
        return values[0].strip(" \t")


def _text(value: object) -> str:
    """A header's name or value; what is neither text nor bytes equals nothing that is looked for."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _raw(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(cast("bytes | bytearray | memoryview[int]", body))
    raise TypeError(
        f"body: expected the raw bytes of the request, not {type(body).__name__}. The signature is over the"
        " bytes as they arrived; text that was decoded, or JSON encoded again, is not what was signed"
    )


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable()


def _keys(secrets: str | bytes | Sequence[str | bytes], scheme: Scheme) -> tuple[bytes, ...] | str:
    """The keys of the secrets, or what is wrong with these."""
    given = [secrets] if isinstance(secrets, str | bytes) else secrets
    keys = [_key(secret, scheme) for secret in given]
    if not keys:
        return "secrets: give at least one"
    if b"" in keys:
        return "secrets: one of them is empty, and anybody could sign with that"
    good = tuple(key for key in keys if key)
    prefix = f" after {scheme.secret_prefix!r}" if scheme.secret_prefix else ""
    return good if len(good) == len(keys) else f"secrets: one of them is not {scheme.secret_encoding}{prefix}"


def _key(secret: str | bytes, scheme: Scheme) -> bytes | None:
    """The key that a secret stands for, or None when it is not written as the scheme says."""
    if isinstance(secret, bytes):
        return secret
    text = secret.strip().removeprefix(scheme.secret_prefix)
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
