"""Build the documentation site in build/site, and check its links: ``python -m tools.docs``."""

import subprocess
import sys
import time
from pathlib import Path

from tools.docs.links import dead_links
from tools.docs.llms import write_llms
from tools.docs.pages import ROOT, write_sources


def main() -> int:
    """Build the site, and return the exit code."""
    start = time.perf_counter()
    write_sources(ROOT / "build")
    site = ROOT / "build" / "site"
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    built = subprocess.run(  # noqa: S603 (the program beside this Python)
        [*command, "-f", "mkdocs.yml"],
        cwd=ROOT / "build",
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(built.stdout)
    # Warnings about docstrings do not fail a strict build.
    if built.returncode or "griffe: " in built.stdout:
        return 1
    write_llms(ROOT / "build" / "docs", site)
    dead = dead_links(site)
    print(*dead, sep="\n", end="\n" if dead else "")
    pages = len(list(site.rglob("*.html")))
    print(f"{pages} pages in {time.perf_counter() - start:.1f} s, {len(dead)} dead links")
    return 1 if dead else 0


if __name__ == "__main__":
    raise SystemExit(main())
