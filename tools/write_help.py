"""Write the help pages that ``aiwyn [COMMAND] --help`` prints without loading the application."""

from __future__ import annotations

from pathlib import Path

from aiwyn_async import _cli
from aiwyn_async._cli.app import help_page, help_pages

if __name__ == "__main__":
    for words in help_pages():
        path = Path(_cli.stored_page(words))
        path.parent.mkdir(exist_ok=True)
        path.write_text(help_page(_cli.HELP_WIDTH, words), encoding="utf-8")
        print(f"wrote {path}")
