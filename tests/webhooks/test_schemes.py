"""Other schemes, timestamp formats, secrets, and ``seen`` as an async function."""

import base64
import datetime as dt
import functools
import hashlib
import hmac
import traceback
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aiwyn_async.config import Secret
from aiwyn_async.errors import ConfigurationError, WebhookVerificationError
from aiwyn_async.filters import F
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme, WebhookVerifier
from webhook_deliveries import BODY, KEY, NOW, SECRET, make_verifier, never_seen, stripe


def test_scheme_may_use_a_single_header() -> None:
    ids: list[str] = []

    def seen(delivery_id: str) -> bool:
        ids.append(delivery_id)
        return False

    verifier = make_verifier("top", scheme=STRIPE_LIKE, seen=seen)
    event = verifier.verify(BODY, {"Stripe-Signature": f"{stripe()},v0=old"})
    assert (event.id, event.timestamp, ids) == ("evt_1", NOW, ["evt_1"])
    verifier.verify(BODY, {"stripe-signature": stripe().upper().replace("T=", "t=").replace("V1", "v1")})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        stripe(key=b"other"),
        stripe(at=NOW - 301),
        stripe(at=""),
        stripe().replace("v1=", "v0="),
        stripe().partition(",")[2],
        f"{stripe()},t={NOW}",
        stripe().replace(",", ", "),
    ],
)
def test_invalid_single_header_is_rejected(header: str) -> None:
    with pytest.raises(WebhookVerificationError):
        make_verifier("top", scheme=STRIPE_LIKE).verify(BODY, {"stripe-signature": header})


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id": 7}', b'{"id": ""}', b"\xff"])
def test_seen_requires_a_delivery_id(body: bytes) -> None:
    headers = {"stripe-signature": stripe(body)}
    assert make_verifier("top", scheme=STRIPE_LIKE).verify(body, headers).id == ""
    with pytest.raises(WebhookVerificationError, match="no id"):
        make_verifier("top", scheme=STRIPE_LIKE, seen=never_seen).verify(body, headers)


def test_scheme_may_sign_the_body_alone() -> None:
    plain = Scheme(
        signature_header="x-signature", signed="{body}", prefix="sha512=", encoding="hex", digest="sha512"
    )
    digest = hmac.new(b"top", BODY, hashlib.sha512).hexdigest()
    event = make_verifier("top", scheme=plain).verify(BODY, {"X-Signature": f"sha512={digest}"})
    assert (event.id, event.timestamp) == ("", None)


def test_seen_needs_a_signed_delivery_id() -> None:
    plain = Scheme(signature_header="x-signature", id_header="x-id", signed="{body}", encoding="hex")
    headers = {"x-id": "a", "x-signature": hmac.new(b"top", BODY, hashlib.sha256).hexdigest()}
    assert make_verifier("top", scheme=plain).verify(BODY, headers).id == "a"
    with pytest.raises(ConfigurationError, match="signed delivery id"):
        make_verifier("top", scheme=plain, seen=never_seen)


@pytest.mark.parametrize("signed", ["id{id}.{body}", "{id}.{body}", "{body}.{id}"])
def test_delivery_id_must_not_contain_its_separator(signed: str) -> None:
    plain = Scheme(signature_header="x-signature", id_header="x-id", signed=signed, encoding="hex")
    message = signed.format(id="a.b", body=BODY.decode()).encode()
    headers = {"x-id": "a.b", "x-signature": hmac.new(b"top", message, hashlib.sha256).hexdigest()}
    with pytest.raises(WebhookVerificationError, match="malformed"):
        make_verifier("top", scheme=plain).verify(BODY, headers)


@pytest.mark.parametrize("signed", ["a{id}.{body}", "{body}.{id}a"])
def test_text_at_an_end_of_what_is_signed_is_no_separator(signed: str) -> None:
    scheme = Scheme(signature_header="x-signature", id_header="x-id", signed=signed, encoding="hex")
    message = signed.format(id="a1", body=BODY.decode()).encode()
    headers = {"x-id": "a1", "x-signature": hmac.digest(b"top", message, "sha256").hex()}
    assert make_verifier("top", scheme=scheme).verify(BODY, headers).id == "a1"


def test_end_of_a_delivery_id_cannot_pass_as_the_start_of_its_timestamp() -> None:
    scheme = Scheme(
        signature_header="x-signature",
        id_header="x-id",
        timestamp_header="x-at",
        signed="{id}{timestamp}{body}",
    )
    digest = base64.b64encode(hmac.digest(KEY, f"msg_10{NOW}".encode() + BODY, "sha256")).decode()
    headers = {"x-id": "msg_10", "x-at": str(NOW), "x-signature": digest}
    assert make_verifier(KEY, scheme=scheme).verify(BODY, headers).id == "msg_10"
    with pytest.raises(WebhookVerificationError, match="whole number"):
        make_verifier(KEY, scheme=scheme).verify(BODY, {**headers, "x-id": "msg_1", "x-at": f"0{NOW}"})


