"""The command line application: its commands, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from cyclopts import App, CycloptsError

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.doctor import doctor
from aiwyn_async._cli.errors import ExitCode, error_text, exit_code_for, to_flags
from aiwyn_async._cli.export import export
from aiwyn_async._cli.options import FilterOptions, SandboxOptions
from aiwyn_async._cli.output import discard_output, write_data, write_message
from aiwyn_async._cli.resources import create_list, find_resource
from aiwyn_async._cli.sandbox import serve_sandbox
from aiwyn_async._cli.sync import sync
from aiwyn_async._cli.termination import termination
from aiwyn_async._cli.upsert import upsert
from aiwyn_async._http.messages import encode_json
from aiwyn_async._version import __version__
from aiwyn_async.errors import AiwynError, StorageError, StorageWarning, UndocumentedEndpointWarning

__all__ = ["app", "run"]

# What Ctrl-C and SIGTERM leave, by command.
INTERRUPTED: Final[Mapping[str, str]] = {
    "export": "finished parts are saved; pass --resume to continue",
    "sync": "received rows are saved; run the command again to continue",
    "upsert": "records that were sent may be written, the others are not",
}

_FILTERS: Final = FilterOptions()
_SANDBOX: Final = SandboxOptions()

app = App(
    name="aiwyn",
    help="Export complete accounting data from Aiwyn. Credentials are read from AIWYN_API_KEY or AIWYN_TOKEN "
    "and the server from AIWYN_BASE_URL, or both from a profile.",
    version=__version__,
    result_action="return_value",
)

app.command(sync)
app.command(export)
app.command(upsert)
app.command(serve_sandbox, name="sandbox")
app.command(doctor)


@app.command
async def get(resource: str, key: str, /, *, sandbox: SandboxOptions = _SANDBOX) -> int:
    """Print one object as JSON.

    Args:
        resource: invoice, client, payment, ...
        key: The id of the object.
        sandbox: A sandbox to use instead of the configured server.
    """
    async with open_client(sandbox) as aiwyn:
        row = await getattr(aiwyn, find_resource(resource)).get(key)
    write_data(msgspec.json.format(encode_json(row), indent=2))
    return ExitCode.OK


@app.command
async def count(
    resource: str, /, *, filters: FilterOptions = _FILTERS, sandbox: SandboxOptions = _SANDBOX
) -> int:
    """Print the number of rows.

    Args:
        resource: invoices, clients, payments, ...
        filters: Which rows are counted.
        sandbox: A sandbox to use instead of the configured server.
    """
    async with open_client(sandbox) as aiwyn:
        write_data(str(await create_list(aiwyn, find_resource(resource), filters).count()).encode())
    return ExitCode.OK


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors are one line on stderr."""
    # Without a handler, Python prints a warning of a failed token renewal, and the error would repeat it.
    logging.getLogger("aiwyn_async").addHandler(logging.NullHandler())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UndocumentedEndpointWarning)
            warnings.simplefilter("once", StorageWarning)
            warnings.showwarning = _write_warning
            return _run(arguments)
    except CycloptsError:
        return ExitCode.USAGE
    except AiwynError as error:
        text = error_text(error)
        write_message(f"error: {text}")
        _write_json_error(text, arguments)
        return exit_code_for(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        reason = "terminated" if termination.received else "interrupted"
        write_message("; ".join(filter(None, [reason, INTERRUPTED.get(arguments[0])])))
        return ExitCode.TERMINATED if termination.received else ExitCode.INTERRUPTED
    except OSError as error:  # from printing a help page
        discard_output(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return ExitCode.OK
        write_message(f"error: cannot write {error.filename or 'to stdout'}: {error.strerror}")
        return ExitCode.FAILURE


def _run(arguments: Sequence[str]) -> int:
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=True)
    return asyncio.run(_run_cancellable(command(*bound.args, **bound.kwargs)))


async def _run_cancellable(result: Any) -> int:
    with termination.cancels(asyncio.current_task()):
        code = await result if asyncio.iscoroutine(result) else result
    return code if isinstance(code, int) else ExitCode.OK


def _write_json_error(text: str, arguments: Sequence[str]) -> None:
    """With ``--json``, write a result without a path.

    The exit code does not say whether there is a file.
    """
    if arguments[0] in {"export", "sync"} and "--json" in arguments:
        with contextlib.suppress(StorageError):  # stdout may be what failed
            write_data(encode_json({"path": None, "complete": False, "error": text}))


def _write_warning(message: Warning | str, *_: object, **__: object) -> None:
    write_message(f"note: {to_flags(str(message))}")
