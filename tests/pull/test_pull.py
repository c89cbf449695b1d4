"""Pulls of the sandbox: complete, while the list changes, with failures, and resumed."""

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


async def read_until_error(pull: Pull[Any], kind: type[Exception]) -> tuple[list[Any], Any]:
    """Return the received ids, and the error that ended the pull."""
    received: list[Any] = []
    try:
        async for row in pull:
            received.append(row.id)  # noqa: PERF401 (the rows before the error are needed)
    except kind as error:
        return received, error
    raise AssertionError("the pull did not fail")


@pytest.mark.parametrize(
    "options",
    [{}, {"ranges": 1}, {"ranges": 64}, {"ordered": True}, {"page_size": 97}, {"paging": "page"}],
    ids=str,
)
async def test_pull_yields_every_row_once(aiwyn: AiwynClient, box: Sandbox, options: Any) -> None:
    pull = aiwyn.invoices.pull(strict=True, **options)
    received = [row.id async for row in pull]
    assert sorted(received) == ids(box)
    if options.get("ordered") or options.get("ranges") == 1:
        assert received == ids(box)
    assert pull.report.complete
    assert pull.report.rows_yielded == 3000
    assert pull.report.total_count_at_start == pull.report.total_count_at_end == 3000
    assert not pull.report.changed_during_read