@pytest.mark.parametrize(
    "parts",
    [
        {"signed": "{id}.{timestamp}"},
        {"signed": "{id}.{timestamp}.{body}.{body}"},
        {"signed": "{body}"},
        {"signed": "{id}.{timestmp}.{timestamp}.{body}"},
        {"signed": "{msg_id}.{id}.{timestamp}.{body}"},
        {"signed": "{}{id}.{timestamp}.{body}"},
        {"signed": "{timestamp}{id}{body}"},
        {"signed": "{body}{id}.{timestamp}"},
        {"timestamp_format": "ms"},
        {"timestamp_header": None},
        {"timestamp_prefix": "t="},
        {"id_header": None},
        {"id_key": "id"},
        {"tolerance": -1},
        {"tolerance": float("nan")},
        {"future_tolerance": float("inf")},
        {"separator": ""},
        {"signature_header": ""},
    ],
)
def test_scheme_rejects_inconsistent_fields(parts: Any) -> None:
    with pytest.raises(ConfigurationError):
        msgspec.structs.replace(STANDARD_WEBHOOKS, **parts)


@pytest.mark.parametrize("secrets", [[], "", "whsec_", "whsec_é", "whsec_*", [SECRET, "whsec_%canary%"], b""])
def test_invalid_secret_is_rejected_and_not_shown(secrets: Any) -> None:
    with pytest.raises(ConfigurationError, match="secrets") as info:
        WebhookVerifier(secrets, STANDARD_WEBHOOKS)
    error = traceback.TracebackException.from_exception(info.value, capture_locals=True)
    shown = f"{info.value} {(error.stack[-1].locals or {}).values()}"
    assert "canary" not in shown
    assert repr(KEY) not in shown
    assert SECRET not in repr(make_verifier(SECRET))


@pytest.mark.parametrize("wrong", [{"scheme": 5}, {"seen": 5}, {"clock": 5}])
def test_refused_argument_of_a_verifier_shows_no_secret(wrong: Any) -> None:
    arguments: dict[str, Any] = {"secrets": SECRET, "scheme": STANDARD_WEBHOOKS, **wrong}
    with pytest.raises(ConfigurationError) as info:
        WebhookVerifier(**arguments)
    del arguments, wrong
    frames = traceback.StackSummary.extract(traceback.walk_tb(info.tb), capture_locals=True)
    shown = str([frame.locals for frame in frames[1:]])
    assert SECRET not in shown
    assert repr(KEY) not in shown


def test_seen_requires_a_scheme_with_ids() -> None:
    plain = Scheme(signature_header="x-signature", signed="{body}")
    with pytest.raises(ConfigurationError, match="seen"):
        WebhookVerifier("top", plain, seen=never_seen)


def test_scheme_names_an_unknown_placeholder() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown placeholder \{timestmp\}"):
        msgspec.structs.replace(STANDARD_WEBHOOKS, signed="{id}.{timestmp}.{body}")


# Timestamp formats

UTC_TIME = dt.datetime.fromtimestamp(NOW, dt.UTC)


def signed_at(stamp: str, **changes: Any) -> tuple[WebhookVerifier, dict[str, str]]:
    """Return a verifier, and the headers of a delivery with this timestamp."""
    digest = hmac.digest(KEY, f"msg_1.{stamp}.".encode() + BODY, "sha256")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return make_verifier(scheme=msgspec.structs.replace(STANDARD_WEBHOOKS, **changes)), headers


