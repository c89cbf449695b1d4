"""A command over all resources: its options, one resource after another, a summary, and what ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from aiwyn_async._cli.all_progress import AllProgress, create_all_progress
from aiwyn_async._cli.errors import ExitCode, error_text, exit_code_for
from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.output import write_error, write_json, write_message
from aiwyn_async._cli.translations import flag_name
from aiwyn_async.arrow._options import time_columns
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import (
    AiwynError,
    AuthenticationError,
    CheckpointError,
    ConfigurationError,
    IncompleteError,
    PermissionDeniedError,
    StatusError,
    StorageError,
    TokenExchangeError,
)

NOTHING_WRITTEN: Final[Mapping[str, Any]] = MappingProxyType({"path": None, "complete": False})
STATES: Final[Mapping[int, str]] = {
    **dict.fromkeys((401, 403, 405, 501), "refused"),
    **dict.fromkeys((404, 410), "not found"),
}
# Errors of one path; any other error of a disk, such as that it is full, concerns all resources.
PATH_ERRORS: Final = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
# Names of DuckDB's classes, which is an extra: errors of a value or of one table, such as a unique index.
TABLE_ERRORS: Final = frozenset({"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"})


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did with one resource.

    Attributes:
        state: ``complete``, ``incomplete``, ``refused 403``, ``not found 404``, ``failed``, ``interrupted``
            or ``not started``.
        rows: written; None if the rows have no file or table of this run.
        code: the exit code of the resource alone.
        message: a line for a log.
        values: the result as JSON.
    """

    state: str
    rows: int | None = None
    code: ExitCode = ExitCode.INCOMPLETE
    message: str = ""
    values: Mapping[str, Any] = NOTHING_WRITTEN


def written_outcome(rows: int, problems: Sequence[str], message: str, values: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a resource whose rows are written."""
    state, code = ("incomplete", ExitCode.INCOMPLETE) if problems else ("complete", ExitCode.OK)
    return Outcome(state=state, rows=rows, code=code, message=message, values=values)


def refuse_for_all(**values: object) -> None:
    """Refuse options that are for one resource, if one has a value."""
    for name, value in values.items():
        if value is not None:
            raise ConfigurationError(f"{flag_name(name)} is for one resource; remove it, or name a resource")


def columns_by_resource(row_types: Mapping[str, Any], rows: RowOptions) -> dict[str, dict[str, Any]]:
    """Return the column options of each resource; of ``--date-columns``, those that it has.

    Raises:
        ConfigurationError: no resource has one of the columns.
    """
    options = rows.column_arguments()
    days: tuple[str, ...] = options.get("date_columns", ())
    times = {name: set(time_columns(row_type)) for name, row_type in row_types.items()}
    for day in days:
        if not any(day in own for own in times.values()):
            raise ConfigurationError(f"date_columns: no resource has a date or time column {day!r}")
    return {
        name: options | {"date_columns": tuple(day for day in days if day in own)}
        for name, own in times.items()
    }


async def run_all(
    client: AiwynClient,
    resources: Sequence[str],
    run_one: Callable[[str, AllProgress], Awaitable[Outcome]],
    *,
    advice: str,
    json: bool,
) -> ExitCode:
    """Run a command for each resource, write a summary, and return the exit code.

    A resource that fails does not stop the others, unless its error concerns all of them.

    Raises:
        ConfigurationError: an argument is invalid; nothing was sent.
    """
    outcomes = dict.fromkeys(resources, Outcome(state="not started"))
    stopped_by: AiwynError | None = None
    try:
        with create_all_progress(resources) as progress:
            for name in resources:
                outcomes[name] = Outcome(state="interrupted")
                progress.start(name)
                try:
                    outcomes[name] = await run_one(name, progress)
                except AiwynError as error:
                    if _is_usage(error) and name == resources[0]:
                        outcomes.clear()
                        raise
                    outcomes[name] = _failed(error)
                    write_error(f"error: {name}: {error_text(error)}")
                    _raise_if_cancelled()
                    if await _concerns_all(error, client, (each for each in resources if each != name)):
                        stopped_by = error
                        break
                _show_end(progress, outcomes[name])
    finally:  # also of an interrupted run
        _write_summary(outcomes, json=json)
    return _end(outcomes, stopped_by, advice)


def _raise_if_cancelled() -> None:
    """Cancel the run: an error of rows that are written after Ctrl-C replaces the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _failed(error: AiwynError) -> Outcome:
    values = {**NOTHING_WRITTEN, "error": error_text(error)}
    state = "incomplete" if isinstance(error, IncompleteError) else "failed"
    if isinstance(error, StatusError) and error.status in STATES:
        state = f"{STATES[error.status]} {error.status}"
    return Outcome(state=state, code=exit_code_for(error), values=values)


def _is_usage(error: AiwynError) -> bool:
    return isinstance(error, ConfigurationError) and not isinstance(error, CheckpointError)


async def _concerns_all(error: AiwynError, client: AiwynClient, others: Iterable[str]) -> bool:
    """Return whether the other resources would fail in the same way."""
    if isinstance(error, AuthenticationError):
        # A server may refuse one endpoint with 401; a token that expired is refused by all.
        return error.path == client.config.token_path or not await _is_token_accepted(client, others)
    if isinstance(error, StorageError):
        cause = error.__cause__
        is_of_table = not TABLE_ERRORS.isdisjoint(kind.__name__ for kind in type(cause).__mro__)
        return not (cause is None or isinstance(cause, PATH_ERRORS) or is_of_table)
    return isinstance(error, TokenExchangeError) or _is_usage(error)


async def _is_token_accepted(client: AiwynClient, resources: Iterable[str]) -> bool:
    for name in resources:
        try:
            await getattr(client, name).list(page_size=1, limit=1).first()
        except PermissionDeniedError:
            return True
        except AiwynError:
            continue
        return True
    return False


def _show_end(progress: AllProgress, outcome: Outcome) -> None:
    state = outcome.state if outcome.rows is None else f"{outcome.rows:,} rows, {outcome.state}"
    progress.finish(state, outcome.message, is_written=outcome.rows is not None)


def _write_summary(outcomes: Mapping[str, Outcome], *, json: bool) -> None:
    if not outcomes:
        return
    table = [("resource", "rows", "state")]
    for name, outcome in outcomes.items():
        table.append((name, "-" if outcome.rows is None else f"{outcome.rows:,}", outcome.state))
    width, digits = (max(len(row[column]) for row in table) for column in (0, 1))
    for name, rows, state in table:
        write_message(f"{name:<{width}}  {rows:>{digits}}  {state}")
    if json:
        results = [
            {"resource": name, "state": outcome.state, **outcome.values} for name, outcome in outcomes.items()
        ]
        write_json(results)


def _end(outcomes: Mapping[str, Outcome], stopped_by: AiwynError | None, advice: str) -> ExitCode:
    """Say how to continue, and return the exit code.

    That is the code of the error if it stopped the run or is that of all resources, and otherwise 5.
    """
    codes = {outcome.code for outcome in outcomes.values()}
    complete = sum(outcome.code == ExitCode.OK for outcome in outcomes.values())
    if complete == len(outcomes):
        return ExitCode.OK
    text = f"{complete} of {len(outcomes)} resources are complete"
    if stopped_by is not None:
        text = f"stopped: {text}"
    if any(outcome.rows is None for outcome in outcomes.values()):
        text = f"{text}; {advice}"
    write_message(text)
    if stopped_by is not None:
        return exit_code_for(stopped_by)
    return codes.pop() if len(codes) == 1 else ExitCode.INCOMPLETE
