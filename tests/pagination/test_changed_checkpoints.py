"""Checkpoints that were changed after they were written: refused, whichever field it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient, Checkpoint, CheckpointError, F, FileState, IncompleteError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from edited_checkpoints import edited

READS: dict[str, Callable[..., Any]] = {
    "list": lambda resource, **options: resource.list(page_size=10, **options),
    "search": lambda resource, **options: resource.search(page_size=10, **options),
    "pull": lambda resource, **options: resource.pull(page_size=10, **options),
    "changes": lambda resource, **options: resource.changes(
        since="2000-01-01T00:00:00Z", page_size=10, **options
    ),
}


async def saved_by(read: Any) -> Checkpoint:
    """The checkpoint after the second page."""
    pages = read.pages()
    await anext(pages)
    page = await anext(pages)
    await pages.aclose()
    return page.checkpoint  # type: ignore[no-any-return]


def changed(content: Any) -> Iterator[Any]:
    """Copies of JSON in which one value is another, or absent."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield {other: each for other, each in content.items() if other != name}
            for instead in changed(value):
                yield content | {name: instead}
    elif isinstance(content, list):
        for index, value in enumerate(content):
            for instead in changed(value):
                yield [*content[:index], instead, *content[index + 1 :]]
    elif isinstance(content, str):
        yield content + "1"
    elif isinstance(content, bool):
        yield not content
    elif isinstance(content, int):
        yield content + 1
    else:
        yield 1


@pytest.mark.parametrize("kind", READS)
async def test_checkpoint_with_any_changed_field_is_rejected(kind: str, client: AiwynClient) -> None:
    saved = await saved_by(READS[kind](client.invoices))
    content = json.loads(saved.to_json())
    edits = [each for each in changed(content) if each != content]
    assert len(edits) > 10
    for edit in edits:
        with pytest.raises(CheckpointError):
            READS[kind](client.invoices, resume=json.dumps(edit))


async def test_checkpoint_of_another_version_is_named(client: AiwynClient) -> None:
    saved = await saved_by(client.invoices.list(page_size=10))
    for text in (saved.to_json().replace('"version":1', '"version":99'), '{"version":99,"at":7}'):
        with pytest.raises(CheckpointError, match="checkpoint version 99 is not supported, only 1; start"):
            client.invoices.list(resume=text)
    with pytest.raises(CheckpointError) as raised:
        client.invoices.list(resume=json.dumps({"version": "x" * 100_000}))
    assert len(str(raised.value)) < 500


async def test_checkpoint_is_valid_however_its_json_is_written(client: AiwynClient, sandbox: Sandbox) -> None:
    sandbox.insert("invoices", {"totalAmount": "12345678.50"}, count=20)

    def begin(**options: Any) -> Any:
        return client.invoices.search(order_by=F.total_amount.desc(), page_size=10, **options)

    saved = await saved_by(begin())
    text = json.dumps(json.loads(saved.to_json()), indent=2, sort_keys=True)
    assert len(await begin(resume=text).collect()) == 60


@pytest.mark.parametrize("kind", ["list", "search"])
async def test_count_at_the_start_is_compared_at_the_end_of_a_resumed_read(
    kind: str, client: AiwynClient
) -> None:
    saved = await saved_by(READS[kind](client.invoices))
    if kind == "list":
        moved = edited(saved, next=4)
    else:
        keys = sorted(row.id for row in await client.invoices.search().collect())
        moved = edited(saved, after=[keys[39]])
    read = READS[kind](client.invoices, resume=moved, strict=True)
    with pytest.raises(IncompleteError, match=r"count(s|ed|) .*60"):
        await read.collect()


async def test_damaged_bookmark_file_is_rejected_with_a_fix(client: AiwynClient, tmp_path: Path) -> None:
    state = FileState(tmp_path / "state.json")
    state.path.write_text("not JSON")
    with pytest.raises(CheckpointError, match="damaged or not a bookmark file; remove it to read all"):
        await client.invoices.changes(state=state).collect()


async def test_changed_bookmark_and_other_filters_are_rejected_with_a_fix(
    client: AiwynClient, tmp_path: Path
) -> None:
    state = FileState(tmp_path / "state.json")
    read = client.invoices.changes(state=state)
    await read.collect()
    await read.ack()
    text = state.path.read_text()
    fix = "remove it from the state to read all rows again$"
    filters = "use the filters that it was stored with, or"
    with pytest.raises(
        CheckpointError, match=f"belongs to another query of it, or to another server; {filters} {fix}"
    ):
        await client.invoices.changes(where=F.status == "PAID", state=state).collect()
    state.path.write_text(re.sub(r"20\d\d-", "2099-", text))
    with pytest.raises(CheckpointError, match=f"the bookmark of .* is damaged, or of another release; {fix}"):
        await client.invoices.changes(state=state).collect()


@pytest.mark.parametrize(
    "statement",
    [
        r"UPDATE _aiwyn_sync SET bookmark = regexp_replace(bookmark, '20\d\d-', '2099-')",
        """UPDATE _aiwyn_sync SET skipped = replace(skipped, '"keys":[', '"keys":[1')""",
    ],
)
async def test_changed_state_of_a_sync_causes_a_full_read(
    statement: str, client: AiwynClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "firm.duckdb"
    (key,) = sandbox.insert("invoices", count=1)
    fault = sandbox.faults.add(
        "invoices.search",
        every=1,
        mutate=lambda body: body.replace(b'"id":%d,' % key, b'"id":%d,"torn":"\t",' % key),
    )
    assert (await sync(client.invoices, path, on_bad_row="skip")).skipped == 1
    with duckdb.connect(str(path)) as file:
        file.execute(statement)
    fault.mutate = lambda body: body
    result = await sync(client.invoices, path, on_bad_row="skip")
    assert (result.rows_received, result.inserted, result.skipped) == (61, 1, 0)
