"""Write the help pages that ``aiwyn [COMMAND] --help`` prints without loading the application."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from aiwyn_async import _cli
from aiwyn_async._cli.app import COMMANDS, GROUPS, app, load_for_help


def help_pages() -> list[list[str]]:
    """Return the words of every help page: none for the application, or those of a command or group."""
    groups = [[[name], *([name, command] for command in commands)] for name, (_, commands) in GROUPS.items()]
    return [[], *([name] for name in COMMANDS), *itertools.chain.from_iterable(groups)]


def help_page(width: int, words: Sequence[str] = ()) -> str:
    """Return the help page of a command, or of the application without words."""
    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None)
    arguments = [*words, "--help"]
    load_for_help(arguments)
    command, bound, _ = app.meta.parse_args(arguments, console=console)
    command(*bound.args, **bound.kwargs)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


if __name__ == "__main__":
    for words in help_pages():
        path = Path(_cli.stored_page(words))
        path.parent.mkdir(exist_ok=True)
        path.write_text(help_page(_cli.HELP_WIDTH, words), encoding="utf-8")
        print(f"wrote {path}")
