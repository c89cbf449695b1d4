"""Keep the rows of a resource up to date in a DuckDB table. Needs the extra ``duckdb``."""

from aiwyn_async.sync._sync import SyncResult, sync

__all__ = ["SyncResult", "sync"]
