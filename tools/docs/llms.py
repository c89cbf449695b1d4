"""llms.txt, an index of the pages, and llms-full.txt, all pages as one Markdown file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import griffe

from tools.docs.fields import Fields
from tools.docs.pages import ROOT

_DIRECTIVE: Final = re.compile(r"^::: (\S+)$", re.MULTILINE)


def write_llms(docs: Path, site: Path) -> None:
    """Write both files, and the Markdown of each page beside its HTML."""
    config = (docs.parent / "mkdocs.yml").read_text(encoding="utf-8")
    start = (docs / "getting-started.md").read_text(encoding="utf-8")
    about = dict(re.findall(r"^\| \[[^]]+\]\((\S+\.md)\) \| (.+) \|$", start, re.MULTILINE))
    package = griffe.load("aiwyn_async", search_paths=[ROOT], extensions=griffe.Extensions(Fields()))
    index, full = [f"# aiwyn_async\n\n> {_setting(config, 'site_description')}"], list[str]()
    for section, name in re.findall(r"^  - (.+):$|^      - (.+\.md)$", config, re.MULTILINE):
        if section:
            index.append(f"\n## {section}\n")
            continue
        text = (docs / name).read_text(encoding="utf-8")
        text = _DIRECTIVE.sub(lambda match: _entry(match[1], package), text)
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
        title, _, rest = text.partition("\n")
        summary = about.get(name) or _summary(rest)
        index.append(f"- [{title.removeprefix('# ')}]({name})" + (f": {summary}" if summary else ""))
        full.append(text.strip())
    (site / "llms.txt").write_text("\n".join([*index, ""]), encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join([*full, ""]), encoding="utf-8")


def _setting(config: str, name: str) -> str:
    return "".join(re.findall(rf"^{name}: (.+)$", config, re.MULTILINE))


def _summary(text: str) -> str:
    """Return the first sentence of a page, if it begins with one."""
    first = text.strip().partition("\n\n")[0].replace("\n", " ")
    sentence = re.match(r"[\w`\[].*?[.:](?= |$)", first)
    return "" if sentence is None else re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", sentence[0]).rstrip(".:")


def _entry(name: str, package: griffe.Object | griffe.Alias) -> str:
    """Return the reference of one name: signatures and docstrings."""
    target = _resolved(package[name.removeprefix("aiwyn_async.")])
    lines = [f"## {name}", _described(target)]
    for member in target.members.values() if target.is_class else ():
        if member.docstring and not member.name.startswith("_"):
            lines += [f"### {target.name}.{member.name}", _described(_resolved(member))]
    return "\n\n".join(lines)


def _resolved(target: griffe.Object | griffe.Alias) -> griffe.Object:
    return target.final_target if isinstance(target, griffe.Alias) else target


def _described(target: griffe.Object) -> str:
    docstring = "" if target.docstring is None else target.docstring.value.replace("``", "`")
    return f"```python\n{_signature(target)}\n```\n\n{docstring}".strip()


def _signature(target: griffe.Object) -> str:
    if isinstance(target, griffe.Function):
        return str(target.signature())
    if isinstance(target, griffe.Class):
        return f"class {target.name}({', '.join(map(str, target.bases))})"
    return f"{target.name}: {target.annotation}" if isinstance(target, griffe.Attribute) else target.name
