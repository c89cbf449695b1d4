"""The workloads in the order of the report: functions from a `Bench` to a `Section`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.measure import Section

from . import amounts, bulk, calls, exports, filters, latency, memory, ranges, server, start, sync, wire

WORKLOADS: dict[str, Callable[[Bench], Section]] = {
    "hand": bulk.by_hand,
    "amounts": amounts.exact_and_float,
    "rivals": bulk.rivals,
    "latency": latency.of_our_own,
    "latency_defaults": latency.default_options,
    "latency_rivals": latency.rivals,
    "wire": wire.gzip_and_tls,
    "kept": memory.kept,
    "calls": calls.one_and_many,
    "searches": calls.small_searches,
    "raw": exports.raw_and_jsonl,
    "parquet": exports.parquet,
    "dataset": exports.dataset,
    "columns": exports.columns,
    "duckdb": exports.duckdb,
    "sync": sync.beside_export,
    "csv": exports.csv,
    "filters": filters.many_clauses,
    "ranges": ranges.of_a_pull,
    "growth": memory.growth,
    "server": server.is_no_bottleneck,
    "start": start.of_processes,
}
