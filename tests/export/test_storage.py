"""File systems without modes, locks or folder sync cause one warning per operation."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import stat
import warnings
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ExportError, StorageWarning
from aiwyn_async._core.files import storage_notes
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

Firm = tuple[Sandbox, AiwynClient]


def fail_chmod(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def chmod(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "chmod", chmod)


def fail_sync_of_folders(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def fail_lock(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(_: int, __: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


LACKS = [
    (fail_chmod, errno.EPERM, "cannot set the mode of files"),
    (fail_chmod, errno.EACCES, "cannot set the mode of files"),
    (fail_chmod, errno.ENOTSUP, "cannot set the mode of files"),
    (fail_chmod, errno.ENOSYS, "cannot set the mode of files"),
    (fail_sync_of_folders, errno.EINVAL, "cannot sync"),
    (fail_sync_of_folders, errno.ENOTSUP, "cannot sync"),
    (fail_sync_of_folders, errno.EBADF, "cannot sync"),
    (fail_sync_of_folders, errno.EACCES, "cannot sync"),
    (fail_lock, errno.ENOLCK, "cannot lock"),
    (fail_lock, errno.EOPNOTSUPP, "cannot lock"),
    (fail_lock, errno.ENOSYS, "cannot lock"),
]


@pytest.mark.parametrize(
    ("lack", "suffix"),
    [
        *((lack, ".jsonl") for lack in LACKS),
        # Their files are written in other ways; what a code means is the same for all.
        *itertools.product({lack[0]: lack for lack in LACKS}.values(), [".parquet", ".duckdb"]),
    ],
)
async def test_export_warns_once_about_a_missing_disk_operation(
    lack: tuple[Any, int, str], suffix: str, firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    fail, code, text = lack
    fail(monkeypatch, code)
    for number in range(2):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            done = await export(aiwyn.invoices.list(page_size=200), tmp_path / f"{number}{suffix}")
        assert [(each.category, text in str(each.message)) for each in seen] == [(StorageWarning, True)]
        assert done.rows == 600


@pytest.mark.parametrize(
    ("fail", "code"),
    [(fail_chmod, errno.EIO), (fail_sync_of_folders, errno.EIO), (fail_lock, errno.EIO)],
)
async def test_export_raises_other_disk_errors(
    fail: Any, code: int, firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    fail(monkeypatch, code)
    with pytest.raises(ExportError, match="Input/output error"):
        await export(aiwyn.invoices.list(page_size=20), tmp_path / "x.jsonl")


@pytest.mark.parametrize("name", ["x.parquet", "x/"])
async def test_file_that_cannot_be_removed_causes_a_warning_if_the_output_is_complete(
    name: str, firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that the reader of a share holds open."""
    box, aiwyn = firm
    target = f"{tmp_path}/{name}"
    await export(aiwyn.invoices.list(), target)
    box.insert("invoices")

    def fail(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.warns(StorageWarning, match="is complete, but files that it does not need are left"):
        assert (await export(aiwyn.invoices.list(), target, replace=True)).rows == 601
    monkeypatch.undo()
    calls = box.calls()
    assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 601
    assert box.calls() == calls
    assert len(list((tmp_path / name).glob("run-*"))) == (name == "x/")


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet", "x.duckdb"])
async def test_complete_file_is_an_export_even_if_its_manifest_cannot_be_moved(
    name: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / name
    (tmp_path / f".{name}.done" / "theirs").mkdir(parents=True)
    with pytest.warns(StorageWarning, match="is complete, but files that it does not need are left"):
        assert (await export(aiwyn.invoices.list(), target)).rows == 600
    calls = box.calls()
    with pytest.warns(StorageWarning, match="is complete"):
        assert (await export(aiwyn.invoices.list(), target, resume=True)).rows == 600
    assert box.calls() == calls


async def test_dataset_syncs_each_folder_that_has_a_new_name(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, aiwyn = firm
    synced: set[int] = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    await export(aiwyn.invoices.list(), f"{tmp_path}/x/", partition_by="status")
    (run,) = (tmp_path / "x").glob("run-*")
    for folder in (tmp_path, tmp_path / "x", run, *run.iterdir()):
        assert folder.stat().st_ino in synced, folder


def test_notes_of_an_export_can_end_in_another_context() -> None:
    """Where the garbage collector closes an export whose event loop was closed."""
    notes = storage_notes()
    copy_context().run(notes.__enter__)
    notes.__exit__(None, None, None)
