"""Every public value can be copied and pickled, or raises an error that names the fix."""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import pickle
import re
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import aiwyn_async
from aiwyn_async import AiwynClient, BadRow, Checkpoint, F, FileState, Secret, deferred
from aiwyn_async._pull.progress import Progress
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.models.base import Model
from aiwyn_async.models.invoices import InvoiceSearchRow
from aiwyn_async.models.records import Record, RecordType, RecordTypeField
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from aiwyn_async.webhooks import STANDARD_WEBHOOKS, WebhookEvent, WebhookVerifier
from recording_observer import RecordingObserver

MODULES = (
    *("aiwyn_async", "aiwyn_async.webhooks", "aiwyn_async.export", "aiwyn_async.sync"),
    *("aiwyn_async.filters", "aiwyn_async.models.records"),
)
CLIENTS = (
    *(aiwyn_async.AiwynClient, aiwyn_async.ArrowStream, aiwyn_async.Read, aiwyn_async.Collection),
    *(aiwyn_async.Records, aiwyn_async.RecordWrite, aiwyn_async.RecordTypes, aiwyn_async.EventSubscriptions),
    aiwyn_async.Iteration,
    aiwyn_async.Aiwyn,
)
"""Objects that reference a client, or are one."""
PROTOCOLS = {"Clock", "Observer", "StateBackend", "SystemClock"}
SECRETS = {"Config", "Secret"}


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=30, seed=7) as running:
        yield running


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, max_concurrency=8) as client:
        yield client


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def shown(value: Any) -> object:
    """Return what must be equal in a copy."""
    if isinstance(value, aiwyn_async.Page):
        page: Any = value
        raw = [bytes(row) for row in page.raw_items()]
        document = page.document and (page.document.body, page.document.rows_at)
        return (page.items, raw, page.count, page.number, page.checkpoint, page.meta, document)
    return value if isinstance(value, msgspec.Struct) else re.sub(" at 0x.*", "", repr(value))


async def values(aiwyn: AiwynClient, folder: Path) -> list[Any]:
    """Return a value of every public type with data, most of them created by a read."""
    progress: list[Progress] = []
    events = RecordingObserver()
    await asyncio.gather(*(aiwyn.with_options(observer=events).invoices.list().count() for _ in range(9)))
    listed, pull = aiwyn.invoices.list(), aiwyn.invoices.pull(page_size=10, on_progress=progress.append)
    search = aiwyn.invoices.search(page_size=7)
    page, rows = await search, await listed.collect()
    await pull.collect()
    changes = aiwyn.invoices.changes()
    await changes.collect()
    results = [result async for result in aiwyn.invoices.get_many([rows[0].id, 1])]
    write = await aiwyn.records.upsert([{"type": "TEST", "systemRef": 1, "attributes": {}}])
    outcomes = [each async for each in aiwyn.records.upsert([{"type": "TEST", "attributes": {}}])]
    return [
        *(
            page,
            page.meta,
            page.items[0],
            rows[0],
            results[0].item,
            *results,
            search.checkpoint,
            search.report,
        ),
        *(plan := await aiwyn.invoices.plan(parts=2, page_size=10), *plan.partitions),
        *(listed.report, pull.report, pull.checkpoint, progress[-1], changes.report, changes.checkpoint),
        *(
            await aiwyn.invoices.reconcile_keys([1]),
            write,
            outcomes[0],
            BadRow(0, 1, "broken", b"{}", 7),
        ),
        *(events.calls[0], events.waits[0], events.attempts[0], events.ends[0]),
        *(F, F.client.name, F.a.contains("x") & (F.b > Decimal(1)), F.a.desc()),
        *(STANDARD_WEBHOOKS, WebhookEvent(id="1", timestamp=1, payload=b"{}")),
        *(Record(type="A", attributes={}), FileState(folder / "state.json")),
        *(aiwyn_async.Attempt("200", 0.1), aiwyn_async.EndpointOverride(key="uuid"), listed.options),
        *(
            aiwyn_async.EarlierProblems(),
            aiwyn_async.Request(method="GET", path="/a"),
            aiwyn_async.RetryClass.READ,
        ),
        *(aiwyn_async.Response(200, {}, b"{}", 0.1), aiwyn_async.RawPage(b"[1]", ("a",))),
        *(aiwyn_async.MissingRange(1, None, "status 500"), aiwyn_async.RangeProgress("keys", 0.5, 10)),
        await export(aiwyn.invoices.pull(), folder / "invoices.csv"),
        await export(aiwyn.invoices.pull(), f"{folder}/invoices/"),
        *(resource := aiwyn.describe("invoices"), resource.columns[0], resource.verbs[0]),
        resource.filters[0],
        *(manifest := read_manifest(f"{folder}/invoices/"), *manifest.files),
        await sync(aiwyn.invoices, folder / "firm.duckdb"),
    ]


