"""The figures of docs/performance.md: of several processors, the one that is worst for this package."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from .results import Results

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN = "<!-- Written by python -m benchmarks.report from here -->"
END = "<!-- to here -->"
ONE_AMOUNT = "list() as deferred(Invoice), one amount read"
NEAR, FAR = ("hand", "rivals"), ("latency_rivals",)
COLUMNS = (
    ("`list()`", NEAR, "list() / {}"),
    ("`deferred(Invoice)`", NEAR, ONE_AMOUNT + " / {}"),
    ("`list()`, 50 ms", FAR, "list() / {}, 50 ms"),
    ("`deferred(Invoice)`, 50 ms", FAR, ONE_AMOUNT + " / {}, 50 ms"),
)
CLIENTS = {
    "hand-written aiohttp and msgspec, tuned": "hand-written, tuned",
    "hand-written aiohttp and msgspec, obvious": "hand-written, obvious",
    "dlt (dicts)": "dlt *",
    "singer-sdk (dicts)": "singer-sdk *",
    "airbyte-cdk (dicts)": "airbyte-cdk *",
    "openapi-python-client (floats)": "openapi-python-client *",
    "httpx and pydantic (exact)": "httpx+pydantic *",
    "openapi-generator (floats)": "openapi-generator *",
    "the Stainless page class (floats)": "stainless *",
}
RATES = {
    "`list()`": ("rivals", "list()"),
    "`list()` as `deferred(Invoice)`, one amount read": ("rivals", ONE_AMOUNT),
    "`export()` to JSONL": ("raw", "export() to .jsonl"),
    "`export()` to Parquet, one core": ("parquet", "export(), 1 core"),
    "`export()` to Parquet, two cores, of which the server has one": ("parquet", "export(), 2 cores"),
}
RATIOS = {
    "`get()` / a bare aiohttp session": ("calls", "get(), 1 in flight / aiohttp, 1 in flight"),
    "32 `get()` at once / a bare aiohttp session": ("calls", "get(), 32 in flight / aiohttp, 32 in flight"),
    "`export()` to JSONL / lines written by hand": ("raw", "export() to .jsonl / JSONL, by hand"),
    "`export()` to Parquet / typed rows converted by hand, one core": (
        "parquet",
        "export(), 1 core / typed rows, 1 core",
    ),
    "`export()` to Parquet / typed rows converted by hand, two cores": (
        "parquet",
        "export(), 2 cores / typed rows, 2 cores",
    ),
}


def write(results: Results) -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


def filled(text: str, results: Results) -> str:
    """Replace the figures in the text of the page."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    clients = [
        [label, *(_lowest(_medians(results, where, form.format(name))) for _, where, form in COLUMNS)]
        for label, name in CLIENTS.items()
    ]
    rates = [[label, _lowest(_rates(results, *entry))] for label, entry in RATES.items()]
    ratios = [
        [label, _lowest(_medians(results, (workload,), name))] for label, (workload, name) in RATIOS.items()
    ]
    tables = [
        _table(["rate relative to", *(title for title, _, _ in COLUMNS)], clients),
        _table(["", "rows per second"], rates),
        _table(["rate", "ratio"], ratios),
    ]
    if growth := list(_medians(results, ("growth",), "growth of the peak over 200,000 rows*")):
        tables.append(f"**Memory** grows by {math.ceil(max(growth))} MB at most over 200,000 rows.")
    return "\n\n".join([before + BEGIN, *tables, END + after])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _medians(results: Results, workloads: Sequence[str], pattern: str) -> Iterator[float]:
    for processor in results.processors.values():
        for workload in workloads:
            if workload in processor.workloads:
                for figure in processor.workloads[workload].figures:
                    if fnmatchcase(figure.name, pattern):
                        yield figure.medians.median


def _rates(results: Results, workload: str, entry: str) -> Iterator[float]:
    for processor in results.processors.values():
        if workload in processor.workloads and entry in processor.workloads[workload].entries:
            yield processor.workloads[workload].entries[entry].medians.median


def _lowest(values: Iterator[float]) -> str:
    """Return the lowest value, rounded down to two digits, or to thousands if it is a rate."""
    value = min(values, default=None)
    if value is None:
        return ""
    step = 10.0 ** (math.floor(math.log10(value)) - 1) if value < 1000 else 1000
    return f"{math.floor(value / step + 1e-9) * step:,.10g}"  # 0.29 / 0.01 is below 29
