"""Writing records: one outcome a record, nothing accepted sent twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async.errors import AuthenticationError, PartialWriteError
from aiwyn_async.models.records import RecordOutcome
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
async def firm() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
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
    """How often each record was applied, by the number in its systemRef."""
    rows = box.query("SELECT system_ref, times_applied FROM records")
    return {json.loads(str(ref))["id"]: int(str(times)) for ref, times in rows}


async def test_ten_thousand_records_with_failures_and_a_cut_have_one_outcome_each(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm
    box.fail_records(lambda record: number_of(record) % 33 == 0)
    # Applied, and the connection reset before the answer: nobody on this side can know.
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


async def test_a_reset_before_the_answer_is_ambiguous_and_not_sent_again(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", action="reset")

    report = await aiwyn.records.upsert(records(3))

    assert (report.total, report.ambiguous) == (3, 3)
    assert "may have been applied" in str(report.problems[0].message)
    assert box.calls("records.upsert") == 1


async def test_a_caller_who_says_so_has_ambiguous_writes_sent_again(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", action="reset", when="after")

    report = await aiwyn.with_options(retry_writes=True).records.upsert(records(3))

    assert (report.updated, report.ambiguous) == (3, 0)
    assert stored(box) == {0: 2, 1: 2, 2: 2}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_write_that_was_refused_unread_is_sent_again(
    status: int, firm: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", status=status, headers={"Retry-After": "0"})

    report = await aiwyn.records.upsert(records(3))

    assert (report.created, report.ok) == (3, True)
    assert set(stored(box).values()) == {1}


async def test_a_batch_that_the_server_refuses_fails_and_the_others_go_on(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", nth=2, status=400, body=b'{"message": "no"}')

    report = await aiwyn.records.upsert(records(300))

    assert (report.created, report.failed) == (200, 100)
    assert {outcome.code for outcome in report.problems} == {"HTTP_400"}


async def test_refused_credentials_end_the_write(firm: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", status=401, every=1)

    with pytest.raises(AuthenticationError):
        await aiwyn.records.upsert(records(3))


async def test_an_update_of_a_missing_record_fails_with_its_code(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    _, aiwyn = firm
    await aiwyn.records.upsert(records(1))

    outcomes = [outcome async for outcome in aiwyn.records.update(records(2))]

    assert [outcome.status for outcome in outcomes] == ["updated", "failed"]
    assert outcomes[1].code == "RECORD_NOT_FOUND"


async def test_the_same_record_twice_is_applied_in_the_order_of_the_input(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm
    first, second, other = records(3)
    last = first | {"attributes": {"n": "last"}}

    outcomes = [o async for o in aiwyn.records.upsert([first, second, last, other], batch_size=2)]

    assert [outcome.status for outcome in outcomes] == ["created", "created", "updated", "created"]
    assert box.scalar("SELECT attributes FROM records WHERE system_ref LIKE '%:0}'") == '{"n":"last"}'


async def test_partial_success_raises_when_asked_to(firm: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = firm
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
        (7, "malformed"),
    ],
)
async def test_a_malformed_record_in_a_list_is_refused_before_anything_is_sent(
    bad: Any, text: str, firm: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = firm

    with pytest.raises(ConfigurationError, match=rf"record 2 .*{text}"):
        aiwyn.records.upsert([*records(2), bad])

    assert box.calls("records.upsert") == 0


async def test_an_update_without_system_ref_is_refused_before_anything_is_sent(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    _, aiwyn = firm
    with pytest.raises(ConfigurationError, match="record 0 has no systemRef"):
        aiwyn.records.update([{"type": "CLIENT", "attributes": {}}])


async def test_a_malformed_record_in_a_stream_ends_it_after_those_before_it(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm

    async def stream() -> AsyncIterator[Any]:
        for record in records(150):
            yield record
        yield {"nonsense": True}
        raise AssertionError("nothing is read after it")

    outcomes: list[RecordOutcome] = []

    async def write() -> None:
        async for outcome in aiwyn.records.upsert(stream()):
            outcomes.append(outcome)  # noqa: PERF401 (the outcomes before the error are what is looked at)

    with pytest.raises(ConfigurationError, match="record 150"):
        await write()

    assert [outcome.index for outcome in outcomes] == list(range(150))
    assert len(stored(box)) == 150


async def test_an_iterable_that_breaks_has_what_it_gave_written(
    firm: tuple[Sandbox, AiwynClient],
) -> None:
    box, aiwyn = firm

    def broken() -> Any:
        yield from records(150)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await aiwyn.records.upsert(broken())

    assert len(stored(box)) == 150


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data":{"records":[]}}', b'{"data":{"records":null}}'])
async def test_an_answer_that_does_not_tell_each_outcome_makes_all_ambiguous(
    body: bytes, firm: tuple[Sandbox, AiwynClient]
) -> None:
    box, aiwyn = firm
    box.faults.add("records.upsert", mutate=lambda _: body)

    report = await aiwyn.records.upsert(records(3))

    assert (report.total, report.ambiguous) == (3, 3)
    assert box.calls("records.upsert") == 1


async def test_a_write_is_used_once(firm: tuple[Sandbox, AiwynClient]) -> None:
    box, aiwyn = firm
    write = aiwyn.records.upsert(records(1))
    await write
    with pytest.raises(ConfigurationError, match="begun already"):
        await write
    assert box.calls("records.upsert") == 1