@pytest.mark.parametrize(
    ("unit", "stamp"),
    [
        ("seconds", f"{NOW}"),
        ("milliseconds", f"{NOW}000"),
        ("milliseconds", f"{NOW}999"),
        ("iso", UTC_TIME.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("iso", UTC_TIME.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")),
        ("iso", UTC_TIME.isoformat()),
        ("iso", UTC_TIME.astimezone(dt.timezone(dt.timedelta(hours=-5))).isoformat(" ")),
    ],
)
def test_timestamp_is_parsed_in_the_format_of_the_scheme(unit: str, stamp: str) -> None:
    verifier, headers = signed_at(stamp, timestamp_format=unit)
    assert verifier.verify(BODY, headers).timestamp == NOW


@pytest.mark.parametrize(
    ("unit", "stamp", "message"),
    [
        ("seconds", f"{NOW}000", "whole number of epoch seconds"),
        ("milliseconds", f"{NOW}", "too old"),
        ("milliseconds", f"{NOW - 301}000", "too old"),
        ("milliseconds", f"{NOW + 301}000", "future"),
        ("milliseconds", "1" * 16, "epoch milliseconds"),
        ("milliseconds", UTC_TIME.isoformat(), "epoch milliseconds"),
        ("iso", f"{NOW}", "ISO 8601"),
        ("iso", UTC_TIME.replace(tzinfo=None).isoformat(), "offset"),
        ("iso", UTC_TIME.date().isoformat(), "ISO 8601"),
        ("iso", "2023-13-14T22:13:20Z", "ISO 8601"),
        ("iso", "0001-01-01T00:00:00+14:00", "ISO 8601"),
        ("iso", (UTC_TIME - dt.timedelta(seconds=301)).isoformat(), "too old"),
    ],
)
def test_timestamp_in_another_format_or_out_of_tolerance_is_rejected(
    unit: str, stamp: str, message: str
) -> None:
    verifier, headers = signed_at(stamp, timestamp_format=unit)
    with pytest.raises(WebhookVerificationError, match=message):
        verifier.verify(BODY, headers)


# Async seen


class AsyncStore:
    """Stores ids, as an async database would."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def __call__(self, delivery_id: str) -> bool:
        was_stored = delivery_id in self.ids
        self.ids.append(delivery_id)
        return was_stored

    async def seen(self, delivery_id: str) -> bool:
        return await self(delivery_id)


async def is_stored(store: AsyncStore, delivery_id: str) -> bool:
    return await store(delivery_id)


@pytest.mark.parametrize("form", ["object", "method", "partial", "lambda"])
async def test_async_seen_is_awaited_and_rejects_a_duplicate(form: str) -> None:
    store = AsyncStore()
    seen: Any = {
        "object": store,
        "method": store.seen,
        "partial": functools.partial(is_stored, store),
        "lambda": lambda delivery_id: is_stored(store, delivery_id),
    }[form]
    verifier = WebhookVerifier("top", STRIPE_LIKE, seen=seen, clock=lambda: float(NOW))
    headers = {"stripe-signature": stripe()}
    with pytest.raises(TypeError, match="verify_async"):
        verifier.verify(BODY, headers)
    assert store.ids == []
    with pytest.raises(WebhookVerificationError, match="signature"):
        await verifier.verify_async(BODY, {"stripe-signature": stripe(key=b"other")})
    assert store.ids == []
    assert (await verifier.verify_async(BODY, headers)).id == "evt_1"
    with pytest.raises(WebhookVerificationError, match="seen before"):
        await verifier.verify_async(BODY, headers)
    assert store.ids == ["evt_1", "evt_1"]


async def test_verify_async_accepts_a_sync_seen_or_none() -> None:
    headers = {"stripe-signature": stripe()}
    assert (await make_verifier("top", scheme=STRIPE_LIKE).verify_async(BODY, headers)).id == "evt_1"
    verifier = make_verifier("top", scheme=STRIPE_LIKE, seen=lambda _: True)
    with pytest.raises(WebhookVerificationError, match="seen before"):
        await verifier.verify_async(BODY, headers)


# Payloads


def test_event_json_decodes_fractions_as_decimals() -> None:
    body = b'{"id": "evt_1", "total": 0.10, "lines": [{"amount": 1234567890123456.78}], "n": 3, "big": 1e999}'
    event = make_verifier("top", scheme=STRIPE_LIKE).verify(body, {"stripe-signature": stripe(body)})
    data = event.json()
    assert str(data["total"]) == "0.10"
    assert data["lines"] == [{"amount": Decimal("1234567890123456.78")}]
    assert type(data["n"]) is int
    assert data["big"] == Decimal("1e999")


# Arguments of other types


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tolerance", "300"),
        ("tolerance", dt.timedelta(minutes=5)),
        ("future_tolerance", None),
        ("future_tolerance", True),
        ("encoding", "HEX"),
        ("digest", "md5"),
        ("digest", hashlib.sha256),
        ("digest", F.digest),
        ("secret_encoding", "ascii"),
        ("prefix", None),
        ("secret_prefix", b"whsec_"),
        ("separator", None),
        ("signed", 5),
        ("signature_header", b"webhook-signature"),
        ("id_header", ""),
        ("timestamp_header", ""),
    ],
)
def test_scheme_names_a_field_with_another_type_or_word(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        msgspec.structs.replace(STANDARD_WEBHOOKS, **{name: value})


@pytest.mark.parametrize(
    "secrets", [None, 5, [None], [SECRET, 5], {SECRET: 1}, [[SECRET]], memoryview(b"canary"), SECRET.split]
)
def test_secret_of_another_type_is_rejected(secrets: Any) -> None:
    with pytest.raises(ConfigurationError, match="secrets must be"):
        WebhookVerifier(secrets, STANDARD_WEBHOOKS)


@pytest.mark.parametrize("form", [Secret, lambda text: [Secret(text)], lambda text: [KEY, Secret(text)]])
def test_secret_of_a_subscription_can_be_passed_as_it_is(form: Any) -> None:
    _, headers = signed_at(str(NOW))
    verifier = WebhookVerifier(form(SECRET), STANDARD_WEBHOOKS, clock=lambda: NOW)
    assert verifier.verify(BODY, headers).id == "msg_1"


@pytest.mark.parametrize(
    "arguments", [{"seen": set[str]()}, {"seen": "ids"}, {"clock": NOW}, {"clock": AsyncStore()}]
)
def test_argument_that_cannot_be_called_is_rejected_when_the_verifier_is_made(arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        WebhookVerifier(SECRET, STANDARD_WEBHOOKS, **arguments)


def test_scheme_of_another_type_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="scheme must be a Scheme"):
        WebhookVerifier(SECRET, "standard")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
