"""Writes of records: one outcome per record, and no accepted record is sent twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async._resources.records import RecordWrite
from aiwyn_async.errors import AuthenticationError, PartialWriteError, PermissionDeniedError
from aiwyn_async.models.records import Record, RecordOutcome
from aiwyn_async.sandbox import Sandbox
from looking_inside import until


@dataclass
class Point:
    """A value of attributes."""

    x: float


MONROVIA = ZoneInfo("Africa/Monrovia")  # until 1972, 44 minutes and 30 seconds behind UTC
SECONDS = timezone(timedelta(seconds=59))
ENDLESS: dict[str, Any] = {}
ENDLESS["self"] = ENDLESS


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
    async with (
        Sandbox(invoices=10, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0, warn_undocumented=False) as aiwyn,
    ):
        yield box, aiwyn


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"type": "CLIENT", "systemRef": {"id": number}, "attributes": {"n": number}}
        for number in range(start, start + count)
    ]


def number_of(record: Any) -> int:
    return int(record["systemRef"]["id"])


def stored(box: Sandbox) -> dict[int, int]:
    """Return how often each record was applied, by the number in its systemRef."""
    rows = box.query("SELECT system_ref, times_applied FROM records")
    return {json.loads(str(ref))["id"]: int(str(times)) for ref, times in rows}


async def test_ten_thousand_records_with_failures_have_one_outcome_each(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    box.fail_records(lambda record: number_of(record) % 33 == 0)
    # Applied, but the connection is reset before the response, so the client cannot know.
    box.faults.add("records.upsert", nth=37, action="reset", when="after")

    outcomes = [outcome async for outcome in aiwyn.records.upsert(iter(records(10_000)))]

    assert [outcome.index for outcome in outcomes] == list(range(10_000))
    by_status: dict[str, set[int]] = {}
    for outcome in outcomes:
        by_status.setdefault(outcome.status, set()).add(outcome.index)
    ambiguous = by_status["ambiguous"]
    assert len(ambiguous) == 100
    refused = {number for number in range(10_000) if number % 33 == 0}
    assert by_status["failed"] == refused - ambiguous
    applied = stored(box)
    assert by_status["created"] == applied.keys() - ambiguous
    assert set(applied.values()) == {1}
    assert box.calls("records.upsert") == 100


async def test_reset_before_the_response_is_ambiguous_and_not_retried(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", action="reset")

    report = await aiwyn.records.upsert(records(3))

    assert (report.total, report.ambiguous) == (3, 3)
    assert "may have been applied" in str(report.problems[0].message)
    assert box.calls("records.upsert") == 1


async def test_retry_writes_retries_ambiguous_writes(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", action="reset", when="after")

    report = await aiwyn.with_options(retry_writes=True).records.upsert(records(3))

    assert (report.updated, report.ambiguous) == (3, 0)
    assert stored(box) == {0: 2, 1: 2, 2: 2}


@pytest.mark.parametrize("status", [429, 503])
async def test_write_that_was_not_processed_is_retried(
    status: int, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", status=status, headers={"Retry-After": "0"})

    report = await aiwyn.records.upsert(records(3))

    assert (report.created, report.ok) == (3, True)
    assert set(stored(box).values()) == {1}


async def test_refused_batch_fails_and_other_batches_are_written(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", nth=2, status=400, body=b'{"message": "no"}')

    report = await aiwyn.records.upsert(records(300))

    assert (report.created, report.failed) == (200, 100)
    assert {outcome.code for outcome in report.problems} == {"HTTP_400"}


async def test_refused_credentials_end_the_write(sandbox: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", status=401, every=1)

    with pytest.raises(AuthenticationError):
        await aiwyn.records.upsert(records(3))


async def test_update_of_a_missing_record_fails_with_its_code(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    _, aiwyn = sandbox
    await aiwyn.records.upsert(records(1))

    outcomes = [outcome async for outcome in aiwyn.records.update(records(2))]

    assert [outcome.status for outcome in outcomes] == ["updated", "failed"]
    assert outcomes[1].code == "RECORD_NOT_FOUND"


async def test_repeated_record_is_applied_in_input_order(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    first, second, other = records(3)
    last = first | {"attributes": {"n": "last"}}

    outcomes = [o async for o in aiwyn.records.upsert([first, second, last, other], batch_size=2)]

    assert [outcome.status for outcome in outcomes] == ["created", "created", "updated", "created"]
    assert box.scalar("SELECT attributes FROM records WHERE system_ref LIKE '%:0}'") == '{"n":"last"}'


async def test_raise_on_partial_raises_after_a_partial_failure(sandbox: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = sandbox
    box.fail_records(lambda record: number_of(record) == 1)

    with pytest.raises(PartialWriteError) as raised:
        await aiwyn.records.upsert(records(3), raise_on_partial=True)

    assert raised.value.report.failed == 1
    assert [outcome.index for outcome in raised.value.report.problems] == [1]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"systemRef": 1}, "type"),
        ({"type": "", "systemRef": 1}, "empty type"),
        ({"type": "A", "attributes": []}, "attributes"),
        ({"type": "A", "attributes": {"x": object()}}, "malformed"),
        ({"type": "A", "attributes": {"x": [float("nan")]}}, "NaN and infinity"),
        ({"type": "A", "attributes": {"x": float("-inf")}}, "NaN and infinity"),
        ({"type": "A", "attributes": {"x": {"y": Decimal("sNaN")}}}, "NaN and infinity"),
        ({"type": "A", "systemRef": {"id": Decimal("Infinity")}}, "NaN and infinity"),
        (Record(type="A", attributes={"x": float("nan")}), "NaN and infinity"),
        ({"type": "A", "attributes": {"x": Point(float("nan"))}}, "NaN and infinity"),
        ({"type": "A", "attributes": {"x": [datetime(1960, 1, 1, tzinfo=MONROVIA)]}}, "offset with seconds"),
        ({"type": "A", "systemRef": {"at": time(10, tzinfo=SECONDS)}}, "offset with seconds"),
        ({"type": "A", "attributes": ENDLESS}, "nested too deeply"),
        ({"type": "A", "system_ref": 1}, "unknown field `system_ref`"),
        (7, "malformed"),
    ],
)
async def test_malformed_record_in_a_list_is_refused_before_any_request(
    bad: Any, text: str, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = sandbox

    with pytest.raises(ConfigurationError, match=rf"record 2 .*{text}"):
        aiwyn.records.upsert([*records(2), bad])

    assert box.calls("records.upsert") == 0


@pytest.mark.parametrize("given", [None, 7, Record(type="A"), {"type": "A"}, "A"])
def test_records_that_are_no_iterable_are_refused(given: Any) -> None:
    aiwyn = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(ConfigurationError, match="pass a single record in a list"):
        aiwyn.records.upsert(given)


async def test_update_without_system_ref_is_refused_before_any_request(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    _, aiwyn = sandbox
    with pytest.raises(ConfigurationError, match="record 0 has no systemRef"):
        aiwyn.records.update([{"type": "CLIENT", "attributes": {}}])


async def test_malformed_record_in_a_stream_raises_after_the_records_before_it(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox

    async def stream() -> AsyncIterator[Any]:
        for record in records(150):
            yield record
        yield {"nonsense": True}
        raise AssertionError("the iterable was read too far")

    outcomes: list[RecordOutcome] = []

    async def write() -> None:
        async for outcome in aiwyn.records.upsert(stream()):
            outcomes.append(outcome)  # noqa: PERF401 (the outcomes before the error are needed)

    with pytest.raises(ConfigurationError, match="record 150"):
        await write()

    assert [outcome.index for outcome in outcomes] == list(range(150))
    assert len(stored(box)) == 150


async def test_records_before_an_error_of_the_iterable_are_written(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox

    def broken() -> Any:
        yield from records(150)
        raise RuntimeError("source failed")

    with pytest.raises(RuntimeError, match="source failed"):
        await aiwyn.records.upsert(broken())

    assert len(stored(box)) == 150


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data":{"records":[]}}', b'{"data":{"records":null}}'])
async def test_response_without_outcomes_is_ambiguous(
    body: bytes, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", mutate=lambda _: body)

    report = await aiwyn.records.upsert(records(3))

    assert (report.total, report.ambiguous) == (3, 3)
    assert box.calls("records.upsert") == 1


@pytest.mark.parametrize(
    "rest", [b'"\xff"', b"1e999", b"9" * 5000, b'"\\ud83d"'], ids=["byte", "float", "integer", "surrogate"]
)
async def test_error_response_with_an_odd_value_elsewhere_is_ambiguous(
    rest: bytes, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    """Such a value is skipped where it is not needed, so the error is still read."""
    box, aiwyn = sandbox
    box.faults.add("records.upsert", mutate=lambda _: b'{"error":{"code":"BUSY"},"trace":%s}' % rest)

    report = await aiwyn.records.upsert(records(3))

    assert (report.total, report.ambiguous) == (3, 3)
    assert {outcome.code for outcome in report.problems} == {"BUSY"}


@pytest.mark.parametrize(
    "odd", [b"null", b"7", b'"CREATED"', b'{"status":7}', b'{"status":"CREATED","id":[1]}']
)
async def test_odd_result_is_ambiguous_and_the_others_are_not(
    odd: bytes, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = sandbox
    body = b'{"data":{"records":[{"status":"CREATED","id":1},%s,{"status":"FAILED"}]}}' % odd
    box.faults.add("records.upsert", mutate=lambda _: body)
    outcomes = [outcome async for outcome in aiwyn.records.upsert(records(3))]
    assert [outcome.status for outcome in outcomes] == ["created", "ambiguous", "failed"]
    assert outcomes[1].code == "NO_STATUS"


async def test_outcomes_are_read_beside_a_message_with_a_lone_surrogate(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    failed = rb'{"status":"FAILED","error":{"code":"INVALID","message":"no such name: cut \ud83d"}}'
    body = b'{"data":{"records":[{"status":"CREATED","id":1},%s]},"error":null}' % failed
    box.faults.add("records.upsert", mutate=lambda _: body)
    report = await aiwyn.records.upsert(records(2))
    (problem,) = report.problems
    assert (report.created, report.failed, report.ambiguous) == (1, 1, 0)
    assert (problem.code, problem.message) == ("INVALID", "no such name: cut \ufffd")


async def test_write_cannot_be_awaited_twice(sandbox: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = sandbox
    write = aiwyn.records.upsert(records(1))
    await write
    with pytest.raises(ConfigurationError, match="already started"):
        await write
    assert box.calls("records.upsert") == 1


async def test_batches_in_flight_are_ambiguous_after_break(sandbox: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", nth=2, action="stall")
    write = aiwyn.records.upsert(records(8), batch_size=2)
    async with aclosing(aiter(write)) as outcomes:
        async for _ in outcomes:
            await until(lambda: len(stored(box)) == 6)
            break
    report = write.report
    assert (report.total, report.created + report.ambiguous) == (8, 8)
    assert {2, 3} <= {outcome.index for outcome in report.problems}
    assert {(outcome.status, outcome.code) for outcome in report.problems} == {("ambiguous", "INTERRUPTED")}


async def test_batches_in_flight_are_ambiguous_after_a_cancellation(
    sandbox: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = sandbox
    fault = box.faults.add("records.upsert", nth=2, action="stall")
    write = aiwyn.records.upsert(records(8), batch_size=2)

    async def await_it() -> None:
        await write

    task = asyncio.create_task(await_it())
    await until(lambda: fault.hits > 0 and write.report.total == 2 and len(stored(box)) == 6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert write.report.total == 8
    assert {2, 3} <= {outcome.index for outcome in write.report.problems}


async def add_all(write: RecordWrite, outcomes: list[RecordOutcome]) -> None:
    async for outcome in write:
        outcomes.append(outcome)  # noqa: PERF401 (those before an error are kept)


@pytest.mark.parametrize(("status", "every"), [(401, 1), (403, 2)])
async def test_batches_in_flight_have_outcomes_when_the_credentials_are_refused(
    status: int, every: int, sandbox: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = sandbox
    box.faults.add("records.upsert", status=status, every=every)
    write = aiwyn.with_options(retries=0).records.upsert(records(100), batch_size=2)
    outcomes: list[RecordOutcome] = []
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        await add_all(write, outcomes)
    assert [outcome.index for outcome in outcomes] == list(range(write.report.total))
    assert write.report.failed
    assert write.report.ambiguous == 0
    assert stored(box).keys() == {outcome.index for outcome in outcomes if outcome.ok}
