"""Bodies in other character encodings than UTF-8."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._http.charsets import UnknownCharsetError, as_utf8, declared_charset
from aiwyn_async.errors import DecodeError, InvalidRequestError
from fault_server import READ, FaultServer, http_response, send
from looking_inside import LIST, WRITE, session_of
from secrecy import CANARY

Connect = Callable[..., AiwynClient]

ROW = '{"deid_invoice":[{"id":1,"clientName":"Škoda € Müller £"}]}'
LATIN_ROW = '{"deid_invoice":[{"id":1,"clientName":"Müller £"}]}'


def typed(charset: str) -> dict[str, str]:
    return {"Content-Type": f"application/json; charset={charset}"}


@pytest.mark.parametrize(
    ("body", "headers", "name"),
    [
        (codecs.BOM_UTF8 + ROW.encode(), {}, "Škoda € Müller £"),
        (codecs.BOM_UTF8 + ROW.encode(), typed("utf-8"), "Škoda € Müller £"),
        (codecs.BOM_UTF8 + ROW.encode(), typed("iso-8859-1"), "Škoda € Müller £"),
        (ROW.encode("utf-16"), {}, "Škoda € Müller £"),
        (codecs.BOM_UTF16_BE + ROW.encode("utf-16-be"), {}, "Škoda € Müller £"),
        (ROW.encode("utf-32"), {}, "Škoda € Müller £"),
        (codecs.BOM_UTF32_BE + ROW.encode("utf-32-be"), {}, "Škoda € Müller £"),
        (ROW.encode("utf-16"), typed("utf-16"), "Škoda € Müller £"),
        (ROW.encode("utf-16-le"), typed("utf-16"), "Škoda € Müller £"),
        (ROW.encode("utf-16-be"), typed("UTF-16"), "Škoda € Müller £"),
        (ROW.encode("utf-16-le"), {}, "Škoda € Müller £"),
        (ROW.encode("utf-16-be"), typed("utf-16be"), "Škoda € Müller £"),
        (LATIN_ROW.encode("latin-1"), typed("ISO-8859-1"), "Müller £"),
        (LATIN_ROW.encode("cp1252"), typed('"windows-1252"'), "Müller £"),
        (ROW.encode("cp1250", "replace"), typed("windows-1250"), "Škoda € Müller ?"),
        (ROW.encode(), typed("UTF8"), "Škoda € Müller £"),
    ],
)
async def test_page_is_read_in_its_charset(
    body: bytes, headers: dict[str, str], name: str, connect: Connect
) -> None:
    async with FaultServer([READ, send(http_response(200, body, headers))]) as server:
        page = await connect(server.url).invoices.list(limit=1)
    assert [row.client_name for row in page.items] == [name]


@pytest.mark.parametrize("charset", ["klingon", "rot13", "zlib", "unicode_escape", "idna", CANARY])
async def test_unknown_charset_is_named(charset: str, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(200, b"{}", typed(charset)))]) as server:
        with pytest.raises(DecodeError, match="unknown charset: ") as caught:
            await session_of(connect(server.url)).call(LIST)
    shown = "***" if charset == CANARY else charset
    assert f"unknown charset: {shown}" in str(caught.value)
    assert len(server.requests) == 1
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b'{"a":"\x81"}', "windows-1252"), (b"{\x00\x00\xd8}\x00", "utf-16"), (b"{}", "utf-32")],
)
async def test_body_that_is_not_in_its_charset_is_requested_once_more(
    body: bytes, charset: str, connect: Connect
) -> None:
    async with FaultServer([READ, send(http_response(200, body, typed(charset)))]) as server:
        with pytest.raises(DecodeError, match="charset") as caught:
            await session_of(connect(server.url)).call(LIST)
    assert caught.value.malformed
    assert len(server.requests) == 2


async def test_error_body_is_read_in_its_charset(connect: Connect) -> None:
    body = '{"message":"prohibé"}'
    scripts = [
        [READ, send(http_response(400, encoded, headers))]
        for encoded, headers in (
            (body.encode("utf-16"), {}),
            (body.encode("latin-1"), typed("latin-1")),
            (codecs.BOM_UTF8 + body.encode(), {}),
        )
    ]
    async with FaultServer(*scripts) as server:
        for _ in scripts:
            with pytest.raises(InvalidRequestError, match="the server says: prohibé"):
                await session_of(connect(server.url)).call(WRITE)


async def test_error_in_an_unknown_charset_keeps_its_status(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(400, b'{"message":"no"}', typed("klingon")))]) as server:
        with pytest.raises(InvalidRequestError, match="the server says: no"):
            await session_of(connect(server.url)).call(WRITE)


async def test_token_is_read_in_its_charset(connect: Connect) -> None:
    token = codecs.BOM_UTF8 + b'{"token":"good"}'
    wide = '{"token":"good"}'.encode("utf-16")
    for body in (token, wide):
        async with FaultServer([READ, send(http_response(200, body)), READ, send(http_response())]) as server:
            await session_of(connect(server.url, api_key="k")).call(LIST)
            assert server.requests[1].headers["authorization"] == "Bearer good"


def test_usual_body_is_neither_copied_nor_joined() -> None:
    for content in (b'{"a":1}', b"[]", (b'{"a":', b"1}")):
        for content_type in ("", "application/json", "application/json; charset=utf-8"):
            assert as_utf8(content, content_type) is content


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("", None),
        ("application/json", None),
        ("application/json; charset=UTF-8", None),
        ("application/json;charset=us-ascii", None),
        ("application/json; charset=", None),
        ("application/json; v=1; charset = 'latin-1' ; x", "latin-1"),
        ('text/plain;CHARSET="UTF-16"', "utf-16"),
    ],
)
def test_charset_is_read_from_content_type(content_type: str, charset: str | None) -> None:
    assert declared_charset(content_type) == charset


VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
CODECS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), VALUES, max_size=3),
    st.sampled_from(CODECS),
    st.integers(1, 7),
)
def test_json_is_recognised_in_every_unicode_encoding_however_it_is_cut(
    value: object, codec: str, cut: int
) -> None:
    body = json.dumps(value, ensure_ascii=False).encode(codec)
    for content in (body, (body[:cut], body[cut:])):
        read = as_utf8(content, "application/json")
        assert json.loads(b"".join(read) if isinstance(read, tuple) else read) == value


@given(st.binary(max_size=40), st.text(max_size=20))
def test_body_of_any_bytes_is_read_or_refused(body: bytes, charset: str) -> None:
    try:
        read = as_utf8(body, f"application/json; charset={charset}")
    except (UnknownCharsetError, UnicodeError):
        return
    assert isinstance(read, bytes)
