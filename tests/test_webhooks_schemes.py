"""Schemes other than the preset, and secrets that are none."""

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
        {"signed": "{id}.{timestmp}.{timestamp}.{body}"},
        {"signed": "{msg_id}.{id}.{timestamp}.{body}"},
        {"signed": "{}{id}.{timestamp}.{body}"},
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


def test_an_unknown_placeholder_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown placeholder \{timestmp\}"):
        msgspec.structs.replace(STANDARD_WEBHOOKS, signed="{id}.{timestmp}.{body}")


# Times in other forms

UTC_TIME = dt.datetime.fromtimestamp(NOW, dt.UTC)


def signed_at(stamp: str, **changes: Any) -> tuple[WebhookVerifier, dict[str, str]]:
    """A verifier, and the headers of a delivery whose time is written so."""
    made = hmac.digest(KEY, f"msg_1.{stamp}.".encode() + BODY, "sha256")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }
    return verifier(scheme=msgspec.structs.replace(STANDARD_WEBHOOKS, **changes)), headers


@pytest.mark.parametrize(
    ("written", "stamp"),
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
def test_a_time_is_read_as_the_scheme_writes_it(written: str, stamp: str) -> None:
    checking, headers = signed_at(stamp, timestamp_format=written)
    assert checking.verify(BODY, headers).timestamp == NOW


@pytest.mark.parametrize(
    ("written", "stamp", "said"),
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
def test_a_time_in_another_form_or_out_of_bounds_is_refused(written: str, stamp: str, said: str) -> None:
    checking, headers = signed_at(stamp, timestamp_format=written)
    with pytest.raises(WebhookVerificationError, match=said):
        checking.verify(BODY, headers)


# An async hook


class Memory:
    """Remembers ids, as an async store would."""

    def __init__(self) -> None:
        self.known: list[str] = []

    async def __call__(self, name: str) -> bool:
        was_known = name in self.known
        self.known.append(name)
        return was_known

    async def seen(self, name: str) -> bool:
        return await self(name)


async def remembers_in(memory: Memory, name: str) -> bool:
    return await memory(name)


@pytest.mark.parametrize("form", ["object", "method", "partial", "lambda"])
async def test_an_async_hook_is_awaited_and_refuses_a_repetition(form: str) -> None:
    memory = Memory()
    seen: Any = {
        "object": memory,
        "method": memory.seen,
        "partial": functools.partial(remembers_in, memory),
        "lambda": lambda name: remembers_in(memory, name),
    }[form]
    checking = WebhookVerifier("top", STRIPE_LIKE, seen=seen, clock=lambda: float(NOW))
    headers = {"stripe-signature": stripe()}
    with pytest.raises(TypeError, match="verify_async"):
        checking.verify(BODY, headers)
    assert memory.known == []
    with pytest.raises(WebhookVerificationError, match="signature"):
        await checking.verify_async(BODY, {"stripe-signature": stripe(key=b"other")})
    assert memory.known == []
    assert (await checking.verify_async(BODY, headers)).id == "evt_1"
    with pytest.raises(WebhookVerificationError, match="seen before"):
        await checking.verify_async(BODY, headers)
    assert memory.known == ["evt_1", "evt_1"]


async def test_verify_async_takes_a_plain_hook_or_none() -> None:
    headers = {"stripe-signature": stripe()}
    assert (await verifier("top", scheme=STRIPE_LIKE).verify_async(BODY, headers)).id == "evt_1"
    checking = verifier("top", scheme=STRIPE_LIKE, seen=lambda _: True)
    with pytest.raises(WebhookVerificationError, match="seen before"):
        await checking.verify_async(BODY, headers)


# Numbers of a payload


def test_numbers_with_a_fraction_are_decimals() -> None:
    body = b'{"id": "evt_1", "total": 0.10, "lines": [{"amount": 1234567890123456.78}], "n": 3, "big": 1e999}'
    event = verifier("top", scheme=STRIPE_LIKE).verify(body, {"stripe-signature": stripe(body)})
    data = event.json()
    assert str(data["total"]) == "0.10"
    assert data["lines"] == [{"amount": Decimal("1234567890123456.78")}]
    assert type(data["n"]) is int
    assert data["big"] == Decimal("1e999")
