"""Write the help page that ``aiwyn --help`` prints without loading the application."""

from __future__ import annotations

from pathlib import Path

from aiwyn_async import _cli
from aiwyn_async._cli.app import help_page

if __name__ == "__main__":
    path = Path(_cli.__file__).with_name("help.txt")
    path.write_text(help_page(_cli.HELP_WIDTH), encoding="utf-8")
    print(f"wrote {path}")
