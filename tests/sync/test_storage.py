"""Targets that are not local, file systems without modes, and logs of deleted databases."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aiwyn_async import AiwynClient, ClientClosedError, ConfigurationError, StorageError, StorageWarning
from aiwyn_async._core.duckdb_sql import HELD, hold
from aiwyn_async.errors import ExportError
from aiwyn_async.export import export
from aiwyn_async.export._formats.duckdb import DatabaseFile as ExportDatabaseFile
from aiwyn_async.sync import _database as database
from aiwyn_async.sync import sync
from aiwyn_async.sync._database import DatabaseFile
from duckdb_files import attach_elsewhere, query, stored_notes
from model_firm import FirmServer


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("s3://bucket/firm.duckdb", "is a URL, .*the source for dlt loads other databases"),
        (Path("gs://bucket/firm.duckdb"), "is a URL"),
        ("postgresql://host/firm", "is a URL, .*the source for dlt loads other databases"),
        ("firm.sqlite", "sync to a file such as firm.duckdb; .*the source for dlt loads other databases"),
        ("firm.csv", r"firm.duckdb, or use export\(\) for a .csv file"),
    ],
)
async def test_target_of_another_kind_is_refused_before_any_request(
    to: Any, text: str, served: FirmServer, reader: AiwynClient
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        await sync(reader.invoices, to)
    assert served.firm.requests == 0


def fail_chmod(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def chmod(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "chmod", chmod)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
async def test_file_system_without_modes_warns_once_per_sync(
    code: int, served: FirmServer, reader: AiwynClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    fail_chmod(monkeypatch, code)
    for inserted in (1, 0):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            result = await sync(reader.invoices, tmp_path / "firm.duckdb")
        assert [each.category for each in seen] == [StorageWarning]
        assert "cannot set the mode of files" in str(seen[0].message)
        assert (result.inserted, result.complete) == (inserted, True)


async def test_disk_error_ends_the_sync(
    served: FirmServer, reader: AiwynClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_chmod(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="Input/output error"):
        await sync(reader.invoices, tmp_path / "firm.duckdb")
    assert served.firm.requests == 0


async def test_closed_client_creates_no_file(reader: AiwynClient, path: Path) -> None:
    await reader.aclose()
    with pytest.raises(ClientClosedError):
        await sync(reader.invoices, path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("suffix", [".wal", ".wal.checkpoint", ".wal.recovery"])
async def test_log_without_database_is_refused_before_any_request(
    suffix: str, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    log = path.with_name(path.name + suffix)
    log.write_bytes(b"of another database")
    with pytest.raises(StorageError, match=r"is the log of an earlier database .* remove it"):
        await sync(reader.invoices, path)
    assert (served.firm.requests, path.exists(), log.read_bytes()) == (0, False, b"of another database")
    log.unlink()
    assert (await sync(reader.invoices, path)).inserted == 1


async def test_log_of_an_existing_database_is_replayed(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """A killed run leaves a log."""
    with duckdb.connect(str(path)) as file:
        file.execute("CREATE TABLE mine (one INTEGER)")
    with duckdb.connect(str(path), config={"wal_autocheckpoint": "1TB"}) as file:
        file.execute("INSERT INTO mine VALUES (7)")
        log, before = path.with_name("firm.duckdb.wal").read_bytes(), path.read_bytes()
    path.write_bytes(before)
    path.with_name("firm.duckdb.wal").write_bytes(log)
    served.firm.put(1, "2025-03-02T01:00:00Z")
    assert (await sync(reader.invoices, path)).inserted == 1
    with duckdb.connect(str(path), read_only=True) as file:
        assert file.execute("SELECT one FROM mine").fetchall() == [(7,)]


async def test_log_beside_a_restored_database_is_refused(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """Its replay would store the bookmark of a later sync, without the rows of that sync."""
    firm, log = served.firm, path.with_name("firm.duckdb.wal")
    for key in range(1, 31):
        firm.put(key, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    backup = path.read_bytes()
    firm.put(1, "2025-03-02T02:00:00Z")
    await sync(reader.invoices, path)
    later = path.read_bytes()
    for key in range(2, 31):
        firm.put(key, "2025-03-02T03:00:00Z")
    logs: list[bytes] = []
    modes: set[int] = set()

    def note() -> None:
        if log.exists():
            logs.append(log.read_bytes())
            modes.add(log.stat().st_mode & 0o777)

    firm.on_request = note
    await sync(reader.invoices, path, page_size=1)
    firm.on_request = None
    assert modes == {0o600}

    path.write_bytes(backup)
    log.write_bytes(logs[-1])
    with pytest.raises(StorageError, match=r"restored from a backup or replaced; remove the log"):
        await sync(reader.invoices, path)
    assert (path.read_bytes(), log.read_bytes()) == (backup, logs[-1])
    log.unlink()
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == firm.notes()

    path.write_bytes(later)
    log.write_bytes(logs[-1])  # as the killed run left both
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == firm.notes()


def assert_in_use(path: Path) -> None:
    """A sync of this process is refused."""
    other = DatabaseFile(path)
    with pytest.raises(StorageError, match="in use"):
        other.open()
    other.close()


def assert_locked_until_closed(file: DatabaseFile) -> None:
    """Another process cannot open the file; nothing is held once it is closed."""
    error = attach_elsewhere(file.path)
    file.close()
    assert "Could not set lock" in error
    assert not HELD


async def test_refused_sync_leaves_the_lock_of_another_in_the_process(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    """On POSIX, a process that closes a file loses its locks of that file."""
    served.firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    file = DatabaseFile(path)
    file.open()
    file.restrict_log()
    with pytest.raises(StorageError, match="in use"):
        await sync(reader.invoices, path)
    with pytest.raises(ExportError, match="in use"):
        await export(reader.invoices.search(), path, table="other", force=True)
    assert_locked_until_closed(file)


class UsedBySync(ExportDatabaseFile):
    """A sync of the process looks at the file while the table is replaced."""

    error_elsewhere = ""

    def _check_names(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        assert_in_use(path)
        self.error_elsewhere = attach_elsewhere(path)
        super()._check_names(path, connection)


def test_refused_sync_leaves_the_lock_of_an_export_in_the_process(tmp_path: Path) -> None:
    target, new = tmp_path / "x.duckdb", tmp_path / "new.duckdb"
    for path, rows in ((target, 3), (new, 5)):
        with duckdb.connect(str(path)) as file:
            file.execute(f"CREATE TABLE invoices AS SELECT range AS id FROM range({rows})")
    shared = UsedBySync("invoices")
    for step in (lambda: shared.check(target), lambda: shared.write(new, target)):
        step()
        assert "Could not set lock" in shared.error_elsewhere
    assert query(target, "SELECT count(*) FROM invoices") == [(5,)]


class OpenedTwice(DatabaseFile):
    """Another sync of the process opens the file as soon as DuckDB has created it."""

    def _attach(self, *, is_new: bool) -> None:
        super()._attach(is_new=is_new)
        assert_in_use(self.path)


def test_new_file_stays_locked_if_another_sync_of_the_process_opens_it(path: Path) -> None:
    file = OpenedTwice(path)
    file.open()
    assert_locked_until_closed(file)


def test_file_stays_locked_after_an_export_that_ends_while_a_sync_opens_it(path: Path) -> None:
    duckdb.connect(str(path)).close()
    file = DatabaseFile(path)
    with hold(path), pytest.raises(StorageError, match="in use"):
        file.open()
    file.close()
    file.open()
    assert_in_use(path)
    assert_locked_until_closed(file)


class OpenedBeforeItsEnd(DatabaseFile):
    """Another sync of the process opens the file as soon as DuckDB has closed it."""

    other: DatabaseFile | None = None

    def _release(self) -> None:
        if self.other is not None:
            with pytest.raises(StorageError, match="in use"):
                self.other.open()
            self.other.close()
        super()._release()


def test_file_cannot_be_opened_before_its_last_user_has_closed_it(path: Path) -> None:
    file, other = OpenedBeforeItsEnd(path), DatabaseFile(path)
    file.open()
    file.other = other
    file.close()
    other.open()
    assert_locked_until_closed(other)


def test_file_of_a_sync_that_is_dropped_can_be_opened_again(path: Path) -> None:
    """As with an event loop that was closed before the sync ended."""
    DatabaseFile(path).open()
    file = DatabaseFile(path)
    file.open()
    assert_locked_until_closed(file)


def test_duckdb_that_does_not_start_is_a_storage_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.OPTIONS, "memory_limit", "none at all")
    file = DatabaseFile(path)
    with pytest.raises(StorageError, match="DuckDB cannot update"):
        file.open()
    file.close()
    assert not HELD


async def test_program_may_change_its_folder_during_a_sync(
    served: FirmServer, reader: AiwynClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    served.firm.put(1, "2025-03-02T01:00:00Z")
    monkeypatch.chdir(tmp_path / "a")
    await sync(reader.invoices, "firm.duckdb", on_progress=lambda _: monkeypatch.chdir(tmp_path / "b"))
    assert [file.relative_to(tmp_path) for file in tmp_path.glob("*/*")] == [Path("a/firm.duckdb")]
    assert stored_notes(tmp_path / "a/firm.duckdb") == served.firm.notes()


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_file_that_is_removed_or_replaced_during_a_sync_is_an_error(
    is_replaced: bool, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    served.firm.put(2, "2025-03-02T02:00:00Z")
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())

    def remove(_: object) -> None:
        if is_replaced:
            copy.replace(path)
        else:
            path.unlink()

    with pytest.raises(StorageError, match=r"firm\.duckdb was removed or replaced during the sync"):
        await sync(reader.invoices, path, on_progress=remove)
    assert path.exists() == is_replaced
    assert (await sync(reader.invoices, path)).complete
    assert stored_notes(path) == served.firm.notes()


@pytest.mark.parametrize("size", [0, 100, 5000, 12287])
async def test_file_whose_creation_was_interrupted_is_created_again(
    size: int, served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    served.firm.put(1, "2025-03-02T01:00:00Z")
    await sync(reader.invoices, path)
    path.write_bytes(path.read_bytes()[:size])
    assert (await sync(reader.invoices, path)).inserted == 1