async def test_every_public_value_is_copied_and_pickled(aiwyn: AiwynClient, tmp_path: Path) -> None:
    originals = await values(aiwyn, tmp_path)
    for value in originals:
        for made in (copy.copy(value), copy.deepcopy(value), pickled(value)):
            assert shown(made) == shown(value)
    others = {WebhookVerifier, RecordType, RecordTypeField}  # descriptions, see below
    kinds = {kind for value in originals for kind in type(value).__mro__} | others
    names = {
        name: getattr(importlib.import_module(module), name) for module in MODULES for name in public(module)
    }
    missing = {
        name
        for name, kind in names.items()
        if inspect.isclass(kind)
        and not issubclass(kind, (BaseException, dict, Model, *CLIENTS))
        and kind not in kinds
    }
    assert missing - PROTOCOLS - SECRETS == set()


def public(module: str) -> list[str]:
    names: list[str] = importlib.import_module(module).__all__
    return names


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_and_types_are_pickled_by_name(module: str) -> None:
    for name in public(module):
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert pickled(value) is value


def test_descriptions_are_copied() -> None:
    record_type = msgspec.convert({"name": "a", "fields": []}, RecordType)
    assert pickled(record_type) == copy.deepcopy(record_type) == record_type


async def test_rows_are_pickled_as_their_plain_type(aiwyn: AiwynClient) -> None:
    rows = await aiwyn.invoices.search().collect()
    assert type(pickled(rows[0])) is InvoiceSearchRow
    assert pickled(rows) == copy.deepcopy(rows) == rows
    late = await aiwyn.invoices.search().decode_as(deferred(InvoiceSearchRow)).collect()
    assert pickled(late) == rows
    assert pickled(await aiwyn.invoices.search().decode_as(dict).collect())[0]["id"] == rows[0].id


USERS: dict[str, Callable[[AiwynClient], Any]] = {
    "client": lambda aiwyn: aiwyn,
    "view": lambda aiwyn: aiwyn.with_options(retries=0),
    "resource": lambda aiwyn: aiwyn.invoices,
    "collection": lambda aiwyn: aiwyn.collection("/gql/v1/invoices"),
    "pager": lambda aiwyn: aiwyn.invoices.list(page_size=7),
    "pull": lambda aiwyn: aiwyn.invoices.pull(page_size=7),
    "changes": lambda aiwyn: aiwyn.invoices.changes(page_size=7),
    "write": lambda aiwyn: aiwyn.records.upsert([]),
}


@pytest.mark.parametrize("name", USERS)
async def test_object_with_a_client_is_copied_as_a_view_and_not_pickled(
    aiwyn: AiwynClient, box: Sandbox, name: str
) -> None:
    value = USERS[name](aiwyn)
    with pytest.raises(ConfigurationError, match="create an AiwynClient in each process") as caught:
        pickle.dumps(value)
    assert box.api_key not in str(caught.value)
    for copied in (copy.copy(value), copy.deepcopy(value)):
        assert type(copied) is type(value)
        assert repr(copied).removeprefix("<AiwynClient view of ")  # nothing is missing in it
        if isinstance(copied, AiwynClient):
            assert await copied.invoices.list().count() == 30
            await copied.aclose()
        elif name in {"pager", "pull", "changes"}:
            assert len(await copied.collect()) == 30
        elif name == "resource":
            assert len(await copied.list().collect()) == 30
    assert await aiwyn.invoices.list().count() == 30  # closing a copy closes nothing


async def test_copy_of_a_write_does_not_write_a_second_time(aiwyn: AiwynClient, box: Sandbox) -> None:
    write = aiwyn.records.upsert([{"type": "TEST", "systemRef": 1, "attributes": {}}])
    for copied in (copy.copy(write), copy.deepcopy([write])[0]):
        assert copied is write
    await copy.copy(write)
    with pytest.raises(ConfigurationError, match="already started"):
        await write
    assert box.calls("records.upsert") == 1


async def test_iteration_is_neither_copied_nor_pickled(aiwyn: AiwynClient) -> None:
    rows = aiter(aiwyn.invoices.list(page_size=7))
    first = await anext(rows)
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ConfigurationError, match="from its checkpoint"):
            make(rows)
    assert len([first, *[row async for row in rows]]) == 30


def test_secret_is_shared_by_copies_and_not_pickled() -> None:
    secret = Secret("canary")
    assert copy.copy(secret) is copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(secret)
    assert "canary" not in str(caught.value)


def test_checkpoint_survives_a_copy(tmp_path: Path) -> None:
    checkpoint = Checkpoint(endpoint="/x", query="q", position={"after": [Decimal("1.10")]})
    assert pickled(checkpoint) == copy.deepcopy(checkpoint) == checkpoint
    assert pickled(FileState(tmp_path / "state.json")).get("x") is None


def test_webhook_verifier_is_shared_by_copies_and_not_pickled() -> None:
    verifier = WebhookVerifier(b"canary", STANDARD_WEBHOOKS)
    assert copy.copy(verifier) is copy.deepcopy([verifier])[0] is verifier
    with pytest.raises(TypeError, match="create one in the other process") as caught:
        pickle.dumps(verifier)
    assert "canary" not in str(caught.value)
