"""The tables of docs/what-happens-when.md, made from the table of faults.

``python tests/support/fault_page.py`` writes them into the page.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from fault_matrix import GROUPS, Fault

__all__ = ["PAGE", "with_tables"]

PAGE = Path(__file__).parents[2] / "docs" / "what-happens-when.md"


def with_tables(text: str) -> str:
    """Return the page with the tables of the present faults."""
    tables = "\n".join(map(_table, GROUPS))
    marked = r"(<!-- faults: .*? -->\n).*(<!-- end of faults -->)"
    return re.sub(marked, rf"\1{tables}\n\2", text, flags=re.DOTALL)


def _table(title: str) -> str:
    header = "| fault | requests of a read | of a write | error | may be written |\n|---|---|---|---|---|"
    documented = [fault for fault in GROUPS[title] if fault.documented]
    rows = [_row(list(group)) for _, group in groupby(documented, _outcome)]
    return "\n".join(["", f"## {title}", "", header, *rows])


def _outcome(fault: Fault) -> tuple[object, ...]:
    """Return what a row says; bare statuses with the same outcome share a row."""
    name = "status" if fault.name.removeprefix("status ").isdecimal() else fault.name
    return name, fault.error, fault.reads, fault.writes, fault.ambiguous


def _row(faults: list[Fault]) -> str:
    fault = faults[0]
    name = fault.name + "".join(f", {other.name.removeprefix('status ')}" for other in faults[1:])
    kind = fault.fields.get("kind")
    error = f"`{fault.error.__name__}`" + (f", kind `{kind}`" if kind else "")
    return f"| {name} | {fault.reads} | {fault.writes} | {error} | {'yes' if fault.ambiguous else 'no'} |"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
