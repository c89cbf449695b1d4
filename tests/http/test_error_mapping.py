"""Pure functions: Retry-After, path segments, statuses, printable texts of a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiwyn_async._http.error_mapping import may_have_been_applied, server_message, to_error
from aiwyn_async._http.messages import (
    Failure,
    FailureKind,
    Outcome,
    Request,
    Response,
    RetryClass,
    is_success,
    looks_cut,
    path_segment,
)
from aiwyn_async._http.redaction import excerpt, printable
from aiwyn_async._http.retry_after import SANE_RETRY_AFTER, parse_retry_after, timestamp_of
from aiwyn_async.config import Secret
from aiwyn_async.errors import ConfigurationError, RedirectRefusedError, StatusError

NOW = 1_750_000_000.0
READ = Request(method="POST", path="/x")
WRITE = Request(method="POST", path="/x", retry_class=RetryClass.WRITE)


def date(offset: float) -> str:
    return formatdate(NOW + offset, usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20", 20),
        ("0", 0),
        ("-10", None),
        ("60", 60),
        ("61", 61),
        ("120", 120),
        ("121", 121),
        ("1.5", 1.5),
        (" 7 ", 7),
        (date(20), 20),
        (date(0), 0),
        (date(-10), 0),
        (date(60), 60),
        (date(61), 61),
        (date(121), 121),
        (date(20).replace("GMT", "-0000"), 20),
        (time.asctime(time.gmtime(NOW + 20)), 20),
        (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(NOW + 20)), 20),
        (str(int(NOW) + 20), 20),
        (str(int(NOW) + 20) + "000", 20),
        (datetime.fromtimestamp(NOW + 20, UTC).isoformat(), 20),
        (datetime.fromtimestamp(NOW + 20, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), 20),
        (datetime.fromtimestamp(NOW + 20, UTC).strftime("%Y-%m-%dT%H:%M:%S"), None),
        (str(int(NOW) + 10**8), None),
        ("99999999999999999999999999999999999", None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("1e3", None),
        ("1_0", None),
        ("0x10", None),
        ("\uff11\uff12", None),
        ("1, 1", None),
        ("Zun, 29 Sep 100000 02:26:57 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 29 Sep 100000 02:26:57 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", None),
        ("", None),
        ("\udcff", None),
    ],
)
def test_retry_after_is_parsed(text: str, seconds: float | None) -> None:
    assert parse_retry_after({"Retry-After": text}, NOW) == seconds


def test_invalid_retry_after_is_none() -> None:
    assert parse_retry_after({}, NOW) is None


@pytest.mark.parametrize("skew", [-86400.0, -30.0, 0.0, 30.0, 86400.0])
def test_retry_after_date_is_relative_to_the_servers_clock(skew: float) -> None:
    headers = {"Retry-After": date(skew + 20), "Date": date(skew)}
    assert parse_retry_after(headers, NOW) == 20


def test_invalid_date_header_falls_back_to_the_local_clock() -> None:
    assert parse_retry_after({"Retry-After": date(20), "Date": "yesterday"}, NOW) == 20


def test_naive_dates_are_utc_in_every_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert timestamp_of(time.asctime(time.gmtime(NOW))) == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(), st.text(), st.floats(0, 1e11))
@example("Mon, 01 Jan 0001 00:00:00 GMT", "", 0.0)
@example("Mon, 01 Jan 2024 00:00:00 +9999", "", 0.0)
def test_retry_after_of_any_text_is_a_bounded_wait_or_none(text: str, sent: str, now: float) -> None:
    seconds = parse_retry_after({"Retry-After": text, "Date": sent}, now)
    assert seconds is None or 0 <= seconds <= SANE_RETRY_AFTER


@given(st.one_of(st.text(), st.integers()))
@example("..")
@example(".")
@example("%2e%2E")
@example(".%2e")
@example("../x")
@example("a/../../b")
@example("\ud800")
def test_path_segment_round_trips_as_one_segment(value: str | int) -> None:
    try:
        segment = path_segment(value)
    except ConfigurationError:
        return
    assert unquote(segment) == str(value)
    assert segment.isascii()
    assert segment.isprintable()
    assert not set(segment) & set("/?#\\ ")
    decoded = segment
    while (once_more := unquote(decoded)) != decoded:
        decoded = once_more
        assert decoded not in {".", ".."} or "%25" in segment.lower()


@pytest.mark.parametrize(
    "value", ["", " ", ".", "..", "%2e", "%2E%2e", ".%2E", "a\nb", "\0", True, 1.5, None, b"1"]
)
def test_invalid_path_segment_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="the id"):
        path_segment(value, what="the id")


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (b"{}", False),
        (b" [1]\n", False),
        (b"{", True),
        (b"[1", True),
        (b"[1}", True),
        (b'{"a":[]', True),
        (b"", False),
        (b"<html>", False),
        (b"null", False),
    ],
)
def test_truncated_body_is_detected_by_its_end(body: bytes, cut: bool) -> None:
    assert looks_cut(body) is cut


def outcomes() -> Iterator[tuple[Outcome, bool]]:
    """Every outcome, and whether a write with this outcome may have been applied."""
    for kind in FailureKind:
        never_sent = {"connect", "dns", "tls", "connect_timeout"}
        yield Failure(kind, "", 0.0), kind.value not in never_sent
    for status in range(100, 600):
        applied = status < 300 or status == 408 or status >= 500
        yield Response(status, {}, b"", 0.0), applied and status not in {501, 505}


def test_outcome_determines_whether_a_write_may_be_applied() -> None:
    for outcome, applied in outcomes():
        assert may_have_been_applied(WRITE, outcome) is applied, outcome
        assert may_have_been_applied(READ, outcome) is False, outcome


def test_status_503_with_retry_after_was_not_applied() -> None:
    for retry_after, applied in (("3", False), (date(3), False), ("", True), ("soon", True), ("-1", True)):
        assert may_have_been_applied(WRITE, Response(503, {"Retry-After": retry_after}, b"", 0.0)) is applied


def test_success_is_2xx() -> None:
    assert [status for status in range(100, 600) if is_success(status)] == list(range(200, 300))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"errors": [{"message": "no"}]}, "no"),
        ({"errors": ["no"]}, "no"),
        ({"errors": []}, ""),
        ({"errors": [[["deep"]]]}, ""),
        ({"error": {"message": "no", "code": 3}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ("no", "no"),
        ("n\x1b[31mo\udcff", "n [31mo "),
        (None, ""),
        (7, ""),
        ([], ""),
        ({"message": {"a": 1}}, ""),
    ],
)
def test_error_body_has_a_message(body: object, message: str) -> None:
    assert server_message(body) == message


@given(st.text())
def test_server_text_is_printable_and_masked(text: str) -> None:
    shown = printable(text, [Secret("canary")])
    assert shown.isprintable()
    assert len(shown) <= 200
    assert "canary" not in shown
    shown.encode()


def test_excerpt_masks_before_it_cuts() -> None:
    assert excerpt(b"xcanary", [Secret("canary")], limit=5) == "x***"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://evil.test/secret?secret#secret", "https://evil.test;"),
        ("https://user:secret@evil.test:444/", "https://evil.test:444;"),
        ("//evil.test/secret", "http(s)://evil.test;"),
        ("/secret", "another path of this host;"),
        ("", "nowhere;"),
        ("https://[secret", "an invalid address;"),
        ("https://host:secret/", "an invalid address;"),
        ("https://s\u00e9cret.test/", "https://s\u00e9cret.test;"),
    ],
)
def test_redirect_shows_only_scheme_and_host(location: str, shown: str) -> None:
    response = Response(302, {"Location": location}, b"", 0.0)
    error = to_error(READ, response, now=0, elapsed=0, attempts=())
    assert type(error) is RedirectRefusedError
    assert f"redirects to {shown}" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "name", ["X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "Cf-Ray"]
)
def test_request_id_is_found_under_the_usual_names(name: str) -> None:
    assert Response(200, {name: " abc "}, b"", 0.0).request_id == "abc"
    assert Response(200, {name: ""}, b"", 0.0).request_id is None
    assert Response(200, {}, b"", 0.0).request_id is None


@given(st.lists(st.binary(max_size=5), min_size=2, max_size=6).map(tuple))
def test_body_is_joined_from_its_pieces(pieces: tuple[bytes, ...]) -> None:
    response = Response(200, {}, pieces, 0.0).after([])
    body = b"".join(pieces)
    assert (response.pieces, response.length) == (pieces, len(body))
    assert (response.body, response.body, response.pieces, response.length) == (
        *(body, body),
        (body,),
        len(body),
    )


def test_repr_shows_no_body() -> None:
    assert "canary" not in repr(Request(method="POST", path="/x", body=b"canary"))
    assert "canary" not in repr(Response(200, {"X": "canary"}, b"canary", 0.0))


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_error_without_a_body_has_none(body: bytes) -> None:
    error = to_error(READ, Response(404, {}, body, 0.0), now=NOW, elapsed=0.0, attempts=())
    assert isinstance(error, StatusError)
    assert error.body is None
    assert "the server says" not in str(error)
