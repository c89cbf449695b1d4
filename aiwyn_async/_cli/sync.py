"""``aiwyn sync``: a tag in a DuckDB table, brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.client import client_of_command
from aiwyn_async._cli.exits import Exit
from aiwyn_async._cli.flags import as_flags
from aiwyn_async._cli.notices import say_noticed
from aiwyn_async._cli.options import Flag, RowOptions, Whole
from aiwyn_async._cli.output import data, say
from aiwyn_async._cli.progress import progress_of_command
from aiwyn_async._cli.resources import tag_named, where_tree
from aiwyn_async._core.files import local_path
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import ConfigurationError

if TYPE_CHECKING:
    from aiwyn_async.sync import SyncResult

__all__ = ["sync"]

_ROWS: Final = RowOptions()


async def sync(
    tag: str,
    /,
    *,
    to: Path,
    where: str | None = None,
    full: Flag = False,
    reconcile_deletes: Flag = False,
    overlap: float | None = None,
    page_size: Whole = 1000,
    rows: RowOptions = _ROWS,
    json: Flag = False,
    sandbox: Flag = False,
    sandbox_invoices: Whole = 10_000,
    seed: Whole = 7,
) -> int:
    """Bring a table of a DuckDB file up to date: all rows at first, then what changed.

    A run that ends early, even by a kill, is taken up by the next one. Exit code 5 tells that the rows
    came but cannot be vouched for as complete, that rows were skipped, or that ranges of keys could not be
    read.

    Args:
        tag: invoices, clients, payments, ...
        to: the DuckDB file; other tables in it are left alone.
        where: rows that fit a condition, as JSON; for tags with a search.
        full: read all rows again, not only what changed.
        reconcile_deletes: mark rows that are gone, by a sweep over all keys.
        overlap: seconds to read again before the bookmark; 300 by default.
        page_size: rows a request, 1 to 1000.
        rows: how rows and values are written.
        json: tell the result as JSON on stdout.
        sandbox: sync with a sandbox that is started for this command.
        sandbox_invoices: invoices of its firm.
        seed: of its firm.
    """
    synchronise = _sync_function()
    plural = tag_named(tag)
    skipped = BadRowsFile(local_path(to), is_needed=rows.skips)
    async with client_of_command(sandbox=sandbox, invoices=sandbox_invoices, seed=seed) as aiwyn:
        with progress_of_command(plural) as shown:
            done: SyncResult = await synchronise(
                getattr(aiwyn, plural),
                to,
                where=None if where is None else where_tree(where),
                reconcile_deletes=reconcile_deletes,
                overlap=overlap,
                page_size=page_size,
                on_progress=shown.update,
                full=full,
                **rows.of_read(),
                **rows.of_values(),
            )
    if full:
        skipped.replace(done.bad_rows)
    else:
        # Rows that were skipped before stay missing until they change, or are read again.
        skipped.add(done.bad_rows)
    code = _told(done, json=json)
    say_noticed(done.report, plural, to, rows)
    if done.bad_rows:
        skipped.tell(len(done.bad_rows))
    return code


def _told(done: SyncResult, *, json: bool) -> int:
    deleted = "" if done.deleted is None else f", {done.deleted} marked as deleted"
    say(
        f"{done.inserted} {done.table} inserted, {done.updated} updated, {done.unchanged} unchanged{deleted} "
        f"in {done.path}: {done.seconds:.1f} s"
    )
    if json:
        left_out = {"report", "bad_rows"}
        told = {name: value for name, value in msgspec.structs.asdict(done).items() if name not in left_out}
        data(encode_json(told | {"complete": done.complete}))
    for note in done.notes:
        say(f"note: {as_flags(note)}")
    for doubt in done.problems:
        say(f"not vouched for as complete: {doubt}")
    return Exit.OK if done.complete else Exit.INCOMPLETE


def _sync_function() -> Any:
    try:
        from aiwyn_async.sync import sync  # noqa: PLC0415 (an extra, which may be missing)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"duckdb", "pyarrow"}:
            raise
        raise ConfigurationError('sync is an extra; run: pip install "aiwyn-async[duckdb]"') from None
    return sync
