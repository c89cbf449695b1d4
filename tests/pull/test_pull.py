"""Pulls of a real server: whole, while it moves, while it fails, and resumed."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from aiwyn_async import (
    AiwynClient,
    AuthenticationError,
    Checkpoint,
    CheckpointError,
    ConfigurationError,
    F,
    FileState,
    IncompleteError,
    InvoiceSearchRow,
    Pull,
    RequestError,
    ServerError,
    TransportError,
)
from aiwyn_async._pull.progress import Progress
from aiwyn_async.sandbox import Drift, Sandbox
from fake_clock import FakeClock
from looking_inside import assert_nothing_is_held
from unreadable_rows import bounds, ids, would_bring

MANY = 1_000_000


def searches(box: Sandbox) -> list[Any]:
    return [each.body for each in box.requests if each.route == "invoices.search"]


async def until_it_fails(pull: Pull[Any], kind: type[Exception]) -> tuple[list[Any], Any]:
    """The ids that came, and the error that ended it."""
    found: list[Any] = []
    try:
        async for row in pull:
            found.append(row.id)  # noqa: PERF401 (what came before the error counts)
    except kind as error:
        return found, error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    "options",
    [{}, {"ranges": 1}, {"ranges": 64}, {"ordered": True}, {"page_size": 97}, {"paging": "page"}],
    ids=str,
)
async def test_every_row_comes_once(aiwyn: AiwynClient, box: Sandbox, options: Any) -> None:
    pull = aiwyn.invoices.pull(strict=True, **options)
    found = [row.id async for row in pull]
    assert sorted(found) == ids(box)
    if options.get("ordered") or options.get("ranges") == 1:
        assert found == ids(box)
    assert pull.report.complete
    assert pull.report.rows_yielded == 3000
    assert pull.report.total_count_at_start == pull.report.total_count_at_end == 3000
    assert not pull.report.changed_during_read


@pytest.mark.parametrize(
    ("tag", "method"),
    [
        ("clients", "key_ranges"),
        ("contacts", "full_scan"),
        ("draft_invoices", "full_scan"),
        ("engagements", "key_ranges"),
        ("payments", "full_scan"),
        ("projects", "full_scan"),
        ("staff", "key_ranges"),
        ("wip", "key_ranges"),
    ],
)
@pytest.mark.filterwarnings("ignore::aiwyn_async.errors.UndocumentedEndpointWarning")
async def test_every_tag_is_pulled_in_the_way_it_allows(
    aiwyn: AiwynClient, box: Sandbox, tag: str, method: str
) -> None:
    pull: Pull[Any] = getattr(aiwyn, tag).pull(page_size=200)
    rows = await pull.collect()
    assert pull.report.method == method
    assert pull.report.complete, str(pull.report)
    if tag != "draft_invoices":  # whose rows are shown without a key
        assert sorted(row.id for row in rows) == ids(box, tag)
    assert len(rows) == pull.report.total_count_at_end


async def test_a_condition_is_kept_in_every_range(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(F.status == "POSTED", page_size=50, strict=True)
    rows = await pull.collect()
    assert {row.status for row in rows} == {"POSTED"}
    assert len(rows) == box.scalar("SELECT count(*) FROM invoices WHERE status = 'POSTED'")
    assert pull.report.ranges_completed > 1


async def test_a_list_with_filters_is_pulled_by_passes(aiwyn: AiwynClient, box: Sandbox) -> None:
    client = int(str(box.scalar("SELECT client_id FROM payments LIMIT 1")))
    pull = aiwyn.payments.pull(client_id=client)
    rows = await pull.collect()
    assert len(rows) == box.scalar("SELECT count(*) FROM payments WHERE client_id = ?", (client,))
    assert (pull.report.scans, pull.report.scans_agree) == (2, True)


async def test_little_takes_two_requests(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(F.id <= ids(box)[9])
    assert len(await pull.collect()) == 10
    assert pull.report.requests == box.calls("invoices.search") == 2, "the second sees that no more come"
    assert pull.report.total_count_at_end == 10


async def test_nothing_at_all_is_complete(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(F.id < 0, strict=True)
    assert await pull.collect() == []
    assert pull.report.complete


# The list moves


async def test_rows_that_stay_are_neither_missed_nor_doubled_while_the_list_moves(
    pytestconfig: pytest.Config,
) -> None:
    rows, seeds = (
        int(str(pytestconfig.getoption("--drift-rows"))),
        int(str(pytestconfig.getoption("--drift-seeds"))),
    )
    page_size = min(1000, max(100, rows // 100))
    for seed in range(seeds):
        async with (
            Sandbox(invoices=rows, seed=seed) as box,
            AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
        ):
            before = set(ids(box))
            drift = box.drift = Drift(insert=3, update=20, delete=3, seed=seed)
            pull = aiwyn.invoices.pull(page_size=page_size, strict=True)
            found = [row.id async for row in pull]
            box.drift = None
            stayed = before - set(drift.deleted)
            assert drift.rounds > 40
            assert len(found) == len(set(found)), "0 duplicates"
            assert stayed <= set(found), "0 missed"
            assert pull.report.changed_during_read
            assert pull.report.duplicates == 0

            drift = box.drift = Drift(insert=3, update=20, delete=3, seed=seed)
            # What lists are by default: the newest first, by number of page.
            walk = aiwyn.invoices.search(order_by=F.updated_at.desc(), paging="page", page_size=page_size)
            async for _ in walk:
                pass
            assert walk.report.changed_during_read
            assert walk.report.duplicates > 0
            with pytest.raises(IncompleteError):
                await aiwyn.invoices.list(page_size=page_size, strict=True).collect()


async def test_passes_over_a_list_that_keeps_moving_never_claim_to_agree(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.drift = Drift(insert=1)
    pull = aiwyn.payments.pull(page_size=500)
    rows = await pull.collect()
    assert len({row.id for row in rows}) == len(rows)
    assert pull.report.scans_agree is False
    assert not pull.report.complete
    with pytest.raises(IncompleteError, match="keeps changing"):
        await aiwyn.payments.pull(page_size=500, strict=True).collect()


async def test_passes_go_on_until_the_list_is_still(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.drift = Drift(insert=1, delete=1)
    pull = aiwyn.payments.pull(page_size=500, strict=True)
    found: set[Any] = set()
    async for batch in pull.pages():
        found |= {row.id for row in batch.items}
        if pull.report.scans == 1:
            box.drift = None
    assert pull.report.scans > 2
    assert pull.report.changed_during_read
    assert set(ids(box, "payments")) <= found


async def test_a_row_inserted_behind_the_pull_is_told(aiwyn: AiwynClient, box: Sandbox) -> None:
    gone = ids(box)[5]
    box.delete("invoices", gone)
    pull = aiwyn.invoices.pull(page_size=100)
    given = 0
    async for batch in pull.pages():
        given += len(batch)
        if given > 2000 and box.scalar("SELECT count(*) FROM invoices WHERE id = ?", (gone,)) == 0:
            box.insert("invoices", {"id": gone})
    assert pull.report.unaccounted_rows == 1
    assert not pull.report.complete


# The server fails


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_a_range_that_fails_for_good_costs_itself_alone_and_is_healed_alone(
    aiwyn: AiwynClient, box: Sandbox, where: str, ordered: bool
) -> None:
    rows = ids(box)
    first = {"begin": 0, "middle": 1400, "end": 2960}[where]
    bad = set(rows[first : first + 40])
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4, ordered=ordered)
    found, error = await until_it_fails(pull, IncompleteError)
    assert sorted(found) == [key for key in rows if key not in bad]
    (missing,) = pull.report.missing
    low, high = missing.after or 0, missing.until or rows[-1]
    assert bad == {key for key in rows if int(low) < key <= int(high)}
    assert "500" in missing.reason
    assert str(missing) in str(error)
    assert error.report is pull.report

    fault.match = lambda _: False
    asked_before = len(searches(box))
    resumed = aiwyn.invoices.pull(
        page_size=100, ranges=4, ordered=ordered, resume=error.checkpoint.to_json(), strict=True
    )
    healed = [row.id async for row in resumed]
    assert {int(key) for key in healed} == bad
    asked = searches(box)[asked_before:]
    assert {bounds(body) for body in asked} <= {(after, missing.until) for after in [missing.after, *healed]}
    assert resumed.report.complete
    assert resumed.report.rows_yielded == 3000


@pytest.mark.parametrize("status", [400, 502])
async def test_two_stretches_that_fail_are_both_named(status: int, aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = {*rows[700:705], *rows[2100:2103]}
    box.faults.add("invoices.search", status=status, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4)
    found, _ = await until_it_fails(pull, IncompleteError)
    assert sorted(found) == [key for key in rows if key not in bad]
    assert len(pull.report.missing) == 2


async def test_a_stretch_whose_error_is_told_in_the_body_costs_itself_alone(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    rows = ids(box)
    bad = set(rows[1400:1440])
    told = b'{"errors": [{"message": "database query error"}]}'
    box.faults.add("invoices.search", times=MANY, body=told, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4)
    found, _ = await until_it_fails(pull, IncompleteError)
    assert sorted(found) == [key for key in rows if key not in bad]
    assert len(pull.report.missing) == 1
    assert box.calls("invoices.search") < 200


def is_larger_than(rows: int) -> Callable[[Any], bool]:
    return lambda body: body["pageSize"] > rows


@pytest.mark.parametrize(
    ("fault", "paging"),
    [
        ({"status": 413}, "key_ranges"),
        ({"status": 413}, "page"),
        ({"status": 500}, "key_ranges"),
        ({"status": 504}, "page"),
        ({"action": "close"}, "key_ranges"),
        ({"action": "truncate"}, "page"),
        ({"action": "truncate"}, "key_ranges"),
    ],
    ids=str,
)
async def test_a_page_too_large_is_asked_for_in_smaller_ones(
    aiwyn: AiwynClient, box: Sandbox, fault: Any, paging: Any
) -> None:
    box.faults.add("invoices.search", times=MANY, match=is_larger_than(130), **fault)
    pull = aiwyn.with_options(retries=1).invoices.pull(page_size=500, paging=paging, strict=True)
    assert {row.id for row in await pull.collect()} == set(ids(box))
    assert pull.report.min_page_size == 125


async def test_an_error_told_in_the_body_may_be_for_the_size_of_the_page(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    told = b'{"errors": [{"message": "database query error"}]}'
    box.faults.add("invoices.search", nth=4, times=4, body=told, match=is_larger_than(130))
    pull = aiwyn.invoices.pull(page_size=500, strict=True)
    assert {row.id for row in await pull.collect()} == set(ids(box))
    assert pull.report.method == "key_ranges"
    assert pull.report.min_page_size < 500


async def test_the_page_size_grows_back(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=3, times=6, status=500)
    pull = aiwyn.invoices.pull(page_size=400, ranges=1, strict=True)
    assert len(await pull.collect()) == 3000
    sizes = [body["pageSize"] for body in searches(box)]
    assert min(sizes[2:-1]) < 400
    assert 400 in sizes[-4:-1]


async def test_a_server_that_fails_altogether_is_not_stormed(
    aiwyn: AiwynClient, box: Sandbox, clock: FakeClock
) -> None:
    fault = box.faults.add("invoices.search", nth=8, times=MANY, status=503)
    pull = aiwyn.invoices.pull(page_size=100)
    found, error = await until_it_fails(pull, ServerError)
    assert fault.hits < 100
    assert pull.report.missing == []
    box.faults.clear()
    rest = await aiwyn.invoices.pull(page_size=100, resume=error.checkpoint).collect()
    assert sorted(found + [row.id for row in rest]) == ids(box)
    assert clock.sleeps


async def test_a_first_page_that_fails_for_the_whole_server_raises_its_error(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.faults.add("invoices.search", times=MANY, action="reset")
    with pytest.raises(TransportError):
        await aiwyn.with_options(retries=0).invoices.pull().collect()


async def test_credentials_that_are_refused_end_it_at_once(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=4, times=MANY, status=401)
    with pytest.raises(AuthenticationError) as caught:
        await aiwyn.invoices.pull(page_size=100).collect()
    assert caught.value.checkpoint is not None


# The server does not take the key filter


@pytest.mark.parametrize("refusal", ["filter", "order"])
async def test_a_key_filter_that_is_refused_makes_it_passes(
    aiwyn: AiwynClient, box: Sandbox, refusal: str
) -> None:
    def match(body: Any) -> bool:
        return "where" in body if refusal == "filter" else "orderBy" in body

    box.faults.add("invoices.search", times=MANY, status=400, match=match)
    pull = aiwyn.invoices.pull(page_size=500, strict=True)
    assert sorted(row.id for row in await pull.collect()) == ids(box)
    assert pull.report.method == "full_scan"
    assert "400" in str(pull.report.fallback_reason)


async def test_a_server_that_ignores_the_key_filter_is_found_out(box: Sandbox, clock: FakeClock) -> None:
    rows = ids(box)

    def always_the_first(body: bytes) -> bytes:
        answer = msgspec.json.decode(body)
        answer["deid_invoice"] = [{"id": key} for key in rows[:100]]
        return msgspec.json.encode(answer)

    box.faults.add(
        "invoices.search",
        times=MANY,
        mutate=always_the_first,
        match=lambda body: "where" in body,  # type: ignore[operator]
    )
    async with AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as aiwyn:
        pull = aiwyn.invoices.pull(page_size=100, strict=True)
        assert sorted(row.id for row in await pull.collect()) == rows
        assert pull.report.method == "full_scan"
        assert "outside the range" in str(pull.report.fallback_reason)


# Checkpoints, memory, cancellation


@pytest.mark.parametrize("ordered", [False, True])
async def test_it_goes_on_from_any_batch(aiwyn: AiwynClient, box: Sandbox, ordered: bool) -> None:
    for stop in (1, 2, 7, 20):
        pull = aiwyn.invoices.pull(page_size=100, ordered=ordered)
        found: list[Any] = []
        saved = ""
        async for batch in pull.pages():
            found += [row.id for row in batch.items]
            saved = batch.checkpoint.to_json()
            if len(found) >= stop * 100:
                break
        resumed = aiwyn.invoices.pull(page_size=100, ordered=ordered, resume=saved, strict=True)
        found += [row.id async for row in resumed]
        assert sorted(found) == ids(box)
        assert resumed.report.rows_yielded == 3000
        assert box.api_key not in saved


@pytest.mark.filterwarnings("ignore::aiwyn_async.errors.UndocumentedEndpointWarning")
async def test_a_checkpoint_belongs_to_its_query_and_row_type(aiwyn: AiwynClient) -> None:
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
    return msgspec.structs.replace(saved, position=saved.position | {"left": ranges})


async def test_a_pull_of_other_rows_is_resumed_after_it_was_given_their_type(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=100).decode_as(dict)
    batches = pull.pages()
    saved = (await anext(batches)).checkpoint
    await batches.aclose()
    for wrong in (
        lambda: aiwyn.invoices.pull(resume=saved),
        lambda: pull.resume_from(saved).decode_as(msgspec.Raw),
    ):
        with pytest.raises(CheckpointError, match=r"decode_as\(row_type\)\.resume_from"):
            wrong()
    rest = await aiwyn.invoices.pull().decode_as(dict).resume_from(saved.to_json()).collect()
    assert len(rest) == 2900


async def test_a_resumed_pull_calls_no_key_gone(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(page_size=100)
    await pull.collect()
    assert pull.checkpoint is not None
    with pytest.raises(ConfigurationError, match="only some of the keys"):
        await aiwyn.invoices.reconcile_keys(ids(box), pull.resume_from(pull.checkpoint))


async def test_what_a_fallen_back_resumed_pull_gives_is_counted_once(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    pull = aiwyn.invoices.pull(page_size=100, ranges=1)
    batches = pull.pages()
    await anext(batches)
    saved = (await anext(batches)).checkpoint
    await batches.aclose()
    box.faults.add("invoices.search", times=MANY, status=400, match=lambda body: "where" in body)  # type: ignore[operator]
    resumed = aiwyn.invoices.pull(page_size=100, resume=saved, strict=True)
    assert sorted(row.id for row in await resumed.collect()) == ids(box)
    assert resumed.report.rows_yielded == 3000


async def test_a_slow_consumer_holds_one_page_a_range_and_no_more(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(page_size=50, ranges=4)
    batches = pull.pages()
    for _ in range(4):
        await anext(batches)
    for _ in range(3000):  # turns of the loop in which more requests would go out
        await asyncio.sleep(0)
    asked = box.calls("invoices.search")
    for _ in range(3000):
        await asyncio.sleep(0)
    assert box.calls("invoices.search") == asked <= 4 + 1 + 4
    await batches.aclose()
    await assert_nothing_is_held(aiwyn)


async def test_the_token_is_renewed_while_a_consumer_takes_its_time(
    aiwyn: AiwynClient, box: Sandbox, clock: FakeClock
) -> None:
    number = 0
    async for _ in aiwyn.invoices.pull(page_size=500, ranges=1):
        number += 1
        clock.advance(1)  # a row a second
        if number % 500 == 0:
            box.expire_tokens()
    assert number == 3000
    assert box.calls("auth.token") > 3


async def test_breaks_and_cancellations_leave_nothing(aiwyn: AiwynClient, box: Sandbox) -> None:
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


async def test_two_uses_at_a_time_know_nothing_of_each_other(aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = set(rows[-40:])
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=200, ranges=2)
    first = pull.pages()
    given = [row.id for row in (await anext(first)).items]
    second = pull.pages()
    await anext(second)

    async def read_on() -> None:
        async for batch in first:
            given.extend(row.id for row in batch.items)

    with pytest.raises(IncompleteError) as caught:
        await read_on()
    await second.aclose()
    fault.match = lambda _: False
    assert caught.value.checkpoint is not None
    healed = await pull.resume_from(caught.value.checkpoint).collect()
    assert sorted(given + [row.id for row in healed]) == rows


async def test_a_loop_that_ends_closes_a_pull_that_was_left() -> None:
    told: list[Any] = []
    left: list[Any] = []

    async def rows_of(url: str, api_key: str) -> AsyncGenerator[Any, None]:
        async with AiwynClient(base_url=url, api_key=api_key) as aiwyn:
            async for row in aiwyn.invoices.pull(page_size=100):
                yield row

    async def begin() -> None:
        async with Sandbox(invoices=300, seed=1) as other:
            left.append(rows_of(other.url, other.api_key))
            await anext(left[0])

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda _, context: told.append(context))
            runner.run(begin())

    await asyncio.to_thread(run)
    assert told == []


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_interrupted_at_any_time_and_gone_on_it_brings_each_row_once(
    aiwyn: AiwynClient, box: Sandbox, seed: int, ordered: bool
) -> None:
    choose = random.Random(seed)
    rows = ids(box)
    bad = set(choose.sample(rows, 3))
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
    for status in (429, 500, 503):
        box.faults.add("invoices.search", every=choose.randrange(5, 9), status=status)
    for action in ("truncate", "reset"):
        box.faults.add("invoices.search", every=choose.randrange(7, 11), action=action)
    found: list[Any] = []
    saved: Any = None
    for part in range(60):
        if part == 8:
            fault.match = lambda _: False
        options: Any = {"page_size": choose.choice([40, 130]), "ranges": choose.choice([1, 3, 8])}
        pull = aiwyn.invoices.pull(ordered=ordered, resume=saved, **options)
        here: list[Any] = []
        try:
            async with aclosing(pull.pages()) as batches:
                for _ in range(choose.randrange(1, 12)):
                    # That this page is asked for tells that the one before is kept.
                    batch = await anext(batches)
                    here += [row.id for row in batch.items]
                    saved = batch.checkpoint.to_json()
        except StopAsyncIteration:
            assert pull.report.complete
            assert pull.report.rows_yielded == 3000
            found += here
            break
        except (IncompleteError, RequestError) as error:
            saved = error.checkpoint
        assert saved is not None
        assert not pull.report.complete
        if ordered:
            assert here == sorted(here)
        found += here
    else:
        raise AssertionError("it comes to no end")
    assert sorted(found) == rows


# Reports, progress, arguments


async def test_progress_tells_rows_and_ranges(aiwyn: AiwynClient) -> None:
    told: list[Progress] = []
    await aiwyn.invoices.pull(page_size=100, ranges=4, on_progress=told.append).collect()
    assert [each.rows for each in told] == sorted(each.rows for each in told)
    assert told[-1].rows == told[-1].total == 3000
    assert max(len(each.ranges) for each in told) == 4
    assert all(0 <= each.fraction <= 1 for progress in told for each in progress.ranges)


async def test_the_report_is_json_and_a_table(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull()
    await pull.collect()
    told = msgspec.json.decode(pull.report.to_json())
    assert (told["rows_yielded"], told["complete"], told["problems"]) == (3000, True, [])
    console = Console(width=120, file=io.StringIO())
    console.print(pull.report)
    assert "3,000 yielded" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "once" in pull.report.guarantee


@pytest.mark.parametrize("kind", [dict, msgspec.Raw, InvoiceSearchRow])
async def test_rows_of_any_type(aiwyn: AiwynClient, kind: Any) -> None:
    rows = await aiwyn.invoices.pull(page_size=500).decode_as(kind).collect()
    assert len(rows) == 3000
    assert isinstance(rows[0], kind)


@pytest.mark.parametrize(
    "wrong",
    [{"ranges": 0}, {"ranges": 65}, {"page_size": 0}, {"on_bad_row": "no"}, {"paging": "no"}],
    ids=str,
)
def test_wrong_arguments_are_told_before_anything_is_sent(wrong: Any) -> None:
    aiwyn = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(ConfigurationError):
        aiwyn.invoices.pull(**wrong)


async def test_bad_rows_are_counted_and_kept(aiwyn: AiwynClient, box: Sandbox) -> None:
    def break_one(body: bytes) -> bytes:
        answer = msgspec.json.decode(body)
        answer["deid_invoice"][0]["totalAmount"] = {"no": "number"}
        return msgspec.json.encode(answer)

    box.faults.add("invoices.search", nth=1, mutate=break_one)
    pull = aiwyn.invoices.pull(page_size=1000, on_bad_row="collect")
    assert len(await pull.collect()) == 2999
    assert pull.report.bad_rows == len(pull.bad_rows) == 1
    assert not pull.report.complete


async def test_the_end_of_an_earlier_read_of_changes_moves_no_bookmark_of_a_later_one(
    aiwyn: AiwynClient, box: Sandbox, tmp_path: Path
) -> None:
    changes = aiwyn.invoices.changes(state=FileState(tmp_path / "state.json"), page_size=1000)
    earlier = changes.pages()
    await anext(earlier)
    box.insert("invoices", {})
    later = changes.pages()
    await anext(later)
    async for _ in earlier:
        pass
    with pytest.raises(IncompleteError):
        await changes.ack()
    async for _ in later:
        pass
    await changes.ack()
    assert changes.complete
