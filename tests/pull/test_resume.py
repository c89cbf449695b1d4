"""Pulls that are resumed, interrupted, cancelled or read slowly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from aiwyn_async import (
    AiwynClient,
    Checkpoint,
    CheckpointError,
    ConfigurationError,
    F,
    IncompleteError,
    RequestError,
)
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from edited_checkpoints import edited
from looking_inside import assert_nothing_is_held
from unreadable_rows import ids, page_contains

MANY = 1_000_000


@pytest.mark.parametrize("ordered", [False, True])
async def test_pull_resumes_after_any_page(aiwyn: AiwynClient, box: Sandbox, ordered: bool) -> None:
    for stop in (1, 2, 7, 20):
        pull = aiwyn.invoices.pull(page_size=100, ordered=ordered)
        received: list[Any] = []
        saved = ""
        async for page in pull.pages():
            received += [row.id for row in page.items]
            saved = page.checkpoint.to_json()
            if len(received) >= stop * 100:
                break
        resumed = aiwyn.invoices.pull(page_size=100, ordered=ordered, resume=saved, strict=True)
        received += [row.id async for row in resumed]
        assert sorted(received) == ids(box)
        assert resumed.report.rows_yielded == 3000
        assert box.api_key not in saved


@pytest.mark.filterwarnings("ignore::aiwyn_async.errors.UndocumentedEndpointWarning")
async def test_checkpoint_of_another_query_or_row_type_is_refused(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=100)
    await pull.collect()
    assert pull.checkpoint is not None
    saved = pull.checkpoint
    for other in (
        lambda: aiwyn.invoices.pull(F.status == "PAID", resume=saved),
        lambda: aiwyn.clients.pull(resume=saved),
        lambda: aiwyn.invoices.pull(resume=saved).decode_as(dict),
        lambda: aiwyn.invoices.search(resume=saved),
        lambda: aiwyn.invoices.pull(resume=saved.to_json().replace("left", "lift")),
        lambda: aiwyn.invoices.pull(resume=replaced(saved, left=[[1, 9], [5, 20]])),
        lambda: aiwyn.invoices.pull(resume=replaced(saved, left=[[None, None], [5, 20]])),
        lambda: aiwyn.invoices.pull(resume=replaced(saved, left=[[9, 1]])),
    ):
        with pytest.raises(CheckpointError):
            other()


def replaced(saved: Checkpoint, *, left: list[list[int | None]]) -> Checkpoint:
    ranges = [{"after": after, "until": until} for after, until in left]
    return edited(saved, left=ranges)


async def test_full_scan_refuses_a_checkpoint_of_key_ranges(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=100)
    async with aclosing(pull.pages()) as pages:
        checkpoint = (await anext(pages)).checkpoint
    with pytest.raises(CheckpointError, match="a full scan would yield its rows again; resume with the same"):
        aiwyn.invoices.pull(page_size=100, paging="page", resume=checkpoint)


async def test_pull_of_another_row_type_resumes_after_decode_as(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=100).decode_as(dict)
    pages = pull.pages()
    saved = (await anext(pages)).checkpoint
    await pages.aclose()
    for resume in (
        lambda: aiwyn.invoices.pull(resume=saved),
        lambda: pull.resume_from(saved).decode_as(msgspec.Raw),
    ):
        with pytest.raises(CheckpointError, match=r"decode_as\(row_type\) before resume_from"):
            resume()
    rest = await aiwyn.invoices.pull().decode_as(dict).resume_from(saved.to_json()).collect()
    assert len(rest) == 2900


async def test_resumed_pull_cannot_reconcile_keys(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(page_size=100)
    await pull.collect()
    assert pull.checkpoint is not None
    with pytest.raises(ConfigurationError, match="only some of the keys"):
        await aiwyn.invoices.reconcile_keys(ids(box), pull.resume_from(pull.checkpoint))


async def test_resumed_pull_that_falls_back_counts_each_row_once(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(page_size=100, ranges=1)
    pages = pull.pages()
    await anext(pages)
    saved = (await anext(pages)).checkpoint
    await pages.aclose()
    box.faults.add("invoices.search", times=MANY, status=400, match=lambda body: "where" in body)  # type: ignore[operator]
    resumed = aiwyn.invoices.pull(page_size=100, resume=saved, strict=True)
    assert sorted(row.id for row in await resumed.collect()) == ids(box)
    assert resumed.report.rows_yielded == 3000


async def test_pull_resumed_before_its_first_page_compares_its_rows_with_the_count(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.faults.add("invoices.search", status=403)
    with pytest.raises(RequestError) as failed:
        await aiwyn.invoices.pull(page_size=100).collect()
    box.faults.add(
        "invoices.search",
        times=2,
        mutate=without_first_row,
        match=lambda body: body["pageSize"] == 100,  # type: ignore[index]
    )
    pull = aiwyn.invoices.pull(page_size=100, resume=failed.value.checkpoint)
    assert len(await pull.collect()) == 2999
    assert pull.report.problems() == ["1 rows counted by the server were not received"]


def without_first_row(body: bytes) -> bytes:
    response = msgspec.json.decode(body)
    del response["deid_invoice"][0]
    return msgspec.json.encode(response)


async def test_slow_consumer_buffers_one_page_per_range(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(page_size=50, ranges=4)
    pages = pull.pages()
    for _ in range(4):
        await anext(pages)
    for _ in range(3000):  # more requests would be sent now
        await asyncio.sleep(0)
    sent = box.calls("invoices.search")
    for _ in range(3000):
        await asyncio.sleep(0)
    assert box.calls("invoices.search") == sent <= 4 + 1 + 4
    await pages.aclose()
    await assert_nothing_is_held(aiwyn)


async def test_token_is_renewed_during_a_slow_pull(
    aiwyn: AiwynClient, box: Sandbox, clock: FakeClock
) -> None:
    number = 0
    async for _ in aiwyn.invoices.pull(page_size=500, ranges=1):
        number += 1
        clock.advance(1)  # one row per second
        if number % 500 == 0:
            box.expire_tokens()
    assert number == 3000
    assert box.calls("auth.token") > 3


async def test_break_and_cancellation_leave_no_request(aiwyn: AiwynClient, box: Sandbox) -> None:
    cancelled = 0
    for turns in range(0, 300, 5):
        task = asyncio.ensure_future(aiwyn.invoices.pull(page_size=200, ordered=turns % 2 == 0).collect())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        cancelled += task.cancelled()
    assert cancelled > 10
    async for _ in aiwyn.invoices.pull(page_size=100):
        break
    for _ in range(200):
        await asyncio.sleep(0)
    await assert_nothing_is_held(aiwyn)
    assert len(await aiwyn.invoices.pull().collect()) == 3000
    assert box.calls("invoices.search") > 0


async def test_two_iterations_are_independent(aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = set(rows[-40:])
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=page_contains(box, bad))
    pull = aiwyn.invoices.pull(page_size=200, ranges=2)
    first = pull.pages()
    received = [row.id for row in (await anext(first)).items]
    second = pull.pages()
    await anext(second)

    async def read_rest() -> None:
        async for page in first:
            received.extend(row.id for row in page.items)

    with pytest.raises(IncompleteError) as caught:
        await read_rest()
    await second.aclose()
    fault.match = lambda _: False
    assert caught.value.checkpoint is not None
    rest = await pull.resume_from(caught.value.checkpoint).collect()
    assert sorted(received + [row.id for row in rest]) == rows


async def test_unfinished_pull_is_closed_with_its_loop() -> None:
    errors: list[Any] = []
    unfinished: list[Any] = []

    async def rows_of(url: str, api_key: str) -> AsyncGenerator[Any, None]:
        async with AiwynClient(base_url=url, api_key=api_key) as aiwyn:
            async for row in aiwyn.invoices.pull(page_size=100):
                yield row

    async def begin() -> None:
        async with Sandbox(invoices=300, seed=1) as other:
            unfinished.append(rows_of(other.url, other.api_key))
            await anext(unfinished[0])

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
            runner.run(begin())

    await asyncio.to_thread(run)
    assert errors == []


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_interrupted_and_resumed_pull_yields_every_row_once(
    aiwyn: AiwynClient, box: Sandbox, seed: int, ordered: bool
) -> None:
    choose = random.Random(seed)
    rows = ids(box)
    bad = set(choose.sample(rows, 3))
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=page_contains(box, bad))
    for status in (429, 500, 503):
        box.faults.add("invoices.search", every=choose.randrange(5, 9), status=status)
    for action in ("truncate", "reset"):
        box.faults.add("invoices.search", every=choose.randrange(7, 11), action=action)
    received: list[Any] = []
    saved: Any = None
    for part in range(60):
        if part == 8:
            fault.match = lambda _: False
        options: Any = {"page_size": choose.choice([40, 130]), "ranges": choose.choice([1, 3, 8])}
        pull = aiwyn.invoices.pull(ordered=ordered, resume=saved, **options)
        part_ids: list[Any] = []
        try:
            async with aclosing(pull.pages()) as pages:
                for _ in range(choose.randrange(1, 12)):
                    # Requesting the next page confirms the one before.
                    page = await anext(pages)
                    part_ids += [row.id for row in page.items]
                    saved = page.checkpoint.to_json()
        except StopAsyncIteration:
            assert pull.report.complete
            assert pull.report.rows_yielded == 3000
            received += part_ids
            break
        except (IncompleteError, RequestError) as error:
            saved = error.checkpoint
        assert saved is not None
        assert not pull.report.complete
        if ordered:
            assert part_ids == sorted(part_ids)
        received += part_ids
    else:
        raise AssertionError("the pull does not end")
    assert sorted(received) == rows
