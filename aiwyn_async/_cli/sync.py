"""``aiwyn sync``: keep the rows of a resource up to date in a DuckDB table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aiwyn_async._cli.all_progress import AllProgress
from aiwyn_async._cli.all_resources import (
    Outcome,
    columns_by_resource,
    refuse_for_all,
    run_all,
    written_outcome,
)
from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilePath, Flag, RowOptions, SandboxOptions, WholeNumber
from aiwyn_async._cli.output import write_json, write_message
from aiwyn_async._cli.progress import create_progress
from aiwyn_async._cli.reports import write_notes, write_problems
from aiwyn_async._cli.resources import ALL, RESOURCES, find_resource, parse_where
from aiwyn_async._cli.translations import to_flags
from aiwyn_async._core.checks import needs_extra
from aiwyn_async._core.files import OTHER_DATABASE, local_path
from aiwyn_async._core.threads import in_thread
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from aiwyn_async.sync import SyncResult


async def sync(
    resource: str,
    /,
    *,
    to: FilePath,
    where: str | None = None,
    full: Flag = False,
    reconcile_deletes: Flag = False,
    overlap: float | None = None,
    page_size: WholeNumber = 1000,
    rows: RowOptions = RowOptions(),
    json: Flag = False,
    sandbox: SandboxOptions = SandboxOptions(),
) -> int:
    """Bring a table of a DuckDB file up to date: all rows at first, then what changed.

    "all" brings a table of every resource up to date. A resource that fails does not stop the others; a
    summary names it.

    A run that ends early, even if it is killed, is resumed by the next one. Exit code 5 means that the rows
    are not proven complete, that rows were skipped, or that key ranges could not be read.

    Args:
        resource: invoices, clients, payments, ...; or all.
        to: The DuckDB file; other tables in it are not changed.
        where: Only rows that match this condition, as JSON; for resources with a search.
        full: Read all rows again, not only what changed.
        reconcile_deletes: Read all keys, and mark rows that were deleted on the server.
        overlap: Seconds to read again before the bookmark; 300 by default.
        page_size: Rows per request, 1 to 1000.
        rows: How rows and their values are written.
        json: Print the result as JSON on stdout.
        sandbox: A sandbox to use instead of the configured server.
    """
    if not to.name:  # "." or, from an unset variable of a shell, nothing
        raise ConfigurationError(f"{str(to)!r} is not a file name; pass a path such as firm.duckdb")
    run = _Sync(
        local_path(to, OTHER_DATABASE),
        rows,
        full=full,
        reconcile_deletes=reconcile_deletes,
        overlap=overlap,
        page_size=page_size,
    )
    if resource == ALL:
        refuse_for_all(where=where)
        return await _sync_all(run, json=json, sandbox=sandbox)
    plural = find_resource(resource)
    skipped_rows = run.skipped_rows_file()
    async with open_client(sandbox) as aiwyn:
        with create_progress(plural) as progress:
            result = await run.sync(
                getattr(aiwyn, plural),
                where=None if where is None else parse_where(where),
                on_progress=progress.update,
                **rows.column_arguments(),
            )
    run.save_skipped_rows(result, skipped_rows)
    write_message(_describe(result))
    if json:
        write_json(_to_values(result))
    return run.write_messages(result, skipped_rows)


class _Sync:
    """The syncs of one command."""

    def __init__(self, to: Path, rows: RowOptions, **options: Any) -> None:
        self.to = to
        self.rows = rows
        self._run = _import_sync()
        self._options = options | rows.read_arguments()

    async def sync(self, collection: Any, **options: Any) -> SyncResult:
        result: SyncResult = await self._run(collection, self.to, **self._options, **options)
        return result

    def check_file(self) -> None:
        """Open the file once, before the first of several resources.

        Raises:
            StorageError: it cannot be opened, is in use, or is not a DuckDB database. The cause is the same
                error, not one of a path or a table: it concerns all resources.
        """
        from aiwyn_async.sync._database import DatabaseFile  # noqa: PLC0415 (an extra, which is installed)

        file = DatabaseFile(self.to)
        try:
            file.open()
        except StorageError as error:
            raise StorageError(str(error)) from error
        finally:
            file.close()

    def skipped_rows_file(self, of: str | None = None) -> BadRowsFile:
        """Return the file of skipped rows; each of several resources has its own."""
        target = self.to if of is None else self.to.with_name(f"{self.to.name}.{of}")
        return BadRowsFile(target, is_needed=self.rows.skips_bad_rows)

    def save_skipped_rows(self, result: SyncResult, skipped_rows: BadRowsFile) -> None:
        """Write the skipped rows of a sync, and of earlier ones if this one did not receive them again."""
        if result.skipped == len(result.bad_rows):
            skipped_rows.replace(result.bad_rows)
        else:
            skipped_rows.add(result.bad_rows)

    def write_messages(
        self, result: SyncResult, skipped_rows: BadRowsFile, of: str | None = None
    ) -> ExitCode:
        """Write notes and problems, and return the exit code."""
        subject = "" if of is None else f"{of}: "
        for note in result.notes:
            write_message(f"note: {subject}{to_flags(note)}")
        code = write_problems(result.problems, of=of)
        write_notes(result.report, result.table, self.to, self.rows, is_one_of_many=of is not None)
        if result.bad_rows:
            skipped_rows.write_summary(len(result.bad_rows))
        return code


async def _sync_all(run: _Sync, *, json: bool, sandbox: SandboxOptions) -> int:
    async with open_client(sandbox) as aiwyn:
        names = _find_syncable(aiwyn)
        columns = columns_by_resource({name: getattr(aiwyn, name).hit_type for name in names}, run.rows)

        async def sync_one(name: str, progress: AllProgress) -> Outcome:
            if name == names[0]:
                await in_thread(run.check_file)
            skipped_rows = run.skipped_rows_file(of=name)
            result = await run.sync(getattr(aiwyn, name), on_progress=progress.update, **columns[name])
            run.save_skipped_rows(result, skipped_rows)
            run.write_messages(result, skipped_rows, of=name)
            return written_outcome(
                result.rows_received, result.problems, _describe(result), _to_values(result)
            )

        return await run_all(aiwyn, names, sync_one, advice="run the command again to continue", json=json)


def _find_syncable(client: AiwynClient) -> list[str]:
    """Return the resources that ``sync()`` supports, and name the others."""
    from aiwyn_async.sync._reads import ResourceReads  # noqa: PLC0415 (an extra, which is installed here)

    names: list[str] = []
    for name in RESOURCES:
        try:
            ResourceReads(getattr(client, name), None, {"on_bad_row": "raise"})
        except ConfigurationError as error:
            write_message(f"note: {name} are not synced: {to_flags(str(error))}")
        else:
            names.append(name)
    return names


def _describe(result: SyncResult) -> str:
    deleted = "" if result.deleted is None else f", {result.deleted} marked as deleted"
    return (
        f"{result.inserted} {result.table} inserted, {result.updated} updated, "
        f"{result.unchanged} unchanged{deleted} in {result.path}: {result.seconds:.1f} s"
    )


def _to_values(result: SyncResult) -> dict[str, Any]:
    values = msgspec.structs.asdict(result)
    del values["report"], values["bad_rows"]
    return values | {"complete": result.complete}


def _import_sync() -> Any:
    with needs_extra("sync is an extra", "duckdb"):
        from aiwyn_async.sync import sync  # noqa: PLC0415 (an extra, which may be missing)
    return sync