@pytest.mark.parametrize(
    ("resource", "method"),
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
async def test_every_resource_is_pulled_by_its_method(
    aiwyn: AiwynClient, box: Sandbox, resource: str, method: str
) -> None:
    pull: Pull[Any] = getattr(aiwyn, resource).pull(page_size=200)
    rows = await pull.collect()
    assert pull.report.method == method
    assert pull.report.complete, str(pull.report)
    if resource != "draft_invoices":  # its rows have no key
        assert sorted(row.id for row in rows) == ids(box, resource)
    assert len(rows) == pull.report.total_count_at_end


async def test_condition_applies_to_every_range(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(F.status == "POSTED", page_size=50, strict=True)
    rows = await pull.collect()
    assert {row.status for row in rows} == {"POSTED"}
    assert len(rows) == box.scalar("SELECT count(*) FROM invoices WHERE status = 'POSTED'")
    assert pull.report.ranges_completed > 1


async def test_list_with_filters_is_pulled_by_full_scans(aiwyn: AiwynClient, box: Sandbox) -> None:
    client = int(str(box.scalar("SELECT client_id FROM payments LIMIT 1")))
    pull = aiwyn.payments.pull(aiwyn.payments.list(client_id=client))
    rows = await pull.collect()
    assert len(rows) == box.scalar("SELECT count(*) FROM payments WHERE client_id = ?", (client,))
    assert (pull.report.scans, pull.report.scans_agree) == (2, True)


async def test_short_pull_takes_two_requests(aiwyn: AiwynClient, box: Sandbox) -> None:
    pull = aiwyn.invoices.pull(F.id <= ids(box)[9])
    assert len(await pull.collect()) == 10
    assert pull.report.requests == box.calls("invoices.search") == 2, "the second one confirms the end"
    assert pull.report.total_count_at_end == 10


async def test_pull_without_rows_is_complete(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(F.id < 0, strict=True)
    assert await pull.collect() == []
    assert pull.report.complete


# A list that changes


async def test_rows_present_throughout_are_yielded_once_while_the_list_changes(
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
            received = [row.id async for row in pull]
            box.drift = None
            unchanged = before - set(drift.deleted)
            assert drift.rounds > 40
            assert len(received) == len(set(received)), "no duplicates"
            assert unchanged <= set(received), "no row missed"
            assert pull.report.changed_during_read
            assert pull.report.duplicates == 0

            drift = box.drift = Drift(insert=3, update=20, delete=3, seed=seed)
            # The default of lists: the newest rows first, by page number.
            by_page = aiwyn.invoices.search(order_by=F.updated_at.desc(), paging="page", page_size=page_size)
            async for _ in by_page:
                pass
            assert by_page.report.changed_during_read
            assert by_page.report.duplicates > 0
            with pytest.raises(IncompleteError):
                await aiwyn.invoices.list(page_size=page_size, strict=True).collect()


async def test_full_scans_of_a_list_that_keeps_changing_are_not_complete(
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


async def test_full_scans_continue_until_two_agree(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.drift = Drift(insert=1, delete=1)
    pull = aiwyn.payments.pull(page_size=500, strict=True)
    received: set[Any] = set()
    async for page in pull.pages():
        received |= {row.id for row in page.items}
        if pull.report.scans == 1:
            box.drift = None
    assert pull.report.scans > 2
    assert pull.report.changed_during_read
    assert set(ids(box, "payments")) <= received


async def test_row_inserted_behind_the_pull_is_unaccounted(aiwyn: AiwynClient, box: Sandbox) -> None:
    key = ids(box)[5]
    box.delete("invoices", key)
    pull = aiwyn.invoices.pull(page_size=100)
    received = 0
    async for page in pull.pages():
        received += len(page)
        if received > 2000 and box.scalar("SELECT count(*) FROM invoices WHERE id = ?", (key,)) == 0:
            box.insert("invoices", {"id": key})
    assert pull.report.unaccounted_rows == 1
    assert not pull.report.complete


# Failures of the server


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_range_that_cannot_be_read_is_missing_and_is_resumed_alone(
    aiwyn: AiwynClient, box: Sandbox, where: str, ordered: bool
) -> None:
    rows = ids(box)
    first = {"begin": 0, "middle": 1400, "end": 2960}[where]
    bad = set(rows[first : first + 40])
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4, ordered=ordered)
    received, error = await read_until_error(pull, IncompleteError)
    assert sorted(received) == [key for key in rows if key not in bad]
    (missing,) = pull.report.missing
    low, high = missing.after or 0, missing.until or rows[-1]
    assert bad == {key for key in rows if int(low) < key <= int(high)}
    assert "500" in missing.reason
    assert str(missing) in str(error)
    assert error.report is pull.report

    fault.match = lambda _: False
    searches_before = len(searches(box))
    resumed = aiwyn.invoices.pull(
        page_size=100, ranges=4, ordered=ordered, resume=error.checkpoint.to_json(), strict=True
    )
    resumed_ids = [row.id async for row in resumed]
    assert {int(key) for key in resumed_ids} == bad
    assert {bounds(body) for body in searches(box)[searches_before:]} <= {
        (after, missing.until) for after in [missing.after, *resumed_ids]
    }
    assert resumed.report.complete
    assert resumed.report.rows_yielded == 3000


@pytest.mark.parametrize("status", [400, 502])
async def test_two_unreadable_ranges_are_both_missing(status: int, aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = {*rows[700:705], *rows[2100:2103]}
    box.faults.add("invoices.search", status=status, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4)
    received, _ = await read_until_error(pull, IncompleteError)
    assert sorted(received) == [key for key in rows if key not in bad]
    assert len(pull.report.missing) == 2


async def test_range_with_an_error_in_the_body_is_missing(aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = set(rows[1400:1440])
    body = b'{"errors": [{"message": "database query error"}]}'
    box.faults.add("invoices.search", times=MANY, body=body, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4)
    received, _ = await read_until_error(pull, IncompleteError)
    assert sorted(received) == [key for key in rows if key not in bad]
    assert len(pull.report.missing) == 1
    assert box.calls("invoices.search") < 200


def is_larger_than(rows: int) -> Callable[[Any], bool]:
    return lambda body: body["pageSize"] > rows


@pytest.mark.parametrize(
    ("fault", "paging"),
    [
        ({"status": 413}, "key"),
        ({"status": 413}, "page"),
        ({"status": 500}, "key"),
        ({"status": 504}, "page"),
        ({"action": "close"}, "key"),
        ({"action": "truncate"}, "page"),
        ({"action": "truncate"}, "key"),
    ],
    ids=str,
)
async def test_page_too_large_is_requested_in_smaller_pages(
    aiwyn: AiwynClient, box: Sandbox, fault: Any, paging: Any
) -> None:
    box.faults.add("invoices.search", times=MANY, match=is_larger_than(130), **fault)
    pull = aiwyn.with_options(retries=1).invoices.pull(page_size=500, paging=paging, strict=True)
    assert {row.id for row in await pull.collect()} == set(ids(box))
    assert pull.report.min_page_size == 125


async def test_error_in_the_body_makes_pages_smaller(aiwyn: AiwynClient, box: Sandbox) -> None:
    body = b'{"errors": [{"message": "database query error"}]}'
    box.faults.add("invoices.search", nth=4, times=4, body=body, match=is_larger_than(130))
    pull = aiwyn.invoices.pull(page_size=500, strict=True)
    assert {row.id for row in await pull.collect()} == set(ids(box))
    assert pull.report.method == "key_ranges"
    assert pull.report.min_page_size < 500


async def test_page_size_grows_again_after_failures(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=3, times=6, status=500)
    pull = aiwyn.invoices.pull(page_size=400, ranges=1, strict=True)
    assert len(await pull.collect()) == 3000
    sizes = [body["pageSize"] for body in searches(box)]
    assert min(sizes[2:-1]) < 400
    assert 400 in sizes[-4:-1]


async def test_server_that_always_fails_gets_few_requests(
    aiwyn: AiwynClient, box: Sandbox, clock: FakeClock
) -> None:
    fault = box.faults.add("invoices.search", nth=8, times=MANY, status=503)
    pull = aiwyn.invoices.pull(page_size=100)
    received, error = await read_until_error(pull, ServerError)
    assert fault.hits < 100
    assert pull.report.missing == []
    box.faults.clear()
    rest = await aiwyn.invoices.pull(page_size=100, resume=error.checkpoint).collect()
    assert sorted(received + [row.id for row in rest]) == ids(box)
    assert clock.sleeps


async def test_first_page_that_fails_raises_its_error(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", times=MANY, action="reset")
    with pytest.raises(TransportError):
        await aiwyn.with_options(retries=0).invoices.pull().collect()


async def test_refused_credentials_end_the_pull(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=4, times=MANY, status=401)
    with pytest.raises(AuthenticationError) as caught:
        await aiwyn.invoices.pull(page_size=100).collect()
    assert caught.value.checkpoint is not None


# A server that does not support the key filter


@pytest.mark.parametrize("refusal", ["filter", "order"])
async def test_refused_key_filter_falls_back_to_full_scans(
    aiwyn: AiwynClient, box: Sandbox, refusal: str
) -> None:
    def match(body: Any) -> bool:
        return "where" in body if refusal == "filter" else "orderBy" in body

    box.faults.add("invoices.search", times=MANY, status=400, match=match)
    pull = aiwyn.invoices.pull(page_size=500, strict=True)
    assert sorted(row.id for row in await pull.collect()) == ids(box)
    assert pull.report.method == "full_scan"
    assert "400" in str(pull.report.fallback_reason)


async def test_ignored_key_filter_falls_back_to_full_scans(box: Sandbox, clock: FakeClock) -> None:
    rows = ids(box)

    def repeat_first_rows(body: bytes) -> bytes:
        envelope = msgspec.json.decode(body)
        envelope["deid_invoice"] = [{"id": key} for key in rows[:100]]
        return msgspec.json.encode(envelope)

    box.faults.add(
        "invoices.search",
        times=MANY,
        mutate=repeat_first_rows,
        match=lambda body: "where" in body,  # type: ignore[operator]
    )
    async with AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as aiwyn:
        pull = aiwyn.invoices.pull(page_size=100, strict=True)
        assert sorted(row.id for row in await pull.collect()) == rows
        assert pull.report.method == "full_scan"
        assert "outside the requested range of keys" in str(pull.report.fallback_reason)


# Checkpoints, memory, cancellation


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
    return msgspec.structs.replace(saved, position=saved.position | {"left": ranges})


async def test_pull_of_another_row_type_resumes_after_decode_as(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull(page_size=100).decode_as(dict)
    pages = pull.pages()
    saved = (await anext(pages)).checkpoint
    await pages.aclose()
    for resume in (
        lambda: aiwyn.invoices.pull(resume=saved),
        lambda: pull.resume_from(saved).decode_as(msgspec.Raw),
    ):
        with pytest.raises(CheckpointError, match=r"decode_as\(row_type\)\.resume_from"):
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
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
    pull = aiwyn.invoices.pull(page_size=200, ranges=2)
    first = pull.pages()
    received = [row.id for row in (await anext(first)).items]
    second = pull.pages()
    await anext(second)

    async def read_on() -> None:
        async for page in first:
            received.extend(row.id for row in page.items)

    with pytest.raises(IncompleteError) as caught:
        await read_on()
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
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=would_bring(box, bad))
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


# Reports, progress, arguments


async def test_progress_reports_rows_and_ranges(aiwyn: AiwynClient) -> None:
    reported: list[Progress] = []
    await aiwyn.invoices.pull(page_size=100, ranges=4, on_progress=reported.append).collect()
    assert [each.rows for each in reported] == sorted(each.rows for each in reported)
    assert reported[-1].rows == reported[-1].total == 3000
    assert max(len(each.ranges) for each in reported) == 4
    assert all(0 <= each.fraction <= 1 for progress in reported for each in progress.ranges)


async def test_report_is_shown_as_json_and_as_a_table(aiwyn: AiwynClient) -> None:
    pull = aiwyn.invoices.pull()
    await pull.collect()
    report = msgspec.json.decode(pull.report.to_json())
    assert (report["rows_yielded"], report["complete"], report["problems"]) == (3000, True, [])
    console = Console(width=120, file=io.StringIO())
    console.print(pull.report)
    assert "3,000 yielded" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "once" in pull.report.guarantee


@pytest.mark.parametrize("kind", [dict, msgspec.Raw, InvoiceSearchRow])
async def test_pull_decodes_rows_as_any_type(aiwyn: AiwynClient, kind: Any) -> None:
    rows = await aiwyn.invoices.pull(page_size=500).decode_as(kind).collect()
    assert len(rows) == 3000
    assert isinstance(rows[0], kind)


@pytest.mark.parametrize(
    "wrong",
    [{"ranges": 0}, {"ranges": 65}, {"page_size": 0}, {"on_bad_row": "no"}, {"paging": "no"}],
    ids=str,
)
def test_invalid_arguments_are_refused_before_any_request(wrong: Any) -> None:
    aiwyn = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(ConfigurationError):
        aiwyn.invoices.pull(**wrong)


async def test_bad_rows_are_counted_and_collected(aiwyn: AiwynClient, box: Sandbox) -> None:
    def break_one(body: bytes) -> bytes:
        envelope = msgspec.json.decode(body)
        envelope["deid_invoice"][0]["totalAmount"] = {"no": "number"}
        return msgspec.json.encode(envelope)

    box.faults.add("invoices.search", nth=1, mutate=break_one)
    pull = aiwyn.invoices.pull(page_size=1000, on_bad_row="collect")
    assert len(await pull.collect()) == 2999
    assert pull.report.bad_rows == len(pull.bad_rows) == 1
    assert not pull.report.complete


async def test_earlier_read_of_changes_does_not_move_the_bookmark_of_a_later_one(
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
