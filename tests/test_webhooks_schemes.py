"""Schemes other than the preset, and secrets that are none."""

import hashlib
import hmac
import traceback
from typing import Any

import msgspec
import pytest

from aiwyn_async.errors import ConfigurationError, WebhookVerificationError
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, STRIPE_LIKE, Scheme, WebhookVerifier
from deliveries import BODY, KEY, NOW, SECRET, never_seen, stripe, verifier


def test_a_scheme_with_all_in_one_header() -> None:
    known: list[str] = []

    def seen(name: str) -> bool:
        known.append(name)
        return False

    checking = verifier("top", scheme=STRIPE_LIKE, seen=seen)
    event = checking.verify(BODY, {"Stripe-Signature": f"{stripe()},v0=old"})
    assert (event.id, event.timestamp, known) == ("evt_1", NOW, ["evt_1"])
    checking.verify(BODY, {"stripe-signature": stripe().upper().replace("T=", "t=").replace("V1", "v1")})


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
def test_a_bad_single_header_is_refused(header: str) -> None:
    with pytest.raises(WebhookVerificationError):
        verifier("top", scheme=STRIPE_LIKE).verify(BODY, {"stripe-signature": header})


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id": 7}', b'{"id": ""}', b"\xff"])
def test_without_an_id_whether_it_is_new_cannot_be_told(body: bytes) -> None:
    headers = {"stripe-signature": stripe(body)}
    assert verifier("top", scheme=STRIPE_LIKE).verify(body, headers).id == ""
    with pytest.raises(WebhookVerificationError, match="no id"):
        verifier("top", scheme=STRIPE_LIKE, seen=never_seen).verify(body, headers)


def test_a_scheme_may_be_no_more_than_a_digest_of_the_body() -> None:
    plain = Scheme(
        signature_header="x-signature", signed="{body}", prefix="sha512=", encoding="hex", digest="sha512"
    )
    made = hmac.new(b"top", BODY, hashlib.sha512).hexdigest()
    event = verifier("top", scheme=plain).verify(BODY, {"X-Signature": f"sha512={made}"})
    assert (event.id, event.timestamp) == ("", None)


@pytest.mark.parametrize(
    "parts",
    [
        {"signed": "{id}.{timestamp}"},
        {"signed": "{id}.{timestamp}.{body}.{body}"},
        {"signed": "{body}"},
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
def test_a_scheme_that_means_nothing_is_refused(parts: Any) -> None:
    with pytest.raises(ConfigurationError):
        msgspec.structs.replace(STANDARD_WEBHOOKS, **parts)


@pytest.mark.parametrize("secrets", [[], "", "whsec_", "whsec_é", "whsec_*", [SECRET, "whsec_%canary%"], b""])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secrets: Any) -> None:
    with pytest.raises(ConfigurationError, match="secrets") as caught:
        WebhookVerifier(secrets, STANDARD_WEBHOOKS)
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = f"{caught.value} {(error.stack[-1].locals or {}).values()}"
    assert "canary" not in shown
    assert repr(KEY) not in shown
    assert SECRET not in repr(verifier(SECRET))


def test_a_hook_needs_a_scheme_with_ids() -> None:
    plain = Scheme(signature_header="x-signature", signed="{body}")
    with pytest.raises(ConfigurationError, match="seen"):
        WebhookVerifier("top", plain, seen=never_seen)
