"""``aiwyn export all``: every resource into one folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from aiwyn_async._cli.all_progress import AllProgress
from aiwyn_async._cli.all_resources import Outcome, columns_by_resource, run_all, written_outcome
from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.export_one import describe, export_one, skipped_rows_file, to_values
from aiwyn_async._cli.options import RowOptions, SandboxOptions
from aiwyn_async._cli.reports import write_notes, write_problems
from aiwyn_async._cli.resources import RESOURCES, create_pull
from aiwyn_async._core.files import check_path, local_path, lock_folder, make_folder, url_of, why_no_folder
from aiwyn_async._pull.pull import Pull
from aiwyn_async.arrow._options import column_options
from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export._dataset.folder import open_folder
from aiwyn_async.export._dataset.state import MANIFEST, UNFINISHED
from aiwyn_async.export._formats import FILE_SUFFIXES, format_for, is_dataset
from aiwyn_async.export._manifest import INVALID
from aiwyn_async.export._part_files import disk_errors
from aiwyn_async.export._staging import unfinished_manifest

AllFormat = Literal["dataset", "parquet", "csv", "jsonl"]
ADVICE: Final = "pass --resume to continue"


async def export_all(
    to: str,
    file_format: AllFormat,
    *,
    read: Mapping[str, Any],
    write: Mapping[str, Any],
    rows: RowOptions,
    json: bool,
    sandbox: SandboxOptions,
) -> int:
    """Export every resource into a folder, each as a dataset or a file.

    ``read`` are options of each pull, ``write`` those of each ``export()``.

    Raises:
        ConfigurationError: an argument is invalid; nothing was sent.
        ExportError: the folder has exports, and they may not be replaced; nothing was sent.
    """
    targets = _targets(to, file_format)
    async with open_client(sandbox) as aiwyn:
        pulls = {name: create_pull(aiwyn, name, **read) for name in RESOURCES}
        columns = columns_by_resource({name: pull.row_type for name, pull in pulls.items()}, rows)
        _check_formats(targets, pulls, columns)
        run = _Run(to, file_format, {name: bool(write[name]) for name in ("force", "resume", "replace")})

        async def export(name: str, progress: AllProgress) -> Outcome:
            target, pull = targets[name], pulls[name]
            skipped_rows = skipped_rows_file(target, rows)
            options = {**write, **columns[name], **run.flags_of(name), "table": name}
            result = await export_one(
                pull, target, on_progress=progress.update, how_to_continue="pass --resume", options=options
            )
            run.finish(name)
            skipped_rows.replace(pull.bad_rows)
            write_notes(result.report, name, Path(target), rows, is_one_of_many=True)
            if pull.bad_rows:
                skipped_rows.write_summary(result.report.bad_rows)
            problems = result.report.problems()
            write_problems(problems, of=name)
            return written_outcome(result.rows, problems, describe(result, name), to_values(result))

        try:
            run.start(targets)
            try:
                return await run_all(aiwyn, list(RESOURCES), export, advice=ADVICE, json=json)
            except ConfigurationError:
                run.undo()
                raise
        finally:
            run.release()


def _targets(to: str, file_format: AllFormat) -> dict[str, str]:
    """Return the dataset or the file of each resource in a folder."""
    check_path(to)
    if Path(to).suffix.lower() in FILE_SUFFIXES and not is_dataset(to):
        raise ConfigurationError(
            f"{to} is a file, and all resources are written to a folder, such as firm/; "
            "for one DuckDB file use aiwyn sync all"
        )
    end = "/" if file_format == "dataset" else f".{file_format}"
    if file_format != "dataset":
        local_path(to)
    return {name: f"{to.rstrip('/')}/{name}{end}" for name in RESOURCES}


def _check_formats(
    targets: Mapping[str, str], pulls: Mapping[str, Pull[Any]], columns: Mapping[str, dict[str, Any]]
) -> None:
    """Refuse column options that do not suit a resource or its file, before any request."""
    for name, target in targets.items():
        options = column_options(pulls[name].row_type, **columns[name])
        if not is_dataset(target):
            format_for(Path(target), pulls[name].row_type, name, options)


class _State(msgspec.Struct, frozen=True):
    """What is stored of a run: the resources that it finished, and whether it replaces earlier ones."""

    may_replace: bool
    finished: tuple[str, ...] = ()


class _Run:
    """A run over all resources, which ``--resume`` continues.

    Its state tells the exports of this run from those of an earlier one, which a run with ``--replace`` that
    ended early has not replaced yet.
    """

    def __init__(self, to: str, file_format: AllFormat, flags: Mapping[str, bool]) -> None:
        self._to = to
        self._folder = open_folder(to)
        self._name = f".all-{file_format}.json"
        self._flags = flags
        self._is_resumed = flags["resume"] and sum(flags.values()) == 1
        self._before: bytes | None = None
        self._lock: int | None = None
        self._state = _State(may_replace=flags["force"] or flags["replace"])

    def start(self, targets: Mapping[str, str]) -> None:
        """Store the state of a new run, or load that of the last one.

        Raises:
            ExportError: the folder cannot be written, has exports that may not be replaced, or another run
                writes into it.
        """
        if url_of(self._to) is None:
            self._acquire(Path(self._to))
        self._before = self._folder.read(self._name)
        if self._is_resumed and self._before is not None:
            self._state = self._load(self._before)
            return
        if not any(self._flags.values()):
            self._check_empty(targets)
        self._store()

    def _acquire(self, folder: Path) -> None:
        """Create and lock the folder: another run would replace the list of finished resources."""
        if reason := why_no_folder(folder.parent):
            raise ExportError(reason)
        with disk_errors(folder):
            make_folder(folder)
            self._lock = os.open(folder, os.O_RDONLY)
            if not lock_folder(self._lock, folder):
                raise ExportError(f"another export of all resources is writing into {folder}; wait for it")
            for temporary in folder.glob(f".{self._name}.*"):  # of a run that was killed
                temporary.unlink()

    def release(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def flags_of(self, resource: str) -> dict[str, bool]:
        """Return force, resume and replace for the export of a resource."""
        if self._is_resumed and self._state.may_replace and resource not in self._state.finished:
            return {"force": False, "resume": False, "replace": True}
        return dict(self._flags)

    def finish(self, resource: str) -> None:
        if resource not in self._state.finished:
            self._state = _State(self._state.may_replace, (*self._state.finished, resource))
            self._store()

    def undo(self) -> None:
        """Restore the state before ``start()``."""
        if self._before is not None:
            self._folder.write(self._name, self._before)
        else:
            self._folder.remove(self._name)
        if url_of(self._to) is None:
            with contextlib.suppress(OSError):
                Path(self._to).rmdir()  # if it is empty

    def _check_empty(self, targets: Mapping[str, str]) -> None:
        existing = [name for name, target in targets.items() if _exists(target)]
        if existing:
            raise ExportError(
                f"{self._to} already has {', '.join(existing)}; pass resume=True to continue "
                "a run that ended early, or replace=True to replace them"
            )

    def _load(self, content: bytes) -> _State:
        try:
            return msgspec.json.decode(content, type=_State)
        except INVALID:
            raise ExportError(
                f"{self._name} in {self._folder.name} is damaged; pass replace=True to start again"
            ) from None

    def _store(self) -> None:
        self._folder.write(self._name, msgspec.json.encode(self._state))


def _exists(target: str) -> bool:
    """Return whether there is a finished or an unfinished export of a dataset or a file."""
    if is_dataset(target):
        folder = open_folder(target)
        return any(folder.read(name) is not None for name in (MANIFEST, UNFINISHED))
    return Path(target).exists() or unfinished_manifest(Path(target)).exists()
