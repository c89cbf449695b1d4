"""The comparison of public names with the latest tag notices what a caller must change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiwyn_async

if TYPE_CHECKING:
    import griffe
else:
    griffe = pytest.importorskip("griffe", reason="the extra lint installs it")
ROOT = Path(__file__).parents[1]


def load(folder: Path) -> griffe.Module:
    extensions = griffe.load_extensions(str(ROOT / "tools/public_names.py"))
    package = griffe.load(
        "aiwyn_async",
        search_paths=[folder],
        extensions=extensions,
        resolve_aliases=True,
        try_relative_path=False,
    )
    assert isinstance(package, griffe.Module)
    return package


@pytest.fixture(scope="module")
def released() -> griffe.Module:
    return load(ROOT)


def test_check_compares_every_public_name(released: griffe.Module) -> None:
    assert sorted(map(str, released.exports or ())) == aiwyn_async.__all__
    assert not [name for name in aiwyn_async.__all__ if not released[name].is_public]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("_pagination/read.py", "def collect(self)", "def collect(self, *, limit: int)"),
        ("models/invoices.py", "invoice_number:", "number:"),
        ("__init__.pyi", "import Page as Page", "import Page as OnePage"),
        ("errors.py", "class ConfigurationError", "class ConfigError"),
    ],
)
def test_breaking_change_is_noticed(
    released: griffe.Module, tmp_path: Path, file: str, old: str, new: str
) -> None:
    shutil.copytree(ROOT / "aiwyn_async", tmp_path / "aiwyn_async")
    path = tmp_path / "aiwyn_async" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert list(griffe.find_breaking_changes(released, load(tmp_path)))


def test_unchanged_package_has_no_breaking_change(released: griffe.Module) -> None:
    assert not list(griffe.find_breaking_changes(released, load(ROOT)))
