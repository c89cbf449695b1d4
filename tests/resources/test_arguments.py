"""Arguments of reads: valid values, their form on the wire, and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, FileState
from aiwyn_async.errors import ConfigurationError, InvalidRequestError
from aiwyn_async.export import export
from aiwyn_async.filters import F
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from number_likes import Array, Bool, Float32, Int64, NotATime, Timedelta64, ZeroDimensions

NAN = float("nan")
NEW_YORK = timezone(timedelta(hours=-5))
AHEAD = timezone(timedelta(hours=5, minutes=30))


def untyped(value: object) -> Any:
    """Hide the type of a value that a type checker would refuse."""
    return value


class Status(Enum):
    POSTED = "POSTED"


def last_body(box: Sandbox, route: str) -> dict[str, Any]:
    body = [request.body for request in box.requests if request.route == route][-1]
    assert isinstance(body, dict)
    return body


# Dates


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        (date(2024, 12, 31), "2024-12-31T00:00:00", "2024-12-31T23:59:59.999999"),
        ("2024-12-31", "2024-12-31T00:00:00", "2024-12-31T23:59:59.999999"),
        ("20241231", "2024-12-31T00:00:00", "2024-12-31T23:59:59.999999"),
        ("2025-W01-2", "2024-12-31T00:00:00", "2024-12-31T23:59:59.999999"),
        ("2025W012", "2024-12-31T00:00:00", "2024-12-31T23:59:59.999999"),
        ("2025-W01", "2024-12-30T00:00:00", "2025-01-05T23:59:59.999999"),
        ("2025W01", "2024-12-30T00:00:00", "2025-01-05T23:59:59.999999"),
        (datetime(2024, 12, 31), "2024-12-31T00:00:00", "2024-12-31T00:00:00"),  # noqa: DTZ001
        ("2024-12-31T00:00", "2024-12-31T00:00", "2024-12-31T00:00"),
        (datetime(2024, 12, 31, 8, tzinfo=UTC), "2024-12-31T08:00:00Z", "2024-12-31T08:00:00Z"),
        (datetime(2024, 12, 31, 20, tzinfo=NEW_YORK), "2025-01-01T01:00:00Z", "2025-01-01T01:00:00Z"),
        (datetime(2024, 12, 31, 3, tzinfo=AHEAD), "2024-12-30T21:30:00Z", "2024-12-30T21:30:00Z"),
        ("2024-12-31T20:00:00-05:00", "2025-01-01T01:00:00Z", "2025-01-01T01:00:00Z"),
        ("2024-12-31T20:00:00Z", "2024-12-31T20:00:00Z", "2024-12-31T20:00:00Z"),
    ],
)
async def test_date_is_a_whole_day_and_aware_datetime_is_sent_in_utc(
    aiwyn: AiwynClient, box: Sandbox, value: Any, first: str, last: str
) -> None:
    await aiwyn.invoices.list(start_date=value, end_date=value, limit=1)
    body = last_body(box, "invoices.list")
    assert (body["startDate"], body["endDate"]) == (first, last)
    await aiwyn.payments.list(start_date=value, end_date=value, limit=1)
    body = last_body(box, "payments.list")
    assert (body["startDate"], body["endDate"]) == (first, last)


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "value", ["yesterday", "2024-13-01", "", 20241231, NotATime(), NAN, Int64(1), Array(date.min), True]
)
def test_invalid_date_is_refused_by_name(aiwyn: AiwynClient, name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        aiwyn.invoices.list(**untyped({name: value}))


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        (datetime(2024, 1, 1, 20, tzinfo=NEW_YORK), "2024-01-02T01:00:00Z"),
        (datetime(2024, 1, 1, 3, tzinfo=AHEAD), "2023-12-31T21:30:00Z"),
        (datetime(2024, 1, 1, 3, tzinfo=UTC), "2024-01-01T03:00:00Z"),
        (datetime(2024, 1, 1, 3), "2024-01-01T03:00:00"),  # noqa: DTZ001
        ("2024-01-01T03:00:00+05:30", "2023-12-31T21:30:00Z"),
        ("2024-01-01T03:00:00.123456789Z", "2024-01-01T03:00:00.123456789Z"),
        ("2024-01-01", "2024-01-01"),
    ],
)
async def test_since_is_sent_in_utc(aiwyn: AiwynClient, box: Sandbox, since: Any, sent: str) -> None:
    async for _ in aiwyn.invoices.changes(since=since):
        pass
    bodies = [request.body for request in box.requests if request.route == "invoices.search"]
    assert f"'_gte': '{sent}'" in str(bodies)


@pytest.mark.parametrize("value", [NotATime(), NAN, Int64(5), date(2024, 1, 1), Array("2024-01-01"), "soon"])
def test_invalid_since_is_refused(aiwyn: AiwynClient, value: object) -> None:
    with pytest.raises(ConfigurationError, match="since"):
        aiwyn.invoices.changes(since=untyped(value))


# Numbers


async def test_integral_numbers_are_accepted_as_integers(aiwyn: AiwynClient, box: Sandbox) -> None:
    seven = untyped(Int64(7))
    assert len(await aiwyn.invoices.list(page_size=seven, limit=seven).collect()) == 7
    assert last_body(box, "invoices.list")["pageSize"] == 7
    rows = await aiwyn.invoices.pull(page_size=untyped(Int64(50)), ranges=untyped(Int64(2))).collect()
    assert len(rows) == 95
    aiwyn.invoices.changes(page_size=seven, overlap=untyped(Int64(60)))
    await aiwyn.invoices.list(client_id=seven, limit=1)
    assert last_body(box, "invoices.list")["clientId"] == 7


@pytest.mark.parametrize("name", ["page_size", "limit", "ranges"])
@pytest.mark.parametrize(
    "value",
    [
        *(Bool(), True, NAN, 7.0, Float32(7.0), "7", Array(7), ZeroDimensions(), NotATime(), Timedelta64()),
        Int64(0),
    ],
)
def test_number_that_is_not_an_integer_is_refused_by_name(
    aiwyn: AiwynClient, name: str, value: object
) -> None:
    read = untyped(aiwyn.invoices.pull if name == "ranges" else aiwyn.invoices.search)
    with pytest.raises(ConfigurationError, match=name):
        read(**{name: value})


@pytest.mark.parametrize("value", [NAN, Array(1), 1.5, True, "100", Int64(101), Timedelta64()])
def test_invalid_batch_size_is_refused(aiwyn: AiwynClient, value: object) -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        aiwyn.records.upsert([], batch_size=untyped(value))


# Ids

INVALID_IDS = [
    *(Bool(), True, NAN, 7.0, Float32(7.0), Decimal(7), Array(7), ZeroDimensions(), NotATime(), Timedelta64())
]


@pytest.mark.parametrize("value", INVALID_IDS)
@pytest.mark.parametrize("resource", ["invoices", "payments", "wip"])
def test_invalid_client_id_is_refused(aiwyn: AiwynClient, resource: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match="client_id must be an int or a str"):
        getattr(aiwyn, resource).list(client_id=value)


@pytest.mark.parametrize("value", [*INVALID_IDS, None])
async def test_invalid_key_is_refused(aiwyn: AiwynClient, value: object) -> None:
    with pytest.raises(ConfigurationError, match="key must be an int or a str"):
        await aiwyn.invoices.get(untyped(value))
    with pytest.raises(ConfigurationError, match="key must be an int or a str"):
        await anext(aiwyn.invoices.get_many([untyped(value)]))
    with pytest.raises(ConfigurationError, match="subscription_id must be an int or a str"):
        await aiwyn.event_subscriptions.deactivate(untyped(value))


async def test_integral_key_is_looked_up(aiwyn: AiwynClient, box: Sandbox) -> None:
    key: Any = box.query("SELECT id FROM invoices LIMIT 1")[0][0]
    assert (await aiwyn.invoices.get(untyped(Int64(key)))).id == key
    results = [result async for result in aiwyn.invoices.get_many(untyped(Array(Int64(key), Int64(1))))]
    assert [(type(result.key), result.key, result.missing) for result in results] == [
        (int, key, False),
        (int, 1, True),
    ]


@pytest.mark.parametrize("keys", ["12", b"12", {12: 1}, 12, Int64(12), ZeroDimensions(), None])
async def test_single_key_is_refused_as_a_collection_of_keys(
    aiwyn: AiwynClient, box: Sandbox, keys: object
) -> None:
    with pytest.raises(ConfigurationError, match=r"keys must be a collection of keys, .* \[key\]"):
        aiwyn.invoices.get_many(untyped(keys))
    with pytest.raises(ConfigurationError, match="known must be a collection of keys"):
        await aiwyn.invoices.reconcile_keys(untyped(keys))
    assert not box.requests


# Other fields of a body


async def test_body_fields_are_sent_as_json_types(aiwyn: AiwynClient, box: Sandbox) -> None:
    await aiwyn.invoices.list(status=untyped(Status.POSTED), limit=1)
    assert last_body(box, "invoices.list")["status"] == "POSTED"
    when = datetime(2024, 12, 31, 20, tzinfo=NEW_YORK)
    extra = {"type": ("A", Int64(3)), "range": {"from": when, "to": None}, "none": None}
    with pytest.raises(InvalidRequestError):  # the sandbox does not support these fields
        await aiwyn.payments.list(extra=extra, limit=1)
    body = last_body(box, "payments.list")
    assert body["type"] == ["A", 3]
    assert body["range"] == {"from": "2025-01-01T01:00:00Z", "to": None}
    assert "none" not in body


@pytest.mark.parametrize("value", [NAN, NotATime(), Array(1), Bool(), object(), {"a": [1, NAN]}])
def test_body_field_without_a_json_form_is_refused_by_name(aiwyn: AiwynClient, value: object) -> None:
    with pytest.raises(ConfigurationError, match="jobId"):
        aiwyn.wip.list(extra={"jobId": value})
    with pytest.raises(ConfigurationError, match="jobId"):
        aiwyn.offices.list({"jobId": value})
    with pytest.raises(ConfigurationError, match="status"):
        aiwyn.invoices.list(status=untyped(value))
    with pytest.raises(ConfigurationError, match="payment_method"):
        aiwyn.payments.list(payment_method=untyped(value))


@pytest.mark.parametrize("name", [1, None, "\ud800", "", "a\0"])
async def test_body_field_without_a_plain_name_is_refused(
    aiwyn: AiwynClient, box: Sandbox, name: Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"^extra: "):
        aiwyn.wip.list(extra={name: 1})
    with pytest.raises(ConfigurationError, match=r"^filters: "):
        aiwyn.offices.list({name: 1})
    with pytest.raises(ConfigurationError, match=r"^extra: "):
        await aiwyn.event_subscriptions.update(1, extra={name: 1})
    assert not box.requests


def test_unknown_option_names_where_the_others_are_described(aiwyn: AiwynClient) -> None:
    unknown = untyped({"page_sise": 5})
    with pytest.raises(TypeError, match=r"'page_sise'; .* see help\(aiwyn\.invoices\.list\) for"):
        aiwyn.invoices.list(**unknown)
    with pytest.raises(TypeError, match=r"'page_sise'; .* see help\(\) for"):
        aiwyn.collection("/v1/rates").list(**unknown)


@pytest.mark.parametrize("value", ["", " ", True, 5, 1.5, ["PAID"], {"PAID"}, b"PAID", date(2024, 1, 1)])
def test_filter_that_is_not_a_word_is_refused_by_name(aiwyn: AiwynClient, value: object) -> None:
    with pytest.raises(ConfigurationError, match="status must "):
        aiwyn.invoices.list(status=untyped(value))
    with pytest.raises(ConfigurationError, match="payment_method must "):
        aiwyn.payments.pull(payment_method=untyped(value))


@pytest.mark.parametrize("resource", ["invoices", "payments", "wip"])
def test_empty_client_id_is_refused_as_a_filter(aiwyn: AiwynClient, resource: str) -> None:
    with pytest.raises(ConfigurationError, match="client_id must not be empty; leave it out for all rows"):
        getattr(aiwyn, resource).list(client_id="")


@pytest.mark.parametrize("value", [5, b"x", ["x"], date(2024, 1, 1)])
async def test_text_of_a_record_type_that_is_none_is_refused_by_name(
    aiwyn: AiwynClient, box: Sandbox, value: object
) -> None:
    for name in ("display_name", "description"):
        with pytest.raises(ConfigurationError, match=f"{name} must be text"):
            await aiwyn.record_types.create("x", [{"name": "a", "type": "TEXT"}], **untyped({name: value}))
        with pytest.raises(ConfigurationError, match=f"{name} must be text"):
            await aiwyn.record_types.update("x", **untyped({name: value}))
    for update in (aiwyn.record_types.update, aiwyn.event_subscriptions.update):
        with pytest.raises(ConfigurationError, match="active must be True or False"):
            await untyped(update)("1", active=value)
    assert not box.requests


@pytest.mark.parametrize("value", [Array("asc"), ["asc"], 1, "ASC", NAN])
def test_invalid_choice_is_refused_by_name(aiwyn: AiwynClient, value: object) -> None:
    for name, read in (
        ("sort_order", aiwyn.invoices.list),
        ("on_bad_row", aiwyn.invoices.list),
        ("on_bad_row", aiwyn.invoices.changes),
        ("paging", aiwyn.invoices.search),
        ("paging", aiwyn.invoices.pull),
    ):
        with pytest.raises(ConfigurationError, match=name):
            untyped(read)(**{name: value})


# Literal text


async def test_literal_text_is_matched_by_the_server(aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = box.query("SELECT id, invoice_number FROM invoices")
    number = str(rows[0][1])
    part = number[1:-1]
    search: Callable[[Any], Awaitable[list[Any]]] = lambda where: aiwyn.invoices.search(where).collect()  # noqa: E731
    column = F.invoice_number
    for where, matches in (
        (column.contains(part), lambda text: part in text),
        (column.startswith(number[:3]), lambda text: text.startswith(number[:3])),
        (column.endswith(number[-2:]), lambda text: text.endswith(number[-2:])),
        (column.contains("%"), lambda text: "%" in text),
        (column.contains("_"), lambda text: "_" in text),
        (column.contains(number.lower(), ignore_case=True), lambda text: text == number),
    ):
        assert {row.id for row in await search(where)} == {key for key, text in rows if matches(text)}


async def async_keys() -> AsyncIterator[int]:
    yield 1


async def test_async_keys_are_accepted(aiwyn: AiwynClient) -> None:
    assert [result.missing async for result in aiwyn.invoices.get_many(async_keys())] == [True]


@pytest.mark.parametrize("read", ["search", "pull", "changes"])
async def test_unknown_operator_is_sent_if_allowed(aiwyn: AiwynClient, box: Sandbox, read: str) -> None:
    where = {"status": {"_niregex": "^x"}}
    with pytest.raises(ConfigurationError, match="allow_unknown_operators"):
        getattr(aiwyn.invoices, read)(where=where)
    rows = getattr(aiwyn.invoices, read)(where=where, allow_unknown_operators=True)
    with pytest.raises(InvalidRequestError):  # the sandbox does not support this operator
        await anext(aiter(rows))
    assert "_niregex" in str(box.requests[-1].body)


@pytest.mark.parametrize("flag", [Array(), F.id == 1, "no", None], ids=["array", "condition", "text", "None"])
@pytest.mark.parametrize("resource", ["invoices", "payments"])
def test_flag_of_another_type_is_refused(aiwyn: AiwynClient, resource: str, flag: Any) -> None:
    with pytest.raises(ConfigurationError, match="allow_unknown_operators must be True or False"):
        getattr(aiwyn, resource).pull(allow_unknown_operators=flag)


@pytest.mark.parametrize("state", [{}, "bookmarks.json", 5, object()])
def test_state_without_get_and_put_is_refused(aiwyn: AiwynClient, state: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"state must be .* FileState\(path\), not"):
        aiwyn.invoices.changes(state=state)


@pytest.mark.parametrize("path", ["", "a\0b.json", None, 5, "s3://bucket/bookmarks.json"])
def test_state_file_that_is_not_a_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError):
        FileState(path)


async def test_callback_that_nothing_would_await_is_refused(aiwyn: AiwynClient, tmp_path: Path) -> None:
    async def on_progress(_: object) -> None: ...

    wrong: list[Any] = [on_progress, 5]
    for callback in wrong:
        with pytest.raises(ConfigurationError, match="on_progress must be"):
            aiwyn.invoices.pull(on_progress=callback)
        with pytest.raises(ConfigurationError, match="on_progress must be"):
            await export(aiwyn.invoices.list(), tmp_path / "x.csv", on_progress=callback)
        with pytest.raises(ConfigurationError, match="on_progress must be"):
            await sync(aiwyn.invoices, tmp_path / "x.duckdb", on_progress=callback)
