"""Pulls of the sandbox that are complete, also while the list changes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from aiwyn_async import (
    AiwynClient,
    ConfigurationError,
    F,
    FileState,
    IncompleteError,
    InvoiceSearchRow,
    Pull,
)
from aiwyn_async._pull.progress import Progress
from aiwyn_async.sandbox import Drift, Sandbox
from unreadable_rows import ids


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
    pull = aiwyn.payments.pull(client_id=client)
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


# Reports, progress, arguments


async def test_progress_reports_rows_and_ranges(aiwyn: AiwynClient) -> None:
    reported: list[Progress] = []
    await aiwyn.invoices.pull(page_size=100, ranges=4, on_progress=reported.append).collect()
    assert [each.rows for each in reported] == sorted(each.rows for each in reported)
    assert reported[-1].rows == reported[-1].total == 3000
    assert max(len(each.ranges) for each in reported) == 4
    assert all(0 <= each.fraction <= 1 for progress in reported for each in progress.ranges)


async def test_progress_callback_assigned_later_survives_decode_as(aiwyn: AiwynClient) -> None:
    reported: list[Progress] = []
    pull = aiwyn.invoices.pull(page_size=1000)
    pull.on_progress = reported.append
    await pull.decode_as(dict).collect()
    assert reported[-1].rows == 3000


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
    "arguments",
    [{"ranges": 0}, {"ranges": 65}, {"page_size": 0}, {"on_bad_row": "no"}, {"paging": "no"}],
    ids=str,
)
def test_invalid_arguments_are_refused_before_any_request(arguments: Any) -> None:
    aiwyn = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(ConfigurationError):
        aiwyn.invoices.pull(**arguments)


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
