"""The commands. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, CycloptsError, Parameter

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.client import client_of_command, sandbox_of_command
from aiwyn_async._cli.doctor import examine
from aiwyn_async._cli.exits import Exit, exit_of
from aiwyn_async._cli.flags import as_flags
from aiwyn_async._cli.notices import say_noticed
from aiwyn_async._cli.options import Flag, RowOptions, Whole
from aiwyn_async._cli.output import data, drop, printable, say
from aiwyn_async._cli.progress import progress_of_command
from aiwyn_async._cli.records import RecordLines
from aiwyn_async._cli.resources import Filters, pull_of, tag_named, walk_of
from aiwyn_async._cli.signals import termination
from aiwyn_async._cli.sync import sync
from aiwyn_async._core.files import local_path
from aiwyn_async._http.messages import encode_json
from aiwyn_async._resources.records import RecordWrite
from aiwyn_async._version import __version__
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import (
    AiwynError,
    ConfigurationError,
    IncompleteError,
    PaginationError,
    RequestError,
    StorageError,
    StorageWarning,
    UndocumentedEndpointWarning,
)
from aiwyn_async.export import Readable
from aiwyn_async.export import export as export_rows
from aiwyn_async.export._staging import has_unfinished
from aiwyn_async.sandbox import Sandbox, parse_fault, serve

__all__ = ["app", "run"]

# What becomes of the work that Ctrl-C or SIGTERM ends, where there is any.
INTERRUPTED: Final[Mapping[str, str]] = {
    "export": "what was finished is kept, go on with --resume",
    "sync": "what came is kept, the next sync goes on",
    "upsert": "records that were sent may be written, the others are not",
}

_ROWS: Final = RowOptions()

app = App(
    name="aiwyn",
    help="An accounting firm's data out of Aiwyn, complete. Credentials come from AIWYN_API_KEY or "
    "AIWYN_TOKEN and the server from AIWYN_BASE_URL, or from a profile.",
    version=__version__,
    result_action="return_value",
)

app.command(sync)


@app.command
async def export(
    tag: str,
    /,
    *,
    to: Path,
    status: str | None = None,
    client_id: str | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    where: str | None = None,
    limit: Whole | None = None,
    page_size: Whole = 1000,
    ranges: Whole | None = None,
    unordered: Flag = False,
    strict: Flag = False,
    force: Flag = False,
    resume: Flag = False,
    replace: Flag = False,
    rows: RowOptions = _ROWS,
    json: Flag = False,
    sandbox: Flag = False,
    sandbox_invoices: Whole = 10_000,
    seed: Whole = 7,
) -> int:
    """Write all rows of a tag into a file.

    All rows, and those of ``--where``, are pulled: by ranges of keys side by side where the tag can be
    searched, and by passes over its list until two agree elsewhere. With a filter of the list or ``--limit``
    the list is walked page by page.

    The file appears under its name only when it is whole. Exit code 5 tells that the rows came but cannot be
    vouched for as complete, that rows were skipped, or that ranges of keys could not be read: then there is
    no file yet, and ``--resume`` asks for those ranges.

    An existing file is refused, unless ``--force``, ``--resume`` or ``--replace`` is given. In a command that
    runs every night, use ``--replace``.

    Args:
        tag: invoices, clients, payments, ...
        to: the file; .parquet, .duckdb, .csv or .jsonl.
        status: rows of this status.
        client_id: rows of this client.
        start_date: from this date on, ISO 8601.
        end_date: up to this date.
        where: a search instead: the condition as JSON.
        limit: rows in all.
        page_size: rows a request, 1 to 1000.
        ranges: ranges of keys read at once, 1 to 64.
        unordered: write rows as they come; otherwise two exports of the same rows give the same file.
        strict: write no file unless it can be vouched for as complete; the parts are kept for --resume.
        force: replace the file, and discard an unfinished export; in a .duckdb file, other tables are kept.
        resume: continue an unfinished export; with a finished one nothing is requested.
        replace: write the file new each time, and continue what the last run of this command did not finish
            in the 12 hours before.
        rows: how rows and values are written.
        json: tell the result as JSON on stdout.
        sandbox: pull from a sandbox that is started for this command.
        sandbox_invoices: invoices of its firm.
        seed: of its firm.
    """
    filters = Filters(
        status=status, client_id=client_id, start_date=start_date, end_date=end_date, where=where
    )
    skipped = BadRowsFile(local_path(to), is_needed=rows.skips)
    async with client_of_command(sandbox=sandbox, invoices=sandbox_invoices, seed=seed) as aiwyn:
        walk: Readable
        options = {"page_size": page_size, "strict": strict, **rows.of_read()}
        if limit is not None or filters.of_the_list():
            if ranges is not None:
                raise ConfigurationError("--ranges is for a pull; it goes with no filter but --where")
            walk = walk_of(aiwyn, tag, filters, limit=limit, **options)
        else:
            walk = pull_of(aiwyn, tag, filters, ranges=ranges, ordered=not unordered, **options)
        with progress_of_command(tag_named(tag)) as shown, _advice(to, replace=replace):
            done = await export_rows(
                walk,
                to,
                force=force,
                resume=resume,
                replace=replace,
                table=tag_named(tag),
                on_progress=shown.update,
                **rows.of_values(),
            )
    skipped.replace(walk.bad_rows)
    report = done.report
    of = "" if report.total_count is None or limit is not None else f" of {report.total_count}"
    say(f"{done.rows}{of} {tag_named(tag)} in {done.path}: {done.bytes / 1e6:.1f} MB, {done.seconds:.1f} s")
    say_noticed(report, tag_named(tag), to, rows)
    if json:
        told = {name: getattr(done, name) for name in ("path", "rows", "bytes", "seconds")}
        doubts = report.problems()
        told |= {"expected": report.total_count, "complete": not doubts, "doubts": doubts}
        data(encode_json(told | {"bad_rows": report.bad_rows}))
    if walk.bad_rows:
        skipped.tell(report.bad_rows)
    if not report.complete:
        for doubt in report.problems():
            say(f"not vouched for as complete: {doubt}")
        return Exit.INCOMPLETE
    return Exit.OK


@app.command
async def get(
    tag: str,
    key: str,
    /,
    *,
    sandbox: Flag = False,
    sandbox_invoices: Whole = 10_000,
    seed: Whole = 7,
) -> int:
    """Print one object as JSON.

    Args:
        tag: invoice, client, payment, ...
        key: its id.
        sandbox: look it up in a sandbox that is started for this command.
        sandbox_invoices: invoices of its firm.
        seed: of its firm.
    """
    async with client_of_command(sandbox=sandbox, invoices=sandbox_invoices, seed=seed) as aiwyn:
        found = await getattr(aiwyn, tag_named(tag)).get(key)
    data(msgspec.json.format(encode_json(found), indent=2))
    return Exit.OK


@app.command
async def count(
    tag: str,
    /,
    *,
    status: str | None = None,
    client_id: str | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    where: str | None = None,
    sandbox: Flag = False,
    sandbox_invoices: Whole = 10_000,
    seed: Whole = 7,
) -> int:
    """Print how many rows there are.

    Args:
        tag: invoices, clients, payments, ...
        status: rows of this status.
        client_id: rows of this client.
        start_date: from this date on, ISO 8601.
        end_date: up to this date.
        where: a search instead: the condition as JSON.
        sandbox: count in a sandbox that is started for this command.
        sandbox_invoices: invoices of its firm.
        seed: of its firm.
    """
    filters = Filters(
        status=status, client_id=client_id, start_date=start_date, end_date=end_date, where=where
    )
    async with client_of_command(sandbox=sandbox, invoices=sandbox_invoices, seed=seed) as aiwyn:
        data(str(await walk_of(aiwyn, tag, filters).count()).encode())
    return Exit.OK


@app.command
async def upsert(
    *,
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    update: Flag = False,
    batch_size: Whole = 100,
    json: Flag = False,
) -> int:
    """Write records from a JSONL file: a line a record, with type, systemRef and attributes.

    Each record that was not written is told on stderr, with its line. Exit code 5 tells that there is one, or
    that a malformed line ended the command after records before it were sent.

    Args:
        file: the records; - reads stdin.
        update: update records that exist, create none.
        batch_size: records a request, 1 to 100.
        json: tell every record's outcome as a line of JSON on stdout.
    """
    async with AiwynClient() as aiwyn:
        write = aiwyn.records.update if update else aiwyn.records.upsert
        with RecordLines(file) as records, progress_of_command("records") as shown:
            writing = write(records, batch_size=batch_size)
            with _counts(writing):
                async for outcome in writing:
                    shown.count(writing.report.total)
                    if json:
                        data(encode_json(outcome))
                    if not outcome.ok:
                        why = " ".join(filter(None, [outcome.code, outcome.message]))
                        say(f"line {records.line_of(outcome.index)} {outcome.status}: {why}")
    say(str(writing.report))
    return Exit.OK if writing.report.ok else Exit.INCOMPLETE


@contextlib.contextmanager
def _counts(writing: RecordWrite) -> Generator[None]:
    """Say what was written before an error or Ctrl-C ended it.

    Raises:
        IncompleteError: a record is malformed, and others were written before it.
    """
    try:
        yield
    except (AiwynError, asyncio.CancelledError) as error:
        if not writing.report.total:
            raise
        say(str(writing.report))
        if isinstance(error, ConfigurationError):
            raise IncompleteError(
                f"{error}; the records before it were sent, those after it were not"
            ) from error
        raise


@app.command(name="sandbox")
async def serve_sandbox(
    *,
    invoices: Whole = 10_000,
    seed: Whole = 7,
    port: Whole = 0,
    latency: float = 0.0,
    rate_limit: float | None = None,
    api_key: str | None = None,
    path: str | None = None,
    fault: tuple[str, ...] = (),
) -> int:
    """Serve a sandbox of the API on 127.0.0.1 until Ctrl-C.

    Args:
        invoices: of its firm.
        seed: of its firm; the same seed gives the same firm.
        port: 0 takes a free one.
        latency: seconds before each answer.
        rate_limit: requests per second; the server answers 429 above it.
        api_key: the key that clients exchange for a token; random unless given.
        path: a file to keep the firm in.
        fault: a planned fault, such as invoices.list:status=503,nth=2; may be repeated.
    """

    def ready(box: Sandbox) -> None:
        data(f"export AIWYN_BASE_URL={box.url}\nexport AIWYN_API_KEY={box.api_key}".encode())
        say(f"{invoices} invoices; Ctrl-C ends it")

    if not 0 <= latency < math.inf:
        raise ConfigurationError(f"--latency must be 0 or more, got {latency:g}")
    box = sandbox_of_command(
        invoices=invoices,
        seed=seed,
        port=port,
        latency=latency,
        rate_limit=rate_limit,
        api_key=api_key,
        path=path,
    )
    try:
        for text in fault:
            parse_fault(text).add_to(box.faults)
        say(f"making {invoices:,} invoices")
        await serve(box, ready=ready)
    except ValueError as wrong:
        raise ConfigurationError(f"no sandbox: {wrong}") from None
    except (OSError, OverflowError) as failure:
        raise ConfigurationError(f"cannot serve on port {port}: {failure}") from None
    return Exit.OK


@app.command
async def doctor(*, sandbox: Flag = False, sandbox_invoices: Whole = 100, seed: Whole = 7) -> int:
    """Look at configuration, reachability, token, clock and one page; tell what is wrong and what to do.

    Args:
        sandbox: look at a sandbox that is started for this command.
        sandbox_invoices: invoices of its firm.
        seed: of its firm.
    """
    worst = Exit.OK
    async with client_of_command(sandbox=sandbox, invoices=sandbox_invoices, seed=seed) as aiwyn:
        async for finding in examine(aiwyn):
            data(printable(f"{'ok' if finding.ok else 'WRONG':5} {finding.what}: {finding.text}").encode())
            worst = worst or finding.exit
    return worst


@contextlib.contextmanager
def _advice(to: Path, *, replace: bool) -> Generator[None]:
    """Have an error say how to continue what was kept."""
    try:
        yield
    except (RequestError, PaginationError, StorageError) as error:
        if "resume" not in str(error) and has_unfinished(to):
            how = "run the command again to continue" if replace else "go on with --resume"
            error.add_note(f"what was finished is kept, {how}")
        raise


def run(arguments: Sequence[str]) -> int:
    """Parse and run; the exit code. What goes wrong is one line on stderr, never a traceback."""
    # Without a handler, Python prints a warning of a failed token renewal, and the error would repeat it.
    logging.getLogger("aiwyn_async").addHandler(logging.NullHandler())
    try:
        with warnings.catch_warnings():
            # A line of its own each time, and no line of this program's code.
            warnings.simplefilter("always", UndocumentedEndpointWarning)
            warnings.simplefilter("once", StorageWarning)
            warnings.showwarning = _say_warning
            return _run(arguments)
    except CycloptsError:
        return Exit.USAGE
    except AiwynError as error:
        text = "; ".join([as_flags(str(error)), *getattr(error, "__notes__", ())])
        say(f"error: {text}")
        _print_failure(text, arguments)
        return exit_of(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        what = "terminated" if termination.received else "interrupted"
        say("; ".join(filter(None, [what, INTERRUPTED.get(arguments[0])])))
        return Exit.TERMINATED if termination.received else Exit.INTERRUPTED
    except OSError as error:  # of a help page, whose reader may have seen enough
        drop(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return Exit.OK
        say(f"error: cannot write {error.filename or 'to stdout'}: {error.strerror}")
        return Exit.FAILURE


def _print_failure(text: str, arguments: Sequence[str]) -> None:
    """With ``--json``, a result without a path: exit code 5 alone does not say whether there is a file."""
    if arguments[0] in {"export", "sync"} and "--json" in arguments:
        with contextlib.suppress(StorageError):  # stdout may be what failed
            data(encode_json({"path": None, "complete": False, "error": text}))


def _run(arguments: Sequence[str]) -> int:
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=True)
    return asyncio.run(_awaited(command(*bound.args, **bound.kwargs)))


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"note: {as_flags(str(message))}")


async def _awaited(result: Any) -> int:
    with termination.cancels_this_task():
        found = await result if asyncio.iscoroutine(result) else result
    return found if isinstance(found, int) else Exit.OK
