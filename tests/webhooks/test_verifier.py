"""``WebhookVerifier`` accepts valid deliveries, and rejects all others with one error."""

import base64
import datetime as dt
import hmac
import json
import pickle
import time
import traceback
from collections import UserDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError as StandardWebhooksError

from aiwyn_async.errors import AiwynError, WebhookVerificationError
from aiwyn_async.sandbox import standard_webhooks
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme, WebhookEvent, WebhookVerifier
from webhook_deliveries import BODY, KEY, NOW, SECRET, make_verifier, never_seen, stripe

OTHER = f"whsec_{base64.b64encode(b'another key').decode()}"

Headers = dict[str, str]


def signed(body: bytes = BODY, *, secret: str = SECRET, delivery_id: str = "msg_1", at: int = NOW) -> Headers:
    """Return headers signed by the ``standardwebhooks`` package."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secret).sign(delivery_id, moment, body.decode()),
    }


def test_verify_returns_the_signed_event() -> None:
    event = make_verifier().verify(BODY, signed())
    assert event == WebhookEvent(id="msg_1", timestamp=NOW, payload=BODY)
    assert event.json() == {"id": "evt_1", "operation": "CREATE"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_payload_may_be_in_another_unicode_encoding(encoding: str) -> None:
    body = '{"id":"evt_1","name":"\u00e9","amount":1.10}'.encode(encoding)
    scheme = Scheme(signature_header="x-signature", signed="{body}", encoding="hex", id_key="id")
    verifier = WebhookVerifier(KEY, scheme, seen=never_seen)
    event = verifier.verify(body, {"x-signature": hmac.digest(KEY, body, "sha256").hex()})
    assert (event.id, event.payload) == ("evt_1", body)
    assert event.json() == {"id": "evt_1", "name": "\u00e9", "amount": Decimal("1.10")}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_verify_accepts_any_bytes_but_not_text(kind: Callable[[bytes], Any]) -> None:
    assert make_verifier().verify(kind(BODY), signed()).payload == BODY
    with pytest.raises(TypeError, match="raw bytes"):
        make_verifier().verify(BODY.decode(), signed())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="mapping"):
        make_verifier().verify(BODY, list(signed().items()))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "headers",
    [
        signed(),
        {name.title(): value for name, value in signed().items()},
        {name.upper(): value for name, value in signed().items()},
        {name: f" {value}\t" for name, value in signed().items()},
        CIMultiDict(signed()),
        UserDict(signed()),
        {name.encode(): value.encode() for name, value in signed().items()},
        {**signed(), "x-other": "é", "webhook": ""},
    ],
)
def test_verify_accepts_headers_in_any_mapping_and_case(headers: Any) -> None:
    assert make_verifier().verify(BODY, headers).id == "msg_1"


def without(name: str) -> Headers:
    return {key: value for key, value in signed().items() if key != name}


def altered(name: str, value: str) -> Headers:
    return {**signed(), name: value}


GOOD = signed()["webhook-signature"]
BAD: dict[str, tuple[bytes, Mapping[Any, Any]]] = {
    "no headers": (BODY, {}),
    "no id": (BODY, without("webhook-id")),
    "no timestamp": (BODY, without("webhook-timestamp")),
    "no signature": (BODY, without("webhook-signature")),
    "empty id": (BODY, altered("webhook-id", "")),
    "blank signature": (BODY, altered("webhook-signature", " ")),
    "another id": (BODY, altered("webhook-id", "msg_2")),
    "id with the separator": (BODY, signed(delivery_id="msg.1")),
    "long id": (BODY, signed(delivery_id="m" * 257)),
    "id beyond ASCII": (BODY, signed(delivery_id="msg_é")),
    "id with a line break": (BODY, signed(delivery_id="msg_\n1")),
    "lone surrogate": (BODY, altered("webhook-id", "\ud800")),
    "another timestamp": (BODY, altered("webhook-timestamp", str(NOW + 1))),
    "timestamp as a word": (BODY, altered("webhook-timestamp", "now")),
    "timestamp with decimals": (BODY, altered("webhook-timestamp", f"{NOW}.0")),
    "negative timestamp": (BODY, altered("webhook-timestamp", "-1")),
    "timestamp with underscores": (BODY, altered("webhook-timestamp", "1_700_000_000")),
    "timestamp in other digits": (BODY, altered("webhook-timestamp", "\u0661\u0667" + "\u0660" * 8)),
    "not a number": (BODY, altered("webhook-timestamp", "nan")),
    "timestamp of 5000 digits": (BODY, altered("webhook-timestamp", "9" * 5000)),
    "too old": (BODY, signed(at=NOW - 301)),
    "too new": (BODY, signed(at=NOW + 301)),
    "epoch 0": (BODY, signed(at=0)),
    "another secret": (BODY, signed(secret=OTHER)),
    "another version": (BODY, altered("webhook-signature", GOOD.replace("v1,", "v2,"))),
    "no version": (BODY, altered("webhook-signature", GOOD.removeprefix("v1,"))),
    "only a version": (BODY, altered("webhook-signature", "v1,")),
    "two commas": (BODY, altered("webhook-signature", f"{GOOD},v1")),
    "no comma": (BODY, altered("webhook-signature", "nonsense")),
    "not base64": (BODY, altered("webhook-signature", "v1,*")),
    "signature beyond ASCII": (BODY, altered("webhook-signature", "v1,é\ud800")),
    "truncated signature": (BODY, altered("webhook-signature", GOOD[:-4])),
    "the same bytes without padding": (BODY, altered("webhook-signature", GOOD.rstrip("="))),
    "too many signatures": (BODY, altered("webhook-signature", "v1,a " * 40 + GOOD)),
    "signature in hex": (BODY, altered("webhook-signature", f"v1,{base64.b64decode(GOOD[3:]).hex()}")),
    "JSON encoded again": (json.dumps(json.loads(BODY), separators=(",", ":")).encode(), signed()),
    "another body": (BODY + b" ", signed()),
    "no body": (b"", signed()),
    "body that is not UTF-8": (b"\xff\xfe", signed()),
    "two spellings": (BODY, {**signed(), "Webhook-Id": "msg_1"}),
    "header sent twice": (BODY, CIMultiDict([*signed().items(), ("webhook-signature", GOOD)])),
    "a list of values": (BODY, {**signed(), "webhook-id": ["msg_1"]}),
    "neither str nor bytes": (BODY, {**signed(), "webhook-id": 1, None: None}),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_delivery_raises_one_error_without_secrets(name: str) -> None:
    body, headers = BAD[name]
    with pytest.raises(WebhookVerificationError) as info:
        make_verifier().verify(body, headers)
    text = "".join(traceback.TracebackException.from_exception(info.value, capture_locals=True).format())
    assert info.value.__cause__ is None
    for secret in (SECRET, SECRET.removeprefix("whsec_"), repr(KEY)):
        assert secret not in text
    expected = base64.b64encode(
        hmac.digest(
            KEY, f"msg_1.{headers.get('webhook-timestamp')}.".encode("utf-8", "replace") + body, "sha256"
        )
    ).decode()
    assert expected not in str(info.value)
    assert isinstance(pickle.loads(pickle.dumps(info.value)), AiwynError)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_tolerance_includes_both_ends(age: int) -> None:
    assert make_verifier().verify(BODY, signed(at=NOW - age)).timestamp == NOW - age


def test_tolerance_is_set_by_the_scheme() -> None:
    strict = msgspec.structs.replace(STANDARD_WEBHOOKS, tolerance=5, future_tolerance=0)
    make_verifier(scheme=strict).verify(BODY, signed(at=NOW - 5))
    for at in (NOW - 6, NOW + 1):
        with pytest.raises(WebhookVerificationError, match="clock"):
            make_verifier(scheme=strict).verify(BODY, signed(at=at))


def test_verify_accepts_any_secret_and_any_signature() -> None:
    both = {**signed(), "webhook-signature": f"{signed(secret=OTHER)['webhook-signature']} v1a,x {GOOD}"}
    make_verifier(SECRET).verify(BODY, both)
    make_verifier(OTHER).verify(BODY, both)
    make_verifier(OTHER, SECRET).verify(BODY, signed())
    make_verifier(KEY).verify(BODY, signed())
    make_verifier(SECRET.rstrip("=").removeprefix("whsec_") + "\n").verify(BODY, signed())


def test_duplicate_is_rejected_and_a_forgery_not_stored() -> None:
    stored: set[str] = set()

    def seen(delivery_id: str) -> bool:
        if delivery_id in stored:
            return True
        stored.add(delivery_id)
        return False

    verifier = make_verifier(seen=seen)
    for body, headers in BAD.values():
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body, headers)
    assert not stored
    verifier.verify(BODY, signed())
    assert stored == {"msg_1"}
    with pytest.raises(WebhookVerificationError, match="seen before"):
        verifier.verify(BODY, signed())


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b'"\\ud8"', b"[" * 100_000])
def test_event_json_raises_if_the_payload_is_not_json(payload: bytes) -> None:
    headers = standard_webhooks(SECRET, "msg_1", NOW, payload)
    event = make_verifier().verify(payload, headers)
    assert event.payload == payload
    with pytest.raises(WebhookVerificationError, match="not JSON"):
        event.json()


HEADER_NAMES = st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "stripe-signature"])
HEADER_VALUES = st.one_of(
    st.text(),
    st.binary(),
    st.none(),
    st.sampled_from([*signed().values(), stripe(), f"t={NOW}", "v1,", "v1=", f"{NOW}" * 3]),
    st.lists(st.sampled_from(["v1,", "v1=", "t=", " ", ",", "=", "\ud800", GOOD[3:]])).map("".join),
)


@given(
    headers=st.dictionaries(st.one_of(HEADER_NAMES, st.text(), st.binary()), HEADER_VALUES),
    body=st.one_of(st.binary(), st.just(BODY)),
    scheme=st.sampled_from([STANDARD_WEBHOOKS, STRIPE_LIKE]),
)
def test_verify_raises_no_other_error_for_any_input(headers: Any, body: bytes, scheme: Scheme) -> None:
    verifier = make_verifier(scheme=scheme, seen=never_seen)
    try:
        event = verifier.verify(body, headers)
    except WebhookVerificationError:
        return
    # Only a signed body is accepted.
    assert event.payload == body == BODY


@given(
    body=st.binary(),
    delivery_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\Z"),
    at=st.integers(NOW - 300, NOW + 300),
)
def test_verify_accepts_exactly_what_is_signed(body: bytes, delivery_id: str, at: int) -> None:
    headers = dict(standard_webhooks(SECRET, delivery_id, at, body))
    event = make_verifier().verify(body, headers)
    assert (event.id, event.timestamp, event.payload) == (delivery_id, at, body)
    for changed in (
        {**headers, "webhook-id": f"{delivery_id}x"},
        {**headers, "webhook-timestamp": str(at + 1 if at < NOW else at - 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            make_verifier().verify(body, changed)
    with pytest.raises(WebhookVerificationError):
        make_verifier().verify(body + b"\0", headers)


@given(body=st.text(), delivery_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\Z"), key=st.binary(min_size=1))
def test_standardwebhooks_agrees_both_ways(body: str, delivery_id: str, key: bytes) -> None:
    """Each verifies what the other signs."""
    secret, raw = f"whsec_{base64.b64encode(key).decode()}", body.encode("utf-8", "surrogatepass")
    now = int(time.time())
    headers = standard_webhooks(secret, delivery_id, now, raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    expected = signed(raw, secret=secret, delivery_id=delivery_id, at=now)
    assert expected == headers
    verifier = WebhookVerifier(secret, STANDARD_WEBHOOKS)
    assert verifier.verify(raw, expected).payload == raw
    Webhook(secret).verify(text, dict(headers), json_parse=False)


@pytest.mark.parametrize("name", sorted(BAD.keys() - {"id with the separator", "long id", "id beyond ASCII"}))
def test_standardwebhooks_rejects_invalid_deliveries(name: str) -> None:
    """It raises several types of errors, and accepts a few forms that the verifier rejects."""
    body, headers = BAD[name]
    accepted = {
        "id with a line break",
        "timestamp with decimals",
        "timestamp with underscores",
        "timestamp in other digits",
        "too many signatures",
        "two spellings",
        "header sent twice",
    }
    shift = int(time.time()) - NOW
    if name in accepted or shift < 0:
        return
    text = {str(key): value for key, value in headers.items()}
    with pytest.raises((StandardWebhooksError, ValueError, AttributeError, TypeError)):
        Webhook(SECRET).verify(body, text)
