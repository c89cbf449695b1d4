"""Deliveries that are to be trusted, and all those that are not."""

import base64
import datetime as dt
import hmac
import json
import pickle
import time
import traceback
from collections import UserDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError as OracleError

from aiwyn_async.errors import AiwynError, WebhookVerificationError
from aiwyn_async.sandbox import standard_webhooks
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme, WebhookEvent, WebhookVerifier
from deliveries import BODY, KEY, NOW, SECRET, never_seen, stripe, verifier

OTHER = f"whsec_{base64.b64encode(b'another key').decode()}"

Headers = dict[str, str]


def signed(body: bytes = BODY, *, secret: str = SECRET, delivery_id: str = "msg_1", at: int = NOW) -> Headers:
    """Headers by the oracle."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secret).sign(delivery_id, moment, body.decode()),
    }


def test_a_good_delivery_is_given_as_it_was_signed() -> None:
    event = verifier().verify(BODY, signed())
    assert event == WebhookEvent(id="msg_1", timestamp=NOW, payload=BODY)
    assert event.json() == {"id": "evt_1", "operation": "CREATE"}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_will_do_and_a_text_will_not(kind: Callable[[bytes], Any]) -> None:
    assert verifier().verify(kind(BODY), signed()).payload == BODY
    with pytest.raises(TypeError, match="raw bytes"):
        verifier().verify(BODY.decode(), signed())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="mapping"):
        verifier().verify(BODY, list(signed().items()))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


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
def test_headers_come_in_any_mapping_and_spelling(headers: Any) -> None:
    assert verifier().verify(BODY, headers).id == "msg_1"


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
    "timestamp in words": (BODY, altered("webhook-timestamp", "now")),
    "timestamp with decimals": (BODY, altered("webhook-timestamp", f"{NOW}.0")),
    "negative timestamp": (BODY, altered("webhook-timestamp", "-1")),
    "timestamp with underscores": (BODY, altered("webhook-timestamp", "1_700_000_000")),
    "timestamp in other digits": (BODY, altered("webhook-timestamp", "\u0661\u0667" + "\u0660" * 8)),
    "not a number": (BODY, altered("webhook-timestamp", "nan")),
    "endless timestamp": (BODY, altered("webhook-timestamp", "9" * 5000)),
    "too old": (BODY, signed(at=NOW - 301)),
    "too new": (BODY, signed(at=NOW + 301)),
    "of year 0": (BODY, signed(at=0)),
    "another secret": (BODY, signed(secret=OTHER)),
    "another version": (BODY, altered("webhook-signature", GOOD.replace("v1,", "v2,"))),
    "no version": (BODY, altered("webhook-signature", GOOD.removeprefix("v1,"))),
    "only a version": (BODY, altered("webhook-signature", "v1,")),
    "two commas": (BODY, altered("webhook-signature", f"{GOOD},v1")),
    "no comma": (BODY, altered("webhook-signature", "nonsense")),
    "not base64": (BODY, altered("webhook-signature", "v1,*")),
    "signature beyond ASCII": (BODY, altered("webhook-signature", "v1,é\ud800")),
    "cut short": (BODY, altered("webhook-signature", GOOD[:-4])),
    "another writing of the same bytes": (BODY, altered("webhook-signature", GOOD.rstrip("="))),
    "too many signatures": (BODY, altered("webhook-signature", "v1,a " * 40 + GOOD)),
    "in hex": (BODY, altered("webhook-signature", f"v1,{base64.b64decode(GOOD[3:]).hex()}")),
    "JSON encoded again": (json.dumps(json.loads(BODY), separators=(",", ":")).encode(), signed()),
    "another body": (BODY + b" ", signed()),
    "no body": (b"", signed()),
    "body that is no UTF-8": (b"\xff\xfe", signed()),
    "two spellings": (BODY, {**signed(), "Webhook-Id": "msg_1"}),
    "sent twice": (BODY, CIMultiDict([*signed().items(), ("webhook-signature", GOOD)])),
    "a list of values": (BODY, {**signed(), "webhook-id": ["msg_1"]}),
    "no text": (BODY, {**signed(), "webhook-id": 1, None: None}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_delivery_is_refused_in_one_way(name: str) -> None:
    body, headers = BAD[name]
    with pytest.raises(WebhookVerificationError) as caught:
        verifier().verify(body, headers)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert caught.value.__cause__ is None
    for secret in (SECRET, SECRET.removeprefix("whsec_"), repr(KEY)):
        assert secret not in told
    expected = base64.b64encode(
        hmac.digest(
            KEY, f"msg_1.{headers.get('webhook-timestamp')}.".encode("utf-8", "replace") + body, "sha256"
        )
    ).decode()
    assert expected not in str(caught.value)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), AiwynError)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_both_ends_of_the_tolerance_are_within(age: int) -> None:
    assert verifier().verify(BODY, signed(at=NOW - age)).timestamp == NOW - age


def test_the_tolerance_is_the_schemes() -> None:
    strict = msgspec.structs.replace(STANDARD_WEBHOOKS, tolerance=5, future_tolerance=0)
    verifier(scheme=strict).verify(BODY, signed(at=NOW - 5))
    for at in (NOW - 6, NOW + 1):
        with pytest.raises(WebhookVerificationError, match="clock"):
            verifier(scheme=strict).verify(BODY, signed(at=at))


def test_any_of_several_secrets_and_any_of_several_signatures_will_do() -> None:
    both = {**signed(), "webhook-signature": f"{signed(secret=OTHER)['webhook-signature']} v1a,x {GOOD}"}
    verifier(SECRET).verify(BODY, both)
    verifier(OTHER).verify(BODY, both)
    verifier(OTHER, SECRET).verify(BODY, signed())
    verifier(KEY).verify(BODY, signed())
    verifier(SECRET.rstrip("=").removeprefix("whsec_") + "\n").verify(BODY, signed())


def test_a_repetition_is_refused_and_a_forgery_is_not_remembered() -> None:
    known: set[str] = set()

    def seen(delivery_id: str) -> bool:
        if delivery_id in known:
            return True
        known.add(delivery_id)
        return False

    checking = verifier(seen=seen)
    for body, headers in BAD.values():
        with pytest.raises(WebhookVerificationError):
            checking.verify(body, headers)
    assert not known
    checking.verify(BODY, signed())
    assert known == {"msg_1"}
    with pytest.raises(WebhookVerificationError, match="seen before"):
        checking.verify(BODY, signed())


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 100_000])
def test_a_signed_payload_that_is_no_json_raises_the_same_error(payload: bytes) -> None:
    headers = standard_webhooks(SECRET, "msg_1", NOW, payload)
    event = verifier().verify(payload, headers)
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
def test_nothing_sent_raises_anything_else(headers: Any, body: bytes, scheme: Scheme) -> None:
    checking = verifier(scheme=scheme, seen=never_seen)
    try:
        event = checking.verify(body, headers)
    except WebhookVerificationError:
        return
    # Only what was really signed comes through.
    assert event.payload == body == BODY


@given(
    body=st.binary(),
    delivery_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\Z"),
    at=st.integers(NOW - 300, NOW + 300),
)
def test_what_is_signed_is_verified_and_nothing_else_is(body: bytes, delivery_id: str, at: int) -> None:
    headers = dict(standard_webhooks(SECRET, delivery_id, at, body))
    event = verifier().verify(body, headers)
    assert (event.id, event.timestamp, event.payload) == (delivery_id, at, body)
    for spoiled in (
        {**headers, "webhook-id": f"{delivery_id}x"},
        {**headers, "webhook-timestamp": str(at + 1 if at < NOW else at - 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            verifier().verify(body, spoiled)
    with pytest.raises(WebhookVerificationError):
        verifier().verify(body + b"\0", headers)


@given(body=st.text(), delivery_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\Z"), key=st.binary(min_size=1))
def test_the_oracle_agrees_both_ways(body: str, delivery_id: str, key: bytes) -> None:
    """What it signs we take, and what is signed for us it takes."""
    secret, raw = f"whsec_{base64.b64encode(key).decode()}", body.encode("utf-8", "surrogatepass")
    now = int(time.time())
    ours = standard_webhooks(secret, delivery_id, now, raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    theirs = signed(raw, secret=secret, delivery_id=delivery_id, at=now)
    assert theirs == ours
    checking = WebhookVerifier(secret, STANDARD_WEBHOOKS)
    assert checking.verify(raw, theirs).payload == raw
    Webhook(secret).verify(text, dict(ours), json_parse=False)


@pytest.mark.parametrize("name", sorted(BAD.keys() - {"id with the separator", "long id", "id beyond ASCII"}))
def test_the_oracle_takes_nothing_that_we_refuse_but_laxer_writings(name: str) -> None:
    """It raises several errors where we raise one, and takes a few writings that we do not."""
    body, headers = BAD[name]
    lax = {
        "id with a line break",
        "timestamp with decimals",
        "timestamp with underscores",
        "timestamp in other digits",
        "too many signatures",
        "two spellings",
        "sent twice",
    }
    shift = int(time.time()) - NOW
    if name in lax or shift < 0:
        return
    text = {str(key): value for key, value in headers.items()}
    with pytest.raises((OracleError, ValueError, AttributeError, TypeError)):
        Webhook(SECRET).verify(body, text)
