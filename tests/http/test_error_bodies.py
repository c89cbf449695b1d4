"""The server's reason, extracted from any error body."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._http.error_mapping import MAX_REASON, server_message
from aiwyn_async.errors import ApiError, InvalidRequestError, TokenExchangeError
from fault_server import READ, FaultServer, http_response, send
from looking_inside import GET, LIST, WRITE, session_of
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"meta": {"success": False, "message": "page is too large"}}, "page is too large"),
        ({"data": None, "error": None, "meta": {"message": "no"}}, "no"),
        (
            {"error": "invalid_grant", "error_description": "The key is gone"},
            "The key is gone; invalid_grant",
        ),
        ({"type": "about:blank", "title": "Bad Request", "status": 400}, "Bad Request"),
        ({"title": "Bad Request", "detail": "page must be 0 or more"}, "Bad Request; page must be 0 or more"),
        ({"detail": "no"}, "no"),
        ({"title": "", "message": "no page", "detail": "no page"}, "no page"),
        (
            {"detail": [{"loc": ["body", "page"], "msg": "not an integer", "type": "int_parsing"}]},
            "body.page: not an integer",
        ),
        (
            {"detail": [{"loc": ["body", "a", 0], "msg": "x"}, {"loc": ["query", "b"], "msg": "y"}]},
            "body.a.0: x; query.b: y",
        ),
        (
            {"errors": {"page": ["must be positive"], "size": "too big"}},
            "page: must be positive; size: too big",
        ),
        (
            {"title": "One or more validation errors occurred.", "errors": {"Page": ["bad"]}},
            "Page: bad; One or more validation errors occurred.",
        ),
        ({"errors": {"message": "no"}}, "no"),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, "a; b"),
        ({"errors": [{"field": "page", "message": "bad"}]}, "page: bad"),
        ({"errors": "no"}, "no"),
        ({"Message": "Forbidden"}, "Forbidden"),
        ({"msg": "no"}, "no"),
        ({"errorMessage": "no", "errorType": "x"}, "no"),
        ({"error": {"message": "no", "code": 3}}, "no"),
        ({"error": {"error": {"message": "no"}}}, "no"),
        ({"error": {"details": ["a", "b"]}}, "a; b"),
        ({"message": ["page must be a number", "size must be"]}, "page must be a number; size must be"),
        ({"fault": {"faultstring": "quota exceeded"}}, "quota exceeded"),
        ({"message": "line one\nline two"}, "line one line two"),
        ({"errorMessages": ["no"], "errors": {}}, "no"),
        ({"Message": "invalid", "ModelState": {"page": ["bad"]}}, "page: bad; invalid"),
        ({"title": "T", "invalid-params": [{"name": "page", "reason": "bad"}]}, "bad; T"),
        ({"issues": [{"path": ["page"], "message": "bad"}]}, "page: bad"),
        # Without a known key
        ({"page": ["must be positive"], "size": ["too big"]}, "page: must be positive; size: too big"),
        ({"error": {"json": {"message": "no"}}}, "error.json.message: no"),
        ({"exception": "no"}, "exception: no"),
        ({"code": "E17"}, "code: E17"),
    ],
)
async def test_reason_is_in_the_text_of_the_error(body: Any, reason: str, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(400, json.dumps(body).encode()))]) as server:
        with pytest.raises(InvalidRequestError) as caught:
            await session_of(connect(server.url)).call(LIST)
    assert str(caught.value).endswith(f"the server says: {reason}")


ECHO = json.dumps({"success": False, "errors": {CANARY: [f"unknown key {CANARY}"]}, "title": CANARY}).encode()
FAILED = {
    "data": None,
    "error": None,
    "meta": {"success": False, "message": "the firm is locked", "version": "1"},
}


@pytest.mark.parametrize("request_", [LIST, GET, WRITE])
@pytest.mark.parametrize(
    "body",
    [
        FAILED,
        {"success": False, "data": None, "meta": {"message": "the firm is locked"}},
        {"success": False, "message": "the firm is locked"},
        {"success": False, "errors": [{"msg": "the firm is locked"}], "padding": "x" * 9000},
        {"Success": False, "Message": "the firm is locked"},
        {"Meta": {"Success": False, "Message": "the firm is locked"}, "Data": None},
        {"trace": "x" * 900, "meta": {"success": False, "message": "the firm is locked"}, "hint": "x" * 900},
    ],
)
async def test_status_200_with_an_error_raises_api_error(body: Any, request_: Any, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(200, json.dumps(body).encode()))]) as server:
        with pytest.raises(ApiError, match="the server says: the firm is locked") as caught:
            await session_of(connect(server.url)).call(request_)
    assert caught.value.errors == body
    assert len(server.requests) == 1
    assert not caught.value.ambiguous


@pytest.mark.parametrize("trace", ["", "x" * 900])
async def test_list_that_failed_is_not_an_empty_list(trace: str, connect: Connect) -> None:
    empty = {"deid_invoice": [], "deid_invoice_aggregate": {"aggregate": {"count": 0}}}
    body = {"before": trace, **FAILED, **empty, "after": trace}
    async with FaultServer([READ, send(http_response(200, json.dumps(body).encode()))]) as server:
        with pytest.raises(ApiError, match="the firm is locked"):
            await connect(server.url).invoices.list().collect()


@pytest.mark.parametrize(
    "body",
    [
        {"id": 1, "success": False},
        {"Id": 1, "Success": False},
        {"data": {"success": False}, "meta": {"success": True}},
        {"success": True, "data": []},
        {"isActive": False, "data": [{"success": False}]},
        {"success": None},
        {"note": '"success": false'},
    ],
)
async def test_object_with_an_error_field_is_not_an_error(body: Any, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(200, json.dumps(body).encode()))]) as server:
        assert (await session_of(connect(server.url)).call(GET)).status == 200


async def test_partially_failed_write_retains_its_results(connect: Connect) -> None:
    records = [{"status": "CREATED", "id": 1}, {"status": "FAILED", "error": {"code": "X", "message": "no"}}]
    body = {"data": {"records": records}, "error": None, "meta": {"success": False, "message": "1 failed"}}
    async with FaultServer([READ, send(http_response(200, json.dumps(body).encode()))]) as server:
        report = await connect(server.url).records.upsert([{"type": "A"}, {"type": "B"}])
    assert (report.created, report.failed, report.ambiguous) == (1, 1, 0)


async def test_write_with_data_under_another_spelling_may_have_been_applied(connect: Connect) -> None:
    body = b'{"Success": false, "Data": {"records": [{"status": "CREATED", "id": 1}]}}'
    async with FaultServer([READ, send(http_response(200, body))]) as server:
        report = await connect(server.url).records.upsert([{"type": "A"}])
    assert (report.created, report.failed, report.ambiguous) == (0, 0, 1)


async def test_reason_of_a_refused_exchange_reaches_the_caller(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(200, ECHO))]) as server:
        with pytest.raises(TokenExchangeError, match=r"\*\*\*: unknown key \*\*\*") as caught:
            await session_of(connect(server.url, api_key=CANARY)).call(LIST)
    assert_no_secret(caught.value)


@pytest.mark.parametrize("status", [200, 400])
async def test_reason_shows_no_credential(status: int, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(status, ECHO))]) as server:
        with pytest.raises((ApiError, InvalidRequestError), match=r"\*\*\*: unknown key \*\*\*") as caught:
            await session_of(connect(server.url)).call(LIST)
    assert_no_secret(caught.value)


KEYS = st.sampled_from(
    ["errors", "error", "message", "Message", "msg", "detail", "title", "meta", "loc", "field", "x", "data"]
)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=60,
)


@given(BODIES)
def test_body_of_any_json_has_a_short_printable_reason_or_none(body: object) -> None:
    reason = server_message(body)
    assert len(reason) <= MAX_REASON
    assert reason.isprintable()


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=60), KEYS)
def test_reason_is_found_under_usual_keys(text: str, key: str) -> None:
    if key not in {"x", "data", "loc", "field"}:
        assert server_message({key: text}) == text.strip()
        assert server_message({"meta": {key: text}, "data": None}) == text.strip()


async def test_deep_and_wide_bodies_are_searched_within_bounds(connect: Connect) -> None:
    deep = b'{"errors":' * 700 + b'"no"' + b"}" * 700
    wide = json.dumps({"errors": [{"message": f"error {n}"} for n in range(2000)]}).encode()
    async with FaultServer(
        [READ, send(http_response(400, deep)), READ, send(http_response(400, wide))]
    ) as server:
        session = session_of(connect(server.url))
        with pytest.raises(InvalidRequestError):
            await session.call(LIST)
        with pytest.raises(InvalidRequestError, match=r"error 0; error 1; error 2; error 3; error 4$"):
            await session.call(LIST)


async def test_errors_nested_deep_in_a_200_are_a_typed_error(connect: Connect) -> None:
    deep = b'{"errors":[' + b"[" * 700 + b"]" * 700 + b"]}"
    async with FaultServer([READ, send(http_response(200, deep))]) as server:
        with pytest.raises(ApiError):
            await connect(server.url).invoices.list().collect()
