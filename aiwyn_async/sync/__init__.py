"""Keep rows of a resource up to date in DuckDB. Needs the extra ``duckdb``."""

try:
    from aiwyn_async.sync._sync import SyncResult, sync
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] not in {"duckdb", "pyarrow"}:
        raise
    raise ModuleNotFoundError(
        'sync is an extra; run: pip install "aiwyn-async[duckdb]"', name=_error.name
    ) from None

__all__ = ["SyncResult", "sync"]
