"""The verifier: one delivery's headers and body, against the scheme and the keys."""

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
from typing import Any, Final, NoReturn, Self, cast

import msgspec

from aiwyn_async._core.checks import check_callback, is_async
from aiwyn_async._core.secret import without_locals
from aiwyn_async._decoding.malformed import decodable
from aiwyn_async._http.charsets import as_utf8
from aiwyn_async.errors import ConfigurationError, WebhookVerificationError
from aiwyn_async.webhooks._scheme import PLACEHOLDER, AnySecret, Scheme, decode_secrets

_ISO_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII
)
_MAX_SIGNATURES: Final = 32
"""More in one header are an attack, not a rotation of secrets."""
_MAX_ID_LENGTH: Final = 256
_MAX_TIMESTAMP_DIGITS: Final = {"seconds": 12, "milliseconds": 15}  # until the year 33658
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A verified delivery."""

    id: str
    """The delivery id, which a repeated delivery shares; empty if the scheme has none."""
    timestamp: int | None
    """The time of sending in epoch seconds; None if the scheme has none."""
    payload: bytes
    """The body as it was signed."""

    def json(self) -> Any:
        """Return the payload as JSON, with a Decimal for each number with a fraction.

        It may begin with a byte order mark, or be in UTF-16 or UTF-32. A lone surrogate becomes U+FFFD.

        Raises:
            WebhookVerificationError: The payload is not JSON, although it is signed.
        """
        return _decode_json(self.payload)


class WebhookVerifier:
    """Verifies the deliveries of one sender.

    Args:
        secrets: The signing secret, or several during a rotation: a signature by any of them is valid. A str,
            or the ``Secret`` of ``event_subscriptions.secret()``, is decoded as the scheme says; bytes are
            the key itself.
        scheme: How the sender signs.
        seen: Called with the id of a delivery that is otherwise valid; returns True to reject a duplicate. It
            must store the id in the same step, so that of two concurrent duplicates one is rejected. An async
            function needs ``await verify_async(...)``.
        clock: Returns the current time in epoch seconds.

    Raises:
        ConfigurationError: A secret is missing, empty or not encoded as the scheme says; an argument has the
            wrong type; or ``seen`` is set and the scheme has no signed id.
    """

    @without_locals
    def __init__(
        self,
        secrets: AnySecret | Sequence[AnySecret],
        scheme: Scheme,
        *,
        seen: Callable[[str], bool | Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.scheme = scheme
        if not isinstance(scheme, Scheme):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("scheme must be a Scheme")
        self._keys = decode_secrets(secrets, scheme)
        _check_seen(seen)
        check_callback("clock", clock)
        if seen is not None and scheme.id_header is None and scheme.id_key is None:
            raise ConfigurationError("seen needs a delivery id; set id_header or id_key in the scheme")
        if seen is not None and scheme.id_header is not None and "{id}" not in scheme.signed:
            raise ConfigurationError(
                "seen needs a signed delivery id, since anybody could repeat a delivery with another id in "
                "its header; set id_key if the body has an id"
            )
        self._seen = seen
        self._clock = clock
        # Literal texts at even positions, names of placeholders between them.
        self._signed_parts = PLACEHOLDER.split(scheme.signed)

    def __repr__(self) -> str:
        return f"<WebhookVerifier {self.scheme.signature_header}, {len(self._keys)} secrets>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a WebhookVerifier holds secrets and cannot be pickled; create one in the other process"
        )

    def verify(self, body: bytes | bytearray | memoryview, headers: Mapping[str, str]) -> WebhookEvent:
        """Verify a delivery and return its event.

        Args:
            body: The raw bytes of the request's body.
            headers: The request's headers; the case of their names does not matter.

        Raises:
            WebhookVerificationError: The delivery cannot be trusted, for any reason.
            TypeError: ``body`` is not bytes, ``headers`` is not a mapping, or ``seen`` is async.
        """
        if is_async(self._seen):
            raise TypeError("seen is an async function; use await verifier.verify_async(body, headers)")
        event = self._verify_signature(body, headers)
        if (seen := self._call_seen(event.id)) is not None:
            if inspect.isawaitable(seen):
                if inspect.iscoroutine(seen):
                    seen.close()
                raise TypeError("seen returned an awaitable; use await verifier.verify_async(body, headers)")
            _reject_duplicate(seen)
        return event

    async def verify_async(
        self, body: bytes | bytearray | memoryview, headers: Mapping[str, str]
    ) -> WebhookEvent:
        """Verify a delivery as ``verify`` does; ``seen`` may be an async function.

        Raises:
            WebhookVerificationError: The delivery cannot be trusted, for any reason.
            TypeError: ``body`` is not bytes, or ``headers`` is not a mapping.
        """
        event = self._verify_signature(body, headers)
        if (seen := self._call_seen(event.id)) is not None:
            _reject_duplicate(await seen if inspect.isawaitable(seen) else seen)
        return event

    def _verify_signature(self, body: object, headers: Mapping[str, str]) -> WebhookEvent:
        payload = _to_bytes(body)
        scheme = self.scheme
        parts = _require(headers, scheme.signature_header).split(scheme.separator)
        event_id = "" if scheme.id_header is None else self._check_id(_require(headers, scheme.id_header))
        timestamp = self._read_timestamp(headers, parts)
        sent_at = self._to_epoch_seconds(timestamp) if "timestamp" in self._signed_parts[1::2] else None
        signatures = [part.removeprefix(scheme.prefix) for part in parts if part.startswith(scheme.prefix)]
        if not self._is_signed(payload, event_id, timestamp, signatures):
            raise WebhookVerificationError(
                "no signature matches; check the secret, and pass the raw bytes of the body"
            )
        if sent_at is not None:
            self._check_age(sent_at)
        return WebhookEvent(
            id=event_id or self._read_id(payload),
            timestamp=None if sent_at is None else int(sent_at),
            payload=payload,
        )

    def _read_timestamp(self, headers: Mapping[str, str], parts: Sequence[str]) -> str:
        scheme = self.scheme
        if scheme.timestamp_header is not None:
            return _require(headers, scheme.timestamp_header)
        prefix = scheme.timestamp_prefix
        if prefix is None:
            return ""
        timestamps = [part.removeprefix(prefix) for part in parts if part.startswith(prefix)]
        if len(timestamps) != 1:
            raise WebhookVerificationError(
                f"the header {scheme.signature_header} must contain one timestamp, got {len(timestamps)}"
            )
        return timestamps[0]

    def _to_epoch_seconds(self, text: str) -> float:
        unit = self.scheme.timestamp_format
        if unit == "iso":
            with contextlib.suppress(ValueError, OverflowError):
                if _ISO_TIMESTAMP.fullmatch(text):
                    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
            raise WebhookVerificationError("the timestamp is not an ISO 8601 time with an offset")
        # int() also accepts spaces, signs, underscores and the digits of other scripts. A leading zero could
        # be the end of an id that is signed without a separator.
        is_number = text.isascii() and text.isdigit() and not text.startswith("0")
        if not is_number or len(text) > _MAX_TIMESTAMP_DIGITS[unit]:
            raise WebhookVerificationError(f"the timestamp is not a whole number of epoch {unit}")
        return int(text) / 1000 if unit == "milliseconds" else int(text)

    def _check_id(self, text: str) -> str:
        between = self._signed_parts[2:-1:2]
        beside = zip(self._signed_parts[1::2], ["", *between], [*between, ""], strict=True)
        separators = [part for name, *each in beside if name == "id" for part in each if part]
        # With a separator in the id, two different deliveries could have the same signed text.
        if not _is_plain(text) or any(separator in text for separator in separators):
            raise WebhookVerificationError("the delivery id is malformed")
        return text

    def _is_signed(self, payload: bytes, event_id: str, timestamp: str, signatures: Sequence[str]) -> bool:
        values = {"id": event_id.encode(), "timestamp": timestamp.encode(), "body": payload}
        message = b"".join(
            values[part] if index % 2 else part.encode() for index, part in enumerate(self._signed_parts)
        )
        if len(signatures) > _MAX_SIGNATURES:
            return False
        is_hex = self.scheme.encoding == "hex"
        candidates = [(text.lower() if is_hex else text).encode("utf-8", "replace") for text in signatures]
        matches = False
        for key in self._keys:
            digest = hmac.digest(key, message, self.scheme.digest)
            expected = binascii.hexlify(digest) if is_hex else base64.b64encode(digest)
            # Compare every pair in constant time, so that the time does not reveal which one matches.
            for candidate in candidates:
                matches |= hmac.compare_digest(expected, candidate)
        return matches

    def _check_age(self, sent_at: float) -> None:
        age = self._clock() - sent_at
        if not age <= self.scheme.tolerance:  # so that a clock that returns NaN rejects
            raise WebhookVerificationError("the delivery is too old; check the clock of this machine")
        if -age > self.scheme.future_tolerance:
            raise WebhookVerificationError(
                "the delivery is dated in the future; check the clock of this machine"
            )

    def _read_id(self, payload: bytes) -> str:
        if self.scheme.id_key is None:
            return ""
        try:
            decoded = _decode_json(payload)
        except WebhookVerificationError:
            return ""
        if not isinstance(decoded, dict):
            return ""
        value = cast("dict[str, object]", decoded).get(self.scheme.id_key)
        return value if isinstance(value, str) and _is_plain(value) else ""

    def _call_seen(self, event_id: str) -> bool | Awaitable[bool] | None:
        if self._seen is None:
            return None
        if not event_id:
            raise WebhookVerificationError("the delivery has no id, which seen requires")
        return self._seen(event_id)


def _decode_json(payload: bytes) -> object:
    try:
        return _decoder.decode(decodable(cast("bytes", as_utf8(payload, ""))))
    except (ValueError, RecursionError, ArithmeticError):
        # msgspec's own errors are ValueErrors, as is the one for invalid UTF-8.
        raise WebhookVerificationError("the signed payload is not JSON") from None


def _check_seen(function: object) -> None:
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if function is not None and (not callable(function) or is_generator):
        kind = "a generator" if is_generator else type(function).__name__
        raise ConfigurationError(f"seen must be a function that returns a bool, not {kind}")


def _reject_duplicate(seen: object) -> None:
    if seen:
        raise WebhookVerificationError("the delivery was seen before")


def _require(headers: Mapping[str, str], name: str) -> str:
    """Return the value of a header that must occur exactly once."""
    # Not every framework's headers are a Mapping, but all have items(), which repeats a repeated header,
    # as does a dict with two spellings of a name.
    items: Callable[[], Iterable[tuple[object, object]]] | None = getattr(headers, "items", None)
    if items is None:
        raise TypeError("headers: expected a mapping of names to values, such as request.headers")
    values = [_to_str(value) for key, value in items() if _to_str(key).lower() == name.lower()]
    if len(values) > 1:
        raise WebhookVerificationError(f"the header {name} occurs more than once")
    if not values or not values[0].strip():
        raise WebhookVerificationError(f"the header {name} is missing")
    return values[0].strip(" \t")


def _to_str(value: object) -> str:
    """Return a header's name or value as text; other types match nothing."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _to_bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(cast("bytes | bytearray | memoryview[int]", body))
    raise TypeError(
        f"body: expected the raw bytes of the request, got {type(body).__name__}; the signature covers the"
        " bytes as received, not decoded text or JSON that was encoded again"
    )


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= _MAX_ID_LENGTH and text.isascii() and text.isprintable()
