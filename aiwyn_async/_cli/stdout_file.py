"""``aiwyn export --to -``: a complete file, written to stdout."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, ParamSpec

from aiwyn_async._cli.output import escape_control_characters, write_rows
from aiwyn_async._cli.resources import ALL
from aiwyn_async._cli.translations import flag_name
from aiwyn_async.errors import AiwynError, ConfigurationError

Arguments = ParamSpec("Arguments")

STDOUT: Final = "-"
FOLDER_PREFIX: Final = "aiwyn-stdout-"
COPY_BYTES: Final = 1 << 20
# None of these applies to what stdout has received.
REFUSED: Final = ("force", "resume", "replace", "json", "partition_by", "keep")


def writes_stdout(command: Callable[Arguments, Awaitable[int]]) -> Callable[Arguments, Awaitable[int]]:
    """Let a command write to stdout: into a temporary file, which is copied once it is complete.

    So stdout receives all rows or, after an error, none.
    """

    @functools.wraps(command)
    async def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        options: dict[str, Any] = dict(kwargs)
        run_command: Callable[..., Awaitable[int]] = command
        if options["to"] != STDOUT:
            return await run_command(*args, **options)
        form = options.pop("file_format", None) or "jsonl"
        _check(args[0], form, options)
        write_rows(b"")  # if stdout is closed, before all rows are read
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
            path = Path(folder) / f"stdout.{form}"
            try:
                code = await run_command(*args, **options | {"to": str(path)})
            except AiwynError as error:
                # The parts of the temporary file are removed.
                error.__notes__ = []
                error.args = (str(error.args[0]).partition("; pass resume=True")[0], *error.args[1:])
                raise
            _copy(path)
        return code

    return run


def name_of(to: str) -> Path:
    """Return the path of a target as messages name it."""
    path = Path(to)
    return Path("stdout") if path.parent.name.startswith(FOLDER_PREFIX) else path


def _check(resource: object, form: str, options: dict[str, Any]) -> None:
    """Refuse what stdout cannot have."""
    if resource == ALL:
        raise ConfigurationError("--to - is for one resource; name a folder, or a resource")
    if form == "dataset":
        raise ConfigurationError("a dataset is a folder; pass --format jsonl, csv or parquet with --to -")
    if form == "parquet" and sys.stdout is not None and sys.stdout.isatty():
        raise ConfigurationError("Parquet is not text; redirect stdout, or pass --format csv")
    for name in REFUSED:
        if options.get(name):
            raise ConfigurationError(f"{flag_name(name)} cannot be combined with --to -; remove it")


def _copy(path: Path) -> None:
    """Write a file to stdout; on a terminal, without characters that control it."""
    with path.open("rb") as file:
        if sys.stdout is not None and sys.stdout.isatty():
            for line in file:
                write_rows(escape_control_characters(line.decode("utf-8", "replace")).encode())
            return
        while data := file.read(COPY_BYTES):
            write_rows(data)
