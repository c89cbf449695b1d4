"""Incremental reads: changes since a bookmark."""
