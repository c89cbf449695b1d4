"""Mutated texts of servers, senders and files raise only documented errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
from encodings.aliases import aliases
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, CheckpointError, ExportError
from aiwyn_async._core.secret import Secret
from aiwyn_async._http.charsets import UnknownCharsetError, as_utf8
from aiwyn_async._http.retry_after import RESET_HEADERS, SANE_RETRY_AFTER, asks_to_come_back, requested_wait
from aiwyn_async._http.token_responses import lifetime_of, token_in
from aiwyn_async.errors import WebhookVerificationError
from aiwyn_async.export import export
from aiwyn_async.export._manifest import Manifest, write_manifest
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync._skipped_rows import SkippedRows
from aiwyn_async.webhooks import STRIPE_LIKE, Scheme
from mutated import EXAMPLES, as_bytes, mutated
from webhook_deliveries import BODY, NOW, make_verifier, stripe

MANY = settings(
    max_examples=EXAMPLES, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def finished_export(folder: Path) -> tuple[Path, str]:
    """Export a few rows; return the file, and the text of its manifest."""
    target = folder / "x.jsonl"
    async with Sandbox(invoices=5) as box, AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        await export(aiwyn.invoices.list(), target)
    return target, (folder / ".x.jsonl.done").read_text()


@pytest.mark.parametrize("is_checked", [False, True])
def test_mutated_done_file_is_refused_or_resumed_without_a_request(tmp_path: Path, is_checked: bool) -> None:
    """With a check value that was computed again, the content is read too."""
    target, text = asyncio.run(finished_export(tmp_path))
    done = tmp_path / ".x.jsonl.done"
    server = json.loads(text)["server"]

    @MANY
    @given(mutated(text))
    def resume(changed: str) -> None:
        done.write_bytes(as_bytes(changed))
        with contextlib.suppress(ValueError, RecursionError):
            if is_checked:
                write_manifest(done, msgspec.json.decode(done.read_bytes(), type=Manifest))

        async def run() -> None:
            # No server listens there any more, so a request would raise another error.
            async with AiwynClient(base_url=server, api_key="k", retries=0) as aiwyn:
                result = await export(aiwyn.invoices.list(), target, resume=True)
            assert result.rows == 5

        with contextlib.suppress(ExportError):
            asyncio.run(run())

    resume()


@MANY
@given(mutated('{"version":1,"keys":[1,"a"],"without_key":2,"check":"0"}'))
def test_mutated_state_of_a_sync_raises_only_checkpoint_errors(text: str) -> None:
    with contextlib.suppress(CheckpointError):
        SkippedRows("id", text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NUMBERS = st.sampled_from(
    ["-1", "0", "1e308", "-1e308", "1e400", "9" * 400, "-" + "9" * 5000, "1E+999999", "NaN", "Infinity"]
)
NUMBER_TEXTS = JSON.map(json.dumps) | NUMBERS | NUMBERS.map(json.dumps)


@MANY
@given(st.sampled_from(["expiresIn", "expires_in"]), NUMBER_TEXTS, st.sampled_from(['"t"', "null", "[]"]))
def test_token_response_with_any_lifetime_has_a_finite_one(name: str, value: str, token: str) -> None:
    for body in (f'{{"token":{token},"{name}":{value}}}', f'{{"{name}":{value},"data":{{"token":{token}}}}}'):
        parsed = token_in(body.encode("utf-8", "surrogatepass"), None)
        assert math.isfinite(lifetime_of(Secret("opaque"), NOW, None, parsed.lifetime))


@MANY
@given(NUMBER_TEXTS, NUMBER_TEXTS, st.none() | st.just("Sun, 06 Nov 1994 08:49:37 GMT") | st.text())
def test_token_with_any_claims_has_a_finite_lifetime(exp: str, iat: str, date: str | None) -> None:
    claims = f'{{"exp":{exp},"iat":{iat}}}'.encode("utf-8", "surrogatepass")
    token = Secret(f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x")
    assert math.isfinite(lifetime_of(token, NOW, date))


WAITS = ["120", "1.5", "1750000030000", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"]


@MANY
@given(
    st.sampled_from(["Retry-After", "retry-after-ms", *RESET_HEADERS]),
    st.sampled_from(WAITS).flatmap(mutated),
    st.sampled_from(WAITS).flatmap(mutated),
)
def test_mutated_wait_is_a_bounded_wait_or_none(name: str, text: str, date: str) -> None:
    headers = {name: text, "Date": date}
    asks_to_come_back(headers)
    seconds = requested_wait(429, headers, NOW)
    assert seconds is None or 0 <= seconds <= SANE_RETRY_AFTER


CODECS = sorted({*aliases, *aliases.values(), "idna", "punycode", "undefined", "unicode_escape", "rot13"})


@MANY
@given(
    st.binary(max_size=60) | st.sampled_from(CODECS).map(lambda name: f'{{"a":"{name}"}}'.encode()),
    st.sampled_from(CODECS) | st.sampled_from(CODECS).flatmap(mutated),
    st.sampled_from(["; charset={}", ';charset="{}"', "; charset = '{}' ; x", ";" * 9000 + "charset={}"]),
)
def test_body_in_any_charset_is_decoded_or_refused(body: bytes, charset: str, parameter: str) -> None:
    content_type = "application/json" + parameter.format(charset)
    for errors in ("strict", "replace"):
        with contextlib.suppress(UnknownCharsetError, UnicodeError):
            assert isinstance(as_utf8(body, content_type, errors), bytes)


SCHEMES: list[tuple[Scheme, str]] = [
    (STRIPE_LIKE, stripe()),
    (msgspec.structs.replace(STRIPE_LIKE, timestamp_format="milliseconds"), f"t={NOW}000,v1=00"),
    (msgspec.structs.replace(STRIPE_LIKE, timestamp_format="iso"), "t=2025-06-15T15:00:00.5+02:00,v1=00"),
]


@MANY
@given(st.sampled_from(SCHEMES).flatmap(lambda each: st.tuples(st.just(each[0]), mutated(each[1]))))
def test_mutated_signature_header_raises_only_verification_errors(delivery: tuple[Scheme, str]) -> None:
    scheme, header = delivery
    with contextlib.suppress(WebhookVerificationError):
        make_verifier(scheme=scheme).verify(BODY, {scheme.signature_header: header})
