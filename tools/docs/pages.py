"""Copy the Markdown of the repository into one directory, and its links with it.

``python -m tools.docs.pages DIRECTORY`` writes only these pages.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.docs.reference import reference_pages

ROOT: Final = Path(__file__).parents[2]
# Pages outside docs/, by their name on the site.
_PAGES: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/REPORT.md": "benchmarks.md",
    "benchmarks/TRIED.md": "benchmarks-tried.md",
}
_LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
_CODE: Final = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def write_sources(folder: Path) -> None:
    """Write every page, with the configuration of the site, below a new directory.

    Raises:
        ValueError: a link leads to a file that does not exist.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = {ROOT / source: name for source, name in _PAGES.items()}
    pages |= {path: path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    for path, name in pages.items():
        _write(folder / "docs" / name, _with_links(path, pages, folder / "docs"))
    reference = reference_pages(ROOT)
    for name, text in reference.items():
        _write(folder / "docs" / name, text)
    shutil.copyfile(Path(__file__).with_name("site.css"), folder / "docs" / "site.css")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    lines = "".join(f"\n      - {name}" for name in reference)
    _write(folder / "mkdocs.yml", config.replace("- Reference: []", f"- Reference:{lines}"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_links(page: Path, pages: dict[Path, str], docs: Path) -> str:
    """Return a page's text; files that it links to and that are not pages are copied to the site."""

    def target(match: re.Match[str]) -> str:
        path = (page.parent / match[1]).resolve()
        if path in pages:
            return pages[path]
        if not path.is_file():
            raise ValueError(f"{page.relative_to(ROOT)}: the file of the link {match[1]} does not exist")
        name = path.relative_to(ROOT / "docs" if path.is_relative_to(ROOT / "docs") else ROOT)
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, docs / name)
        return name.as_posix()

    return outside_code(page.read_text(encoding="utf-8"), lambda text: _LINK.sub(target, text))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to the parts of a page that are not code."""
    end, parts = 0, list[str]()
    for code in _CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


if __name__ == "__main__":
    write_sources(Path(sys.argv[1]))
