"""Datasets in an object store that fails at any operation."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from aiwyn_async import AiwynClient, StorageWarning
from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]
URL = "store://bucket/at-once/"


class ObjectStore(MemoryFileSystem):  # type: ignore[misc]
    """An object store in memory, which is gone after some operations that change it."""

    protocol = "store"
    cachable = False
    remaining = 10**9
    seconds = 0.0
    """How long a write takes."""
    store: ClassVar[dict[str, Any]] = {}  # pyright: ignore[reportIncompatibleVariableOverride] (it has no types)
    pseudo_dirs: ClassVar[list[str]] = [""]

    def _change(self) -> None:
        if ObjectStore.remaining <= 0:
            raise RuntimeError("the network is gone")  # stores have errors of their own
        ObjectStore.remaining -= 1

    def pipe_file(self, path: str, value: bytes, *args: Any, **options: Any) -> None:
        self._change()
        time.sleep(ObjectStore.seconds)  # in a thread of the export
        super().pipe_file(path, value, *args, **options)

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        self._change()
        super().cp_file(path1, path2, **options)

    def rm(self, path: str, *args: Any, **options: Any) -> None:
        self._change()
        super().rm(path, *args, **options)


@pytest.fixture
def store() -> Iterator[type[ObjectStore]]:
    fsspec.register_implementation("store", ObjectStore, clobber=True)
    ObjectStore.store.clear()
    ObjectStore.remaining = 10**9
    ObjectStore.seconds = 0.0
    ObjectStore.pseudo_dirs[:] = [""]
    yield ObjectStore
    ObjectStore.store.clear()


def read_ids(url: str) -> list[int]:
    """Return the ids of the files that the manifest names."""
    files = ObjectStore()
    ids: list[int] = []
    for path in read_manifest(url).paths:
        with files.open(path) as file:
            ids += pq.read_table(file)["id"].to_pylist()
    return ids


def visible_files() -> list[str]:
    """Return the Parquet files that a reader sees that knows nothing of manifests."""
    return [path for path in ObjectStore.store if path.endswith(".parquet") and "/_" not in path]


async def test_remote_dataset_has_all_rows(firm: Firm, store: type[ObjectStore]) -> None:
    _, aiwyn = firm
    result = await export(aiwyn.invoices.pull(), "store://bucket/invoices/")
    assert (result.path, result.rows) == ("store://bucket/invoices", 600)
    assert sorted(read_ids("store://bucket/invoices")) == sorted(
        [invoice.id async for invoice in aiwyn.invoices.list()]
    )
    assert not [path for path in store.store if "_partial" in path]


@pytest.mark.timeout(300)
async def test_remote_run_is_resumed_after_any_operation(firm: Firm, store: type[ObjectStore]) -> None:
    """Stop after 0, 1, 2, ... operations; a reader always sees one complete run."""
    box, aiwyn = firm
    url = "store://bucket/x/"
    await export(aiwyn.invoices.pull(page_size=20), url)
    earlier = sorted(read_ids(url))
    box.insert("invoices", count=7)
    latest = sorted([invoice.id async for invoice in aiwyn.invoices.list()])
    stopped = 0
    before = dict(store.store)
    while True:
        store.store.clear()
        store.store.update(before)
        store.remaining = stopped
        pull = aiwyn.invoices.pull(page_size=20)
        try:
            await export(pull, url, replace=True, row_group_rows=200)
        except (ExportError, StorageWarning) as error:  # the warning: it is complete, but not cleaned up
            assert "the network is gone" in str(error)  # noqa: PT017 (the last one raises nothing)
        else:
            break
        stopped += 1
        assert sorted(read_ids(url)) in (earlier, latest)
        store.remaining = 10**9
        await export(aiwyn.invoices.pull(page_size=20), url, replace=True, row_group_rows=200)
        assert sorted(read_ids(url)) == latest
        assert sorted(visible_files()) == sorted(read_manifest(url).paths)
        assert not [path for path in store.store if "_partial" in path]
    assert stopped > 20


async def test_remote_run_is_resumed_after_random_operations(
    firm: Firm, store: type[ObjectStore], kills: int
) -> None:
    """Stop a run several times before it is complete; its rows are read once."""
    _, aiwyn = firm
    url = "store://bucket/x/"
    expected = sorted([invoice.id async for invoice in aiwyn.invoices.list()])
    dice = random.Random(kills)
    for _ in range(kills):
        store.store.clear()
        for _ in range(dice.randint(1, 4)):
            store.remaining = dice.randint(2, 12)
            try:
                await export(aiwyn.invoices.pull(page_size=10), url, resume=True, row_group_rows=100)
            except ExportError as error:
                assert "the network is gone" in str(error)  # noqa: PT017 (some runs finish)
        store.remaining = 10**9
        await export(aiwyn.invoices.pull(page_size=10), url, resume=True, row_group_rows=100)
        assert sorted(read_ids(url)) == expected


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("finished_before", [False, True])
async def test_exports_at_the_same_time_leave_a_whole_dataset(finished_before: bool, firm: Firm) -> None:
    _, aiwyn = firm
    if finished_before:
        await export(aiwyn.invoices.list(), URL)
    exports = [
        export(aiwyn.invoices.list(page_size=size), URL, force=True, row_group_rows=50) for size in (7, 8, 9)
    ]
    results = await asyncio.gather(*exports, return_exceptions=True)
    errors = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, ExportError) and "another export" in str(each) for each in errors)
    assert errors
    if finished_before or len(errors) < len(results):
        assert len(set(read_ids(URL))) == len(read_ids(URL)) == 600
    assert (await export(aiwyn.invoices.list(), URL, replace=True)).rows == 600


@pytest.mark.parametrize("delay", [0.1, 0.15, 0.2, 0.3])
async def test_export_that_continues_a_live_one_leaves_a_whole_dataset(
    delay: float, firm: Firm, store: type[ObjectStore]
) -> None:
    """Both write parts with the same numbers into the folder of one run."""
    _, aiwyn = firm
    store.seconds = 0.08

    async def export_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        await export(aiwyn.invoices.pull(page_size=20), URL, replace=True, row_group_rows=60)

    results = await asyncio.gather(export_after(0), export_after(delay), return_exceptions=True)
    errors = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, ExportError) and "another export" in str(each) for each in errors)
    if len(errors) < len(results):
        assert len(set(read_ids(URL))) == len(read_ids(URL)) == 600
        assert sorted(visible_files()) == read_manifest(URL).paths
    assert (await export(aiwyn.invoices.list(), URL, replace=True)).rows == 600


async def test_finished_run_leaves_no_empty_folder_of_a_killed_one(
    firm: Firm, store: type[ObjectStore]
) -> None:
    """File systems such as SFTP have empty folders; object stores do not."""
    _, aiwyn = firm
    files = store()
    files.makedirs("store://bucket/x/_partial/run-20260101T000000000000Z-00000000/status=PAID")
    await export(aiwyn.invoices.list(), "store://bucket/x/")
    assert files.ls("store://bucket/x/_partial", detail=False) == []


async def test_store_that_refuses_is_found_before_a_request(firm: Firm, store: type[ObjectStore]) -> None:
    box, aiwyn = firm
    store.remaining = 0
    with pytest.raises(ExportError, match=r"cannot write store://bucket/x/_partial/\.writable: RuntimeError"):
        await export(aiwyn.invoices.pull(), "store://bucket/x/")
    assert box.calls() == 0


@pytest.mark.parametrize("url", ["nowhere://bucket/x/", "nowhere://bucket/x"])
async def test_unknown_scheme_is_a_configuration_error(url: str, firm: Firm) -> None:
    box, aiwyn = firm
    with pytest.raises(ConfigurationError, match="nowhere://bucket/x"):
        await export(aiwyn.invoices.pull(), url)
    assert box.calls() == 0
