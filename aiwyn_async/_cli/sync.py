"""``aiwyn sync``: keep the rows of a resource up to date in a DuckDB table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.options import Flag, RowOptions, SandboxOptions, WholeNumber
from aiwyn_async._cli.output import write_data, write_message
from aiwyn_async._cli.progress import create_progress
from aiwyn_async._cli.reports import write_notes, write_problems
from aiwyn_async._cli.resources import find_resource, parse_where
from aiwyn_async._cli.translations import to_flags
from aiwyn_async._core.files import local_path
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import ConfigurationError

if TYPE_CHECKING:
    from aiwyn_async.sync import SyncResult

__all__ = ["sync"]

_ROWS: Final = RowOptions()
_SANDBOX: Final = SandboxOptions()


async def sync(
    resource: str,
    /,
    *,
    to: Path,
    where: str | None = None,
    full: Flag = False,
    reconcile_deletes: Flag = False,
    overlap: float | None = None,
    page_size: WholeNumber = 1000,
    rows: RowOptions = _ROWS,
    json: Flag = False,
    sandbox: SandboxOptions = _SANDBOX,
) -> int:
    """Bring a table of a DuckDB file up to date: all rows at first, then what changed.

    A run that ends early, even if it is killed, is resumed by the next one. Exit code 5 means that the rows
    are not proven complete, that rows were skipped, or that key ranges could not be read.

    Args:
        resource: invoices, clients, payments, ...
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
    run_sync = _import_sync()
    plural = find_resource(resource)
    skipped_rows = BadRowsFile(local_path(to), is_needed=rows.skips_bad_rows)
    async with open_client(sandbox) as aiwyn:
        with create_progress(plural) as progress:
            result: SyncResult = await run_sync(
                getattr(aiwyn, plural),
                to,
                where=None if where is None else parse_where(where),
                reconcile_deletes=reconcile_deletes,
                overlap=overlap,
                page_size=page_size,
                on_progress=progress.update,
                full=full,
                **rows.read_arguments(),
                **rows.column_arguments(),
            )
    if full:
        skipped_rows.replace(result.bad_rows)
    else:
        # Rows that earlier runs skipped are missing until they change or are read again.
        skipped_rows.add(result.bad_rows)
    _write_result(result, json=json)
    code = write_problems(result.problems)
    write_notes(result.report, plural, to, rows)
    if result.bad_rows:
        skipped_rows.write_summary(len(result.bad_rows))
    return code


def _write_result(result: SyncResult, *, json: bool) -> None:
    deleted = "" if result.deleted is None else f", {result.deleted} marked as deleted"
    write_message(
        f"{result.inserted} {result.table} inserted, {result.updated} updated, "
        f"{result.unchanged} unchanged{deleted} in {result.path}: {result.seconds:.1f} s"
    )
    if json:
        values = msgspec.structs.asdict(result)
        del values["report"], values["bad_rows"]
        write_data(encode_json(values | {"complete": result.complete}))
    for note in result.notes:
        write_message(f"note: {to_flags(note)}")


def _import_sync() -> Any:
    try:
        from aiwyn_async.sync import sync  # noqa: PLC0415 (an extra, which may be missing)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"duckdb", "pyarrow"}:
            raise
        raise ConfigurationError('sync is an extra; run: pip install "aiwyn-async[duckdb]"') from None
    return sync
