"""All slices of the project's own environment, in one process."""

from benchmarks.slices import amounts, by_hand, exports, sdk
from benchmarks.worker import main

main(
    {
        "sdk.typed": sdk.typed,
        "sdk.typed_with_isal": sdk.typed_with_isal,
        "sdk.typed_primed": sdk.typed_primed,
        "sdk.kept": sdk.kept,
        "sdk.kept_without_gc": sdk.kept_without_gc,
        "sdk.exact": amounts.exact,
        "sdk.floats": amounts.floats,
        "sdk.when_read": amounts.when_read,
        "sdk.raw": sdk.raw,
        "sdk.many_at_once": sdk.many_at_once,
        "sdk.by_ranges": sdk.by_ranges,
        "sdk.pulled": sdk.pulled,
        "sdk.searched": sdk.searched,
        "sdk.small_searches": sdk.small_searches,
        "sdk.growth": sdk.growth,
        "sdk.condition": sdk.condition_of_many_clauses,
        "sdk.tree": sdk.tree_of_many_clauses,
        "sdk.jsonl": exports.jsonl,
        "sdk.parquet": exports.parquet,
        "sdk.dataset": exports.dataset,
        "sdk.parquet_pulled": exports.parquet_pulled,
        "sdk.five_columns": exports.five_columns,
        "sdk.five_columns_pulled": exports.five_columns_pulled,
        "sdk.csv": exports.csv,
        "sdk.duckdb": exports.duckdb,
        "sdk.duckdb_pulled": exports.duckdb_pulled,
        "sdk.synced": exports.synced,
        "hand.tuned": by_hand.tuned,
        "hand.in_blocks": by_hand.tuned_in_blocks,
        "hand.obvious": by_hand.obvious,
        "hand.raw": by_hand.raw,
        "hand.raw_rows": by_hand.raw_rows,
        "hand.checked_raw_rows": by_hand.checked_raw_rows,
        "hand.jsonl": exports.jsonl_by_hand,
        "hand.checked_jsonl": exports.checked_jsonl_by_hand,
        "hand.many_at_once": by_hand.many_at_once,
        "hand.small_searches": by_hand.small_searches,
        "hand.tree": by_hand.tree_of_many_clauses,
        "hand.parquet": exports.parquet_by_structs,
        "same_values": exports.same_values,
    }
)
