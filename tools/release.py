"""Print the changelog of a release: `python -m tools.release v0.1.0`. Fails if the tag cannot be released."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

__all__ = ["release_notes"]

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, version: str, changelog: str, address: str) -> str:
    """Return the section of a version.

    Raises:
        ValueError: the tag is not that of the version, the version has no date, or the address is not real.
    """
    if address.endswith(".example"):
        raise ValueError(f"nobody reads {address}; write an address of the maintainers into pyproject.toml")
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag} and the version {version}; set aiwyn_async/_version.py")
    heading = re.search(rf"^## \[{re.escape(version)}\] - (.+)$", changelog, re.MULTILINE)
    if heading is None or not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[1]):
        raise ValueError(f"version {version} has no date; write it into CHANGELOG.md")
    return changelog[heading.end() :].partition("\n## [")[0].strip()


if __name__ == "__main__":
    version = re.findall(r'"(.+)"$', (ROOT / "aiwyn_async/_version.py").read_text())[0]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        print(release_notes(sys.argv[1], version, changelog, project["authors"][0]["email"]))
    except ValueError as error:
        sys.exit(str(error))
