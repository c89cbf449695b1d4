"""A tag of the API in a DuckDB table that is kept up to date. Needs the extra ``duckdb``."""

from aiwyn_async.sync._sync import SyncResult, sync

__all__ = ["SyncResult", "sync"]
