"""A credential that a server repeats is masked, in whatever form and wherever it is."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Request
from aiwyn_async._http.redaction import masked
from aiwyn_async.config import Secret, secrets_in, secrets_in_url
from aiwyn_async.errors import DecodeError, RequestError, StatusError, TokenExchangeError
from fault_server import READ, FaultServer, http_response, send
from secrecy import assert_no_secret, chain_of

Connect = Callable[..., AiwynClient]

TOKEN = "canary/0123+456789_abcdefgh-ijklmnop.qrstuv=="


def in_lines(text: str, end: str = "\n") -> str:
    return end.join(text[start : start + 20] for start in range(0, len(text), 20))


FORMS: dict[str, Callable[[str], str]] = {
    "itself": str,
    "upper case": str.upper,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every character percent-encoded": lambda text: "".join(f"%{ord(letter):02x}" for letter in text),
    "over lines": in_lines,
    "over header lines": lambda text: in_lines(text, "\r\n\t"),
    "quoted-printable": lambda text: in_lines(text, "=\r\n"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"token": in_lines(text)})).replace("/", "\\/"),
    "unicode escapes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "HTML": lambda text: html.escape(text).replace("=", "&#61;").replace("+", "&#x2b;"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a pair": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"a{text}zz".encode()).decode(),
    "base64 over lines": lambda text: base64.encodebytes(f"Bearer {text}, and more".encode()).decode(),
    "hexadecimal": lambda text: f"0x{text.encode().hex()}",
    "hexadecimal in capitals": lambda text: f"Bearer {text}".encode().hex().upper(),
    "broken at zero-width spaces": lambda text: in_lines(text, "\u200b"),
    "truncated": lambda text: text[:-8] + "...",
}


@pytest.mark.parametrize("form", FORMS)
def test_credential_is_masked_in_every_form(form: str) -> None:
    shown = str(masked(f"no {FORMS[form](TOKEN)}. Try again", [Secret(TOKEN)]))
    assert shown.startswith("no ")
    assert shown.endswith(". Try again")
    assert "***" in shown
    for part in (TOKEN[9:30], FORMS[form](TOKEN)[9:30]):
        assert part.lower() not in shown.lower()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["100% ", "%2 ", "&# ", "&#x ", "\\u00 "])
def test_credential_is_masked_behind_the_start_of_an_escape(before: str, form: str) -> None:
    """Without the space, both would be one escape, and the credential would lack its first characters."""
    repeated = FORMS[form](TOKEN)
    assert repeated[9:30] not in masked(f"{before}{repeated}", [Secret(TOKEN)])


@given(st.text(), st.text(), st.sampled_from(sorted(FORMS)))
def test_credential_is_masked_between_any_texts(before: str, after: str, form: str) -> None:
    repeated = FORMS[form](TOKEN)
    assert repeated[9:30] not in masked(f"{before} {repeated} {after}", [Secret(TOKEN)])


@given(
    st.text() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.floats(allow_nan=False))
)
def test_text_without_a_credential_is_unchanged(value: Any) -> None:
    assert masked(value, [Secret(TOKEN), Secret("123456789")]) == value


def test_credential_without_characters_once_unescaped_masks_nothing() -> None:
    assert masked("hello world", [Secret(r"\n\n\n"), Secret("%61%62")]) == "hello world"


def test_credential_that_contains_another_is_masked_whole() -> None:
    assert masked("xyz.abc123", [Secret("abc123"), Secret("xyz.abc123")]) == "***"


def test_words_with_a_space_between_are_no_credential() -> None:
    assert masked("Invoice 1 was refused", [Secret("invoice1")]) == "Invoice 1 was refused"


def test_number_that_is_a_credential_is_masked() -> None:
    assert masked([True, 1], [Secret("000001")]) == [True, 1]
    assert masked({"key": 123456789, "other": 12345}, [Secret("123456789")]) == {"key": "***", "other": 12345}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Basic dXNlcjpwYXNz", ["dXNlcjpwYXNz"]),
        ("session=abcdefg; theme=dark", ["session=abcdefg", "abcdefg", "theme=dark"]),
        ('Digest username="somebody", response="abcdefg"', ["Digest", "username=", "somebody"]),
        ("user:abcdefg", ["user:abcdefg", "abcdefg"]),
        ("abcdefgh==", ["abcdefgh=="]),
    ],
)
def test_each_part_of_a_header_is_a_credential(value: str, words: list[str]) -> None:
    words_in_header = [secret.reveal() for secret in secrets_in({"X-Auth": value, "X-Tenant": "somewhere"})]
    assert words_in_header[: len(words)] == words


def test_password_of_a_proxy_is_a_credential() -> None:
    assert secrets_in_url("http://user:pass%2Fword@proxy") == [Secret("pass%2Fword"), Secret("pass/word")]
    assert secrets_in_url("http://onlyuser@proxy:8080") == [Secret("onlyuser")]
    assert secrets_in_url("http://proxy") == secrets_in_url(None) == []


BODIES: dict[str, Callable[[str], bytes]] = {
    "reason": lambda text: http_response(400, json.dumps({"message": f"no {text}"}).encode()),
    "late in a reason": lambda text: http_response(400, json.dumps({"message": "z" * 480 + text}).encode()),
    "key": lambda text: http_response(422, json.dumps({"errors": {text: [text]}}).encode()),
    "text": lambda text: http_response(500, f"<p>{text}</p>".encode(), {"Content-Type": "text/html"}),
    "where the body is cut": lambda text: http_response(500, b" " * (64 * 1024 - 30) + text.encode()),
    "error with status 200": lambda text: http_response(
        body=json.dumps({"errors": [{"message": "z" * 170 + text, text: text}]}).encode()
    ),
    "amount": lambda text: http_response(body=json.dumps({"id": 1, "totalAmount": text}).encode()),
    "key of another object": lambda text: http_response(body=json.dumps({"id": text}).encode()),
    "no JSON": lambda text: http_response(body=text.encode(), headers={"Content-Type": "text/plain"}),
}
HEADERS: dict[str, tuple[int, str, str]] = {
    "encoding": (200, "Content-Encoding", "{}"),
    "charset": (200, "Content-Type", "application/json; charset={}"),
    "media type": (200, "Content-Type", "text/{}"),
    "request id": (400, "X-Request-Id", "{}"),
    "long request id": (400, "X-Request-Id", "a" * 100 + "{}"),
    "host of a redirect": (302, "Location", "https://{}.example.test/"),
}


def assert_shows_none(error: BaseException, *shown: str) -> None:
    for each in shown:
        assert_no_secret(error, each)
        texts = "".join(f"{one}{one!r}{vars(one)}" for one in chain_of(error)).lower()
        assert each.lower() not in texts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", BODIES)
async def test_body_that_repeats_a_credential_does_not_reveal_it(
    where: str, form: str, connect: Connect
) -> None:
    repeated = FORMS[form](TOKEN)
    async with FaultServer([READ, send(BODIES[where](repeated))]) as server:
        with pytest.raises(RequestError) as caught:
            await connect(server.url, token=TOKEN, retries=0).invoices.get(1)
    assert_shows_none(caught.value.with_traceback(None), TOKEN[4:34], repeated[4:34])


@pytest.mark.parametrize("form", ["itself", "upper case", "percent-encoded", "base64 of a pair"])
@pytest.mark.parametrize("where", HEADERS)
async def test_header_that_repeats_a_credential_does_not_reveal_it(
    where: str, form: str, connect: Connect
) -> None:
    status, name, value = HEADERS[where]
    repeated = FORMS[form](TOKEN)
    response = http_response(status, b"x", {name: value.format(repeated)})
    async with FaultServer([READ, send(response)]) as server:
        with pytest.raises(RequestError) as caught:
            await connect(server.url, token=TOKEN, retries=0).invoices.get(1)
    error = caught.value
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without this frame
    assert_shows_none(error, TOKEN[4:34], repeated[4:34])


async def test_error_of_a_row_names_its_request_without_a_credential(connect: Connect) -> None:
    response = http_response(body=b'{"id":1,"totalAmount":[]}', headers={"X-Request-Id": TOKEN})
    async with FaultServer([READ, send(response)]) as server:
        with pytest.raises(DecodeError) as caught:
            await connect(server.url, token=TOKEN).invoices.get(1)
    error = caught.value
    assert (error.method, error.path, error.request_id) == ("GET", "/gql/v1/invoice/1", "***")
    assert_shows_none(error.with_traceback(None), TOKEN[4:34])


async def test_outcome_of_a_record_that_repeats_a_credential_does_not_reveal_it(connect: Connect) -> None:
    result = {"status": "FAILED", "error": {"code": TOKEN, "message": f"no {TOKEN}"}}
    response = http_response(body=json.dumps({"data": {"records": [result]}}).encode())
    async with FaultServer([READ, send(response)]) as server:
        write = connect(server.url, token=TOKEN, warn_undocumented=False).records.upsert(
            [{"type": "CLIENT", "systemRef": {"id": 1}, "attributes": {}}]
        )
        assert [(outcome.code, outcome.message) async for outcome in write] == [("***", "no ***")]


async def test_password_of_a_proxy_that_the_proxy_repeats_is_masked(connect: Connect) -> None:
    pair = base64.b64encode(b"user:hunter2hunter2").decode()
    refusal = http_response(403, json.dumps({"message": f"denied: Basic {pair} (hunter2hunter2)"}).encode())
    async with FaultServer([READ, send(refusal)]) as server:
        proxy = server.url.replace("//", "//user:hunter2hunter2@")
        with pytest.raises(StatusError, match=r"denied: Basic .*\*\*\*.* \(\*\*\*\)") as caught:
            await connect("http://127.0.0.1:9", proxy=proxy, retries=0).invoices.get(1)
    assert_shows_none(caught.value.with_traceback(None), "hunter2hunter2", pair[8:])


async def test_query_of_a_request_is_in_no_error(connect: Connect) -> None:
    request = Request(method="GET", path="/gql/v1/x?api_key=canary0123456789")
    async with FaultServer([READ, send(http_response(404))]) as server:
        with pytest.raises(StatusError) as caught:
            await connect(server.url).request(request)
    assert caught.value.path == "/gql/v1/x"
    assert "canary" not in repr(request)
    assert_shows_none(caught.value.with_traceback(None), "canary0123456789")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (TOKEN, "text/plain"),
        (json.dumps(TOKEN), "application/json"),
        (f"access_token={TOKEN}&expires_in=3600", "application/x-www-form-urlencoded"),
        (f"<token>{TOKEN}</token>", "application/xml"),
        (json.dumps({"message": f"your token is {TOKEN}"}), "application/json"),
        (json.dumps({"success": False, "data": {"accessToken": TOKEN}}), "application/json"),
    ],
)
async def test_token_in_an_unexpected_response_to_an_exchange_is_not_quoted(
    body: str, media_type: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    response = http_response(body=body.encode(), headers={"Content-Type": media_type})
    async with FaultServer([READ, send(response)]) as server:
        with pytest.raises(TokenExchangeError) as caught:
            await connect(server.url, api_key="an-api-key", retries=0).invoices.get(1)
    assert_shows_none(caught.value.with_traceback(None), TOKEN[4:34])
    assert TOKEN[4:34] not in caplog.text
