from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import aiwyn_async

ROOT = Path(__file__).parents[2]


def run_tool(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the site's configuration and pages."""
    folder = tmp_path_factory.mktemp("site")
    written = run_tool("tools.docs.pages", folder)
    assert written.returncode == 0, written.stderr
    return folder


def pages_of(sources: Path) -> dict[str, str]:
    docs = sources / "docs"
    return {path.relative_to(docs).as_posix(): path.read_text("utf-8") for path in docs.rglob("*.md")}


def anchors_of(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in headings}


def test_every_page_is_once_in_the_navigation(sources: Path) -> None:
    listed = re.findall(r"^      - (\S+\.md)$", (sources / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(pages_of(sources)), "add one line per page below nav in mkdocs.yml"


def test_every_page_has_one_title(sources: Path) -> None:
    for name, text in pages_of(sources).items():
        outside_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        assert len(re.findall(r"^# ", outside_code, re.MULTILINE)) == 1, name


def test_every_link_and_anchor_resolves(sources: Path) -> None:
    pages = pages_of(sources)
    dead: list[str] = []
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)", text):
            path = target or name
            exists = (sources / "docs" / path).is_file()
            if not exists or (anchor and anchor not in anchors_of(pages[path])):
                dead.append(f"{name}: {target}#{anchor}")
    assert not dead


def test_every_public_name_has_one_reference_entry(sources: Path) -> None:
    names = {f"aiwyn_async.{name}" for name in aiwyn_async.__all__}
    for module in pkgutil.iter_modules(aiwyn_async.__path__):
        if not module.name.startswith("_"):
            exported = getattr(import_module(f"aiwyn_async.{module.name}"), "__all__", ())
            inner = {f"aiwyn_async.{module.name}.{name}" for name in exported}
            names |= {name for name in inner if f"aiwyn_async.{name.rpartition('.')[2]}" not in names}
    text = "\n".join(pages_of(sources).values())
    entries = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert sorted(entries) == sorted(names)


def test_links_outside_docs_lead_to_pages_and_copied_files(sources: Path) -> None:
    pages = pages_of(sources)
    assert "(benchmarks.md)" in pages["performance.md"]
    assert "(security.md)" in pages["threat-model.md"]
    assert "(getting-started.md)" in pages["index.md"]
    assert (sources / "docs" / "aiwyn_async" / "sandbox" / "openapi.json").is_file()


def test_dead_links_of_a_built_site_are_named(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    links = ("page/", "page/#here", "#top", "https://example.com/x", "picture.svg")
    dead = ("page/#there", "none/", "#bottom", "none.svg", "page/none.html#here")
    text = "".join(f'<a href="{link}">x</a>' for link in (*links, *dead))
    (tmp_path / "index.html").write_text(f'<h1 id="top">{text}</h1>')
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "page" / "index.html").write_text('<p id="here"></p><img src="../picture.svg">')
    result = run_tool("tools.docs.links", tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines() == sorted(f"index.html: {link}" for link in dead)
