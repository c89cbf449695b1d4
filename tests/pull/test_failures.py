"""Pulls of a server that fails, or that does not support the key filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import (
    AiwynClient,
    AuthenticationError,
    IncompleteError,
    Pull,
    RateLimitError,
    ServerError,
    TransportError,
)
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from edited_checkpoints import edited
from unreadable_rows import bounds, ids, page_contains

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


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_range_that_cannot_be_read_is_missing_and_is_resumed_alone(
    aiwyn: AiwynClient, box: Sandbox, where: str, ordered: bool
) -> None:
    rows = ids(box)
    first = {"begin": 0, "middle": 1400, "end": 2960}[where]
    bad = set(rows[first : first + 40])
    fault = box.faults.add("invoices.search", status=500, times=MANY, match=page_contains(box, bad))
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
    requested = {bounds(body) for body in searches(box)[searches_before:] if body["pageSize"] > 1}
    assert requested <= {(after, missing.until) for after in [missing.after, *resumed_ids]}
    assert resumed.report.complete
    assert resumed.report.rows_yielded == 3000


@pytest.mark.parametrize("status", [400, 502])
async def test_two_unreadable_ranges_are_both_missing(status: int, aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = {*rows[700:705], *rows[2100:2103]}
    box.faults.add("invoices.search", status=status, times=MANY, match=page_contains(box, bad))
    pull = aiwyn.invoices.pull(page_size=100, ranges=4)
    received, _ = await read_until_error(pull, IncompleteError)
    assert sorted(received) == [key for key in rows if key not in bad]
    assert len(pull.report.missing) == 2


@pytest.mark.parametrize(
    "body",
    [b'{"errors": [{"message": "database query error"}]}', b'{"deid_invoice":[}'],
    ids=["error", "invalid JSON"],
)
async def test_range_with_an_unusable_body_is_missing(body: bytes, aiwyn: AiwynClient, box: Sandbox) -> None:
    rows = ids(box)
    bad = set(rows[1400:1440])
    box.faults.add("invoices.search", times=MANY, body=body, match=page_contains(box, bad))
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


@pytest.mark.parametrize("fault", [{"action": "close"}, {"action": "reset"}, {"status": 500}], ids=str)
@pytest.mark.parametrize("kind", ["new", "resumed", "by page"])
async def test_server_that_never_responds_gets_the_requests_of_one_page(
    aiwyn: AiwynClient, box: Sandbox, kind: str, fault: Any
) -> None:
    options: dict[str, Any] = {"paging": "page"} if kind == "by page" else {}
    if kind == "resumed":
        pages = aiwyn.invoices.pull(page_size=100).pages()
        checkpoint = (await anext(pages)).checkpoint
        await pages.aclose()
        left = [{"after": low, "until": low + 100} for low in range(1000, 1800, 100)]
        options["resume"] = edited(checkpoint, left=left)
    before = box.calls("invoices.search")
    box.faults.add("invoices.search", times=MANY, **fault)
    pull = aiwyn.invoices.pull(page_size=100, ranges=8, **options)
    with pytest.raises((TransportError, ServerError)) as caught:
        await pull.collect()
    assert len(caught.value.attempts) == 6
    # A request on a connection that the server closed is sent again for free.
    assert box.calls("invoices.search") - before <= 9


async def test_lasting_429_ends_the_pull_although_smaller_pages_are_accepted(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.faults.add("invoices.search", nth=4, times=MANY, status=429, match=is_larger_than(1))
    pull = aiwyn.invoices.pull(page_size=100)
    _, error = await read_until_error(pull, RateLimitError)
    assert pull.report.min_page_size == 100
    box.faults.clear()
    rest = aiwyn.invoices.pull(page_size=100, resume=error.checkpoint, strict=True)
    await rest.collect()
    assert rest.report.rows_yielded == 3000


async def test_refused_credentials_end_the_pull(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=4, times=MANY, status=401)
    with pytest.raises(AuthenticationError) as caught:
        await aiwyn.invoices.pull(page_size=100).collect()
    assert caught.value.checkpoint is not None


# A server that does not support the key filter


@pytest.mark.parametrize("refused", ["filter", "order"])
async def test_refused_key_filter_falls_back_to_full_scans(
    aiwyn: AiwynClient, box: Sandbox, refused: str
) -> None:
    def match(body: Any) -> bool:
        return "where" in body if refused == "filter" else "orderBy" in body

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


@pytest.mark.parametrize("row", [b'{"id":%d,"odd":NaN,', b'{"id":%d,"odd":"\t",'])
async def test_full_scan_after_key_ranges_counts_and_collects_a_bad_row_once(
    aiwyn: AiwynClient, box: Sandbox, row: bytes
) -> None:
    key = ids(box)[0]
    box.faults.add("invoices.search", times=MANY, status=400, match=lambda body: "where" in str(body))
    for route in ("invoices.list", "invoices.search"):
        box.faults.add(route, every=1, mutate=lambda body: body.replace(b'{"id":%d,' % key, row % key))
    pull = aiwyn.invoices.pull(page_size=500, on_bad_row="collect")

    assert sorted(row.id for row in await pull.collect()) == ids(box)[1:]
    assert pull.report.method == "full_scan"
    assert (pull.report.rows_yielded, pull.report.bad_rows) == (len(ids(box)), 1)
    assert [bad.key for bad in pull.bad_rows] == [key]
