"""Keep rows of a resource up to date in DuckDB. Needs the extra ``duckdb``."""

from aiwyn_async.sync._sync import SyncResult, sync

__all__ = ["SyncResult", "sync"]
