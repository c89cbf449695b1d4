"""The pages of the reference: every public name, with its docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

# Pages of the names in ``aiwyn_async`` itself, by the modules that define them. A module that is not
# listed is on the first page if it is private, and otherwise has a page of its own.
_PAGES: Final = {
    "client": ("Client and configuration", ("client", "config", "_version")),
    "resources": ("Resources", ("_resources.collection", "_resources.searchable", "_resources")),
    "reads": (
        "Reads and reports",
        (
            *("_pagination.pager", "_pull", "_changes", "_core.reports", "_core.pull_report"),
            *("_pagination", "_decoding"),
        ),
    ),
    "filters": ("Filters", ("filters",)),
    "errors": ("Errors", ("errors",)),
    "models": ("Models", ("models",)),
}
_LISTED: Final = [(module, page) for page, (_, modules) in _PAGES.items() for module in modules]


def public_names(root: Path) -> dict[str, str]:
    """Return the public names by their full paths, with the modules that define them."""
    package = root / "aiwyn_async"
    stub = (package / "__init__.pyi").read_text(encoding="utf-8")
    exported = re.findall(r"^from aiwyn_async\.(\S+) import (\w+) as", stub, re.MULTILINE)
    names = {f"aiwyn_async.{name}": module for module, name in exported}
    for module in _public_modules(package):
        for name in _all_of(_file_of(package, module)):
            if f"aiwyn_async.{name}" not in names:
                names[f"aiwyn_async.{module}.{name}"] = module
    return names


def reference_pages(root: Path) -> dict[str, str]:
    """Return the text of each page of the reference by its path on the site."""
    pages: dict[str, list[str]] = {_page_path(page): [] for page in _PAGES}
    for name, module in sorted(public_names(root).items(), key=lambda entry: _rank(entry[1])):
        pages.setdefault(_page_path(_page_of(module)), []).append(name)
    return {path: _page(path, names, root) for path, names in pages.items()}


def _page_of(module: str) -> str:
    rank = _rank(module)
    return _LISTED[rank][1] if rank < len(_LISTED) else "client" if module.startswith("_") else module


def _rank(module: str) -> int:
    """Return the number of the listed module that is this one or contains it."""
    ranks = (rank for rank, (known, _) in enumerate(_LISTED) if f"{module}.".startswith(f"{known}."))
    return next(ranks, len(_LISTED))


def _page_path(page: str) -> str:
    return f"reference/{page}.md"


def _page(path: str, names: list[str], root: Path) -> str:
    page = Path(path).stem
    title, intro = f"aiwyn_async.{page}", ""
    if page in _PAGES:
        title = _PAGES[page][0]
    else:
        source = _file_of(root / "aiwyn_async", page).read_text(encoding="utf-8")
        intro = f"{ast.get_docstring(ast.parse(source)) or ''}\n\n".replace("``", "`")
    return f"# {title}\n\n{intro}" + "".join(f"::: {name}\n\n" for name in names)


def _public_modules(package: Path) -> list[str]:
    modules = [path for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return sorted(path.stem for path in modules if not path.name.startswith("_"))


def _file_of(package: Path, module: str) -> Path:
    path = package / module
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _all_of(file: Path) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list[str](ast.literal_eval(node.value))
    return []
