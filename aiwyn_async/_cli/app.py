"""The command line application: its commands, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import warnings
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from aiwyn_async._cli import discard_output
from aiwyn_async._cli.errors import ExitCode, error_text, exit_code_for
from aiwyn_async._cli.output import set_verbosity, write_error, write_json, write_message
from aiwyn_async._cli.termination import termination
from aiwyn_async._cli.translations import to_flags
from aiwyn_async._version import __version__
from aiwyn_async.errors import AiwynError, StorageError, StorageWarning, UndocumentedEndpointWarning

# What Ctrl-C and other signals leave, by command.
INTERRUPTED: Final[Mapping[str, str]] = {
    "export": "any finished parts are saved; pass --resume to continue",
    "sync": "received rows are saved; run the command again to continue",
    "upsert": "records that were sent may be written, the others are not",
}

# Without the option --sandbox.
_NO_SANDBOX: Final = frozenset({"auth", "config", "upsert"})

# Imported when they run: together they take as long to load as many requests.
COMMANDS: Final[Mapping[str, str]] = {
    "list": "list_rows:list_rows",
    "search": "list_rows:search_rows",
    "get": "get:get",
    "count": "get:count",
    "export": "export:export",
    "sync": "sync:sync",
    "upsert": "upsert:upsert",
    "sandbox": "sandbox:serve_sandbox",
    "doctor": "doctor:doctor",
    "mcp": "mcp:serve_mcp",
}
GROUPS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "auth": (
        "Store an API key in a profile, remove it, or check it.",
        {"login": "auth:login", "logout": "auth:logout", "status": "auth:status"},
    ),
    "config": ("Show the options of the client.", {"show": "config:show"}),
}

app = App(
    name="aiwyn",
    help="Read complete accounting data from Aiwyn. Credentials are read from AIWYN_API_KEY or AIWYN_TOKEN "
    "and the server from AIWYN_BASE_URL, or both from a profile, which `aiwyn auth login` writes.",
    version=__version__,
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
)


def _add(to: App, commands: Mapping[str, str]) -> None:
    for name, function in commands.items():
        to.command(f"aiwyn_async._cli.{function}", name=name)


_add(app, COMMANDS)
for _name, (_help, _commands) in GROUPS.items():
    _group = App(name=_name, help=_help)
    _add(_group, _commands)
    app.command(_group)
app.register_install_completion_command(  # pyright: ignore[reportUnknownMemberType]
    help="Install completion for bash, zsh or fish."
)


@app.meta.default
def _main(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[
        bool,
        Parameter(negative=(), show_default=False, group="Messages", help="Write only errors to stderr."),
    ] = False,
    verbose: Annotated[
        bool, Parameter(negative=(), show_default=False, group="Messages", help="Log requests to stderr.")
    ] = False,
) -> Any:
    set_verbosity(quiet=quiet, verbose=verbose)
    command, bound, _ = app.parse_args(tokens)
    termination.begin()
    # An async command is started by the caller.
    return command(*bound.args, **bound.kwargs)


def load_for_help(tokens: Sequence[str]) -> None:
    """Import the commands that a help page lists, since it shows their docstrings."""
    words = [token for token in tokens if not token.startswith("-")]
    first, second = [*words, "", ""][:2]
    if first in GROUPS and second not in GROUPS[first][1]:
        _load(app[first], GROUPS[first][1])
    elif (
        "--version" not in tokens and first not in COMMANDS and (not words or {"--help", "-h"} & set(tokens))
    ):
        _load(app, COMMANDS)


def _load(group: App, names: Iterable[str]) -> None:
    for name in names:
        group[name]


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors are one line on stderr."""
    command = next((each for each in arguments if not each.startswith("-")), "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UndocumentedEndpointWarning)
            warnings.simplefilter("once", StorageWarning)
            warnings.showwarning = _write_warning
            return _run(arguments)
    except CycloptsError as error:
        return _fail(ExitCode.USAGE, _usage_text(error), command, arguments)
    except AiwynError as error:
        text = error_text(error)
        if command in _NO_SANDBOX:
            text = text.replace("account, pass --sandbox", "account, run aiwyn sandbox")
        return _fail(exit_code_for(error), text, command, arguments)
    except (KeyboardInterrupt, asyncio.CancelledError):
        reason, code = termination.ending
        left = None if "-" in arguments else INTERRUPTED.get(command)  # stdout has no parts
        write_error("; ".join(filter(None, [reason, left])))
        return code
    except (OSError, SystemExit) as error:  # from printing rows or a help page
        return _end_output(error)


# Options that a command does not have, and what to do instead.
_ELSEWHERE: Final = {
    "--profile": "set AIWYN_PROFILE to use another profile than default",
    "--where": "a condition is for search, count, export and sync",
}


def _usage_text(error: CycloptsError) -> str:
    """Return the text of a usage error, and which help page has the arguments and options."""
    unused = error.unused_tokens or [""]
    chain = error.command_chain or ()
    name = unused[0]
    if isinstance(error, UnknownOptionError):
        # Before a missing argument, the option is the value of its token.
        name = error.token.keyword or error.token.value
    name = name.partition("=")[0]
    if name in _ELSEWHERE:
        text = f"unknown option {name!r}; {_ELSEWHERE[name]}"
    elif isinstance(error, UnusedCliTokensError):
        text = f"unexpected argument {unused[0]!r}"
    elif isinstance(error, MissingArgumentError) and error.argument and unused[0][:1] not in {"", "-"}:
        text = f"unexpected argument {unused[0]!r}; {error.argument.name} is missing"
    elif isinstance(error, UnknownCommandError) and unused[0].startswith("-"):
        text = f"unknown option {unused[0]!r} before the command; options follow their command"
    else:
        text = re.sub(r"(?<!\.)\.$", "", " ".join(str(error).split()))
    return f"{text} (see {' '.join(['aiwyn', *chain, '--help'])})"


def _end_output(error: OSError | SystemExit) -> int:
    # rich exits if the reader of a help page has exited.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        discard_output(sys.stdout)
        return ExitCode.BROKEN_PIPE
    if isinstance(error, SystemExit):
        raise error
    discard_output(sys.stdout)
    if termination.received:  # the terminal that progress is shown on may be closed
        return termination.ending[1]
    write_error(f"error: cannot write {error.filename or 'to stdout'}: {error.strerror}")
    return ExitCode.FAILURE


def _run(arguments: Sequence[str]) -> int:
    # What follows the delimiter is for the command alone.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    load_for_help(options)
    command, bound, _ = app.meta.parse_args(options)
    result = command(*bound.args, *(rest if command is _main else ()), **bound.kwargs)
    if asyncio.iscoroutine(result):
        result = asyncio.run(_run_cancellable(result))
    return result if isinstance(result, int) else ExitCode.OK


async def _run_cancellable(command: Awaitable[Any]) -> Any:
    with termination.cancels(asyncio.current_task()):
        return await command


def _fail(code: ExitCode, text: str, command: str, arguments: Sequence[str]) -> ExitCode:
    """Write an error, and with ``--json`` a result without a path.

    The exit code does not say whether there is a file.
    """
    write_error(f"error: {text}")
    if command in {"export", "sync"} and "--json" in arguments:
        with contextlib.suppress(StorageError):  # stdout may be what failed
            write_json({"path": None, "complete": False, "error": text})
    return code


def _write_warning(message: Warning | str, *_: object, **__: object) -> None:
    write_message(f"note: {to_flags(str(message))}")
