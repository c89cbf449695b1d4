"""Checkpoints: resuming reads, and invalid checkpoints."""

# The position of a checkpoint is private.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import CheckpointError, ServerError
from aiwyn_async.filters import F
from aiwyn_async.sandbox import Sandbox
from edited_checkpoints import edited
from invoice_lists import listed_ids

RESUME = """
import asyncio, sys
from aiwyn_async import AiwynClient
async def main():
    url, key, checkpoint = sys.argv[1:]
    async with AiwynClient(base_url=url, api_key=key) as client:
        print(*[row.id async for row in client.invoices.list(page_size=10, resume=checkpoint)])
asyncio.run(main())
"""


async def test_list_resumes_in_another_process(aiwyn: AiwynClient, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, status=500, match=lambda body: cast("Any", body)["page"] == 6)
    pager = aiwyn.invoices.list(page_size=10)
    keys: list[Any] = []

    async def read() -> None:
        async for row in pager:
            keys.append(row.id)  # noqa: PERF401 (an error ends it)

    with pytest.raises(ServerError) as caught:
        await read()
    assert len(keys) == 60
    assert caught.value.checkpoint is not None
    assert pager.report.stop_reason == "error"
    box.faults.clear()
    text = caught.value.checkpoint.to_json()
    assert len(text) < 400
    run = [sys.executable, "-c", RESUME, box.url, box.api_key, text]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, check=True)
    assert keys + [int(word) for word in done.stdout.split()] == listed_ids(box)


@pytest.mark.parametrize("limit", [5, 15, 25, 35])
async def test_read_resumed_after_a_limit_is_complete(aiwyn: AiwynClient, box: Sandbox, limit: int) -> None:
    """Rows cut off by the limit are received again, which is not reported as a change of the list."""
    first = aiwyn.invoices.list(page_size=10, limit=limit)
    rows = await first.collect()
    rest = aiwyn.invoices.list(page_size=10, strict=True, resume=first.checkpoint)
    rows += await rest.collect()
    assert [row.id for row in rows] == listed_ids(box)
    assert (rest.report.duplicates, rest.report.rows_yielded, rest.report.complete) == (0, 95, True)


async def test_checkpoint_of_another_query_is_rejected(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(page_size=10)
    text = page.checkpoint.to_json()
    for other in (
        lambda: aiwyn.invoices.list(status="POSTED", resume=text),
        lambda: aiwyn.invoices.list(sort_order="asc", resume=text),
        lambda: aiwyn.invoices.search(resume=text),
    ):
        with pytest.raises(CheckpointError, match="another query"):
            other()
    assert Checkpoint.from_json(text) == page.checkpoint


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_checkpoint_is_read_as_a_database_returns_its_bytes(aiwyn: AiwynClient, kind: Any) -> None:
    page = await aiwyn.invoices.list(page_size=10)
    stored = kind(page.checkpoint.to_json().encode())
    assert Checkpoint.from_json(stored) == page.checkpoint
    assert aiwyn.invoices.list(page_size=10, resume=stored).is_resumed


async def test_path_in_place_of_a_checkpoint_is_named(aiwyn: AiwynClient) -> None:
    with pytest.raises(
        CheckpointError, match=r"a checkpoint is the text of its to_json.., not .*stored.json"
    ):
        aiwyn.invoices.list(resume=cast("Any", Path("stored.json")))


async def test_resumed_read_has_first_and_count(aiwyn: AiwynClient, box: Sandbox) -> None:
    page = await aiwyn.invoices.list(page_size=10)
    resumed = aiwyn.invoices.list(page_size=10, resume=page.checkpoint)
    first = await resumed.first()
    assert first is not None
    assert first.id == listed_ids(box)[10]
    assert await resumed.count() == 95


async def test_checkpoint_preserves_exact_amounts(aiwyn: AiwynClient, box: Sandbox) -> None:
    big = Decimal("12345678.90")
    box.insert("invoices", {"totalAmount": str(big)}, count=3)
    pager = aiwyn.invoices.search(order_by=F.total_amount.desc(), page_size=1)
    page = await pager
    again = Checkpoint.from_json(page.checkpoint.to_json())
    assert again.position["after"][0] == big
    rest = await aiwyn.invoices.search(order_by=F.total_amount.desc(), resume=again, page_size=1).collect()
    assert len(rest) == 97


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)

damages = st.dictionaries(
    st.sampled_from(
        (
            "pages_received",
            "size",
            "style",
            "rows",
            "yielded",
            "next",
            "yielded_before",
            "before",
            "probe",
            "stop_reason",
            "after",
        )
    ),
    json | st.sampled_from(("number", "limit", "break")) | st.integers(-2, 5),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(damages, st.booleans(), json)
def test_damaged_checkpoint_is_rejected_or_valid(
    aiwyn_offline: AiwynClient, damage: dict[str, Any], by_key: bool, instead: Any
) -> None:
    resource = aiwyn_offline.invoices
    begin = resource.search if by_key else resource.list
    good = begin()._start().checkpoint()
    texts: list[Any] = [
        edited(good, **damage),
        msgspec.json.encode(instead),
        good.to_json().encode()[:-3],
    ]
    for text in texts:
        try:
            pagination = begin(resume=text)._start()._pagination
        except CheckpointError:
            continue
        request = pagination.next_request()
        if request is not None:
            assert 1 <= request.size <= 1000
            assert request.fields.get("page", 0) >= 0


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "x", "\ud800", b"\xff", '{"version":2}', "[" * 100_000, {"version": 1}, 5, object()],
)
def test_invalid_checkpoint_is_rejected(aiwyn_offline: AiwynClient, text: Any) -> None:
    with pytest.raises(CheckpointError):
        aiwyn_offline.invoices.list(resume=text)


@pytest.mark.parametrize("value", [object(), "\ud800", {1j: 2}])
def test_checkpoint_that_is_no_json_is_not_stored(value: Any) -> None:
    checkpoint = Checkpoint(endpoint="/x", query="0", position={"after": value})
    with pytest.raises(CheckpointError, match="a checkpoint cannot be stored: "):
        checkpoint.to_json()


@pytest.mark.parametrize("verb", ["list", "search", "pull", "changes"])
async def test_checkpoint_of_another_server_is_rejected(verb: str, aiwyn: AiwynClient, box: Sandbox) -> None:
    read = getattr(aiwyn.invoices, verb)
    pages = read(page_size=20).pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    other = AiwynClient(base_url=box.url.replace("127.0.0.1", "localhost"), api_key=box.api_key)
    async with other:
        with pytest.raises(CheckpointError, match="another server"):
            getattr(other.invoices, verb)(page_size=20, resume=checkpoint)
    assert len(await read(page_size=20, resume=checkpoint).collect()) == 75
